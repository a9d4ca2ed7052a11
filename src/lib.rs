//! Child processes as actors: an embeddable process manager for actix applications on Linux.
//!
//! A [`Command`] is spawned for a protocol actor. The actor is told of every byte that the child
//! writes, every descriptor that closes, the exit, and the end, as messages in a promised order.
//! The model is Twisted's `spawnProcess` and `ProcessProtocol`.
//!
//! ```
//! use actix::prelude::*;
//! use actix_process::{Bytes, Command, ExitStatus, ProcessHandle, ProcessProtocol, process_protocol};
//!
//! struct Wc;
//!
//! impl Actor for Wc {
//!     type Context = Context<Self>;
//! }
//!
//! impl ProcessProtocol for Wc {
//!     fn connection_made(&mut self, process: &ProcessHandle, _: &mut Context<Self>) {
//!         let _ = process.write("one two\nthree\n");
//!         process.close_stdin();
//!     }
//!     fn out_received(&mut self, _: &ProcessHandle, data: Bytes, _: &mut Context<Self>) {
//!         print!("lines, words, bytes: {}", String::from_utf8_lossy(&data));
//!     }
//!     fn process_ended(&mut self, _: &ProcessHandle, status: ExitStatus, _: &mut Context<Self>) {
//!         println!("{status}");
//!         System::current().stop();
//!     }
//! }
//! process_protocol!(Wc);
//!
//! let system = System::new();
//! system.block_on(async { Command::new("wc").spawn(Wc.start()).await }).unwrap();
//! system.run().unwrap();
//! ```
//!
//! # Which style for which job
//!
//! - **An actor**, for a child that lives long and tells of events. An actor that owns its child spawns it by one line,
//!   [`Command::spawn_in`]. It gets bytes, lines ([`Fd::lines`]), or frames ([`FramedProtocol`]).
//! - **Streams and sinks**, for a talk with a child, in any async function: [`Command::open`] gives its input as a sink and
//!   its outputs as streams, and the drop of them kills the child with its group. [`Opened::io`] is both as one transport, and
//!   [`FdStream::find`] waits for a prompt. [`Fd::stream`] and [`ProcessHandle::sink`] are the same for single descriptors.
//! - **A body in, a body out**, for a response: [`Command::stream`]. The last item is the failure, if there is one.
//! - **A helper**, for a program that is run to its end: [`Command::text`], [`Command::lines`] and [`Command::probe`] judge
//!   the status and say why; [`Command::output`], [`Command::status`] and [`Command::read`] give it. [`Slots`] bounds how many
//!   run at a time.
//! - **Events**, for what an actor would be told, in code that is none: [`Command::events`].
//! - **Services**, for programs that are to be kept running: a [`monitor`] starts them in order and anew, watches them, shares those that
//!   somebody has [leased](monitor::MonitorHandle::lease), keeps their last lines, and stops all of them as one.
//! - **Jobs**, for programs that take one each, or stay and take many: a [`pool`] gives each job to a worker, and exactly one outcome to who asked.
//!   With the feature `nats`, hosts share a durable queue of such jobs.
//!
//! Each of them works on a terminal too, by [`Command::pty`]. [`Fd::tail`] keeps the end of an output that matters only in an
//! error. Fifteen jobs, each in a few lines, are in [`recipes`]; what goes wrong with children elsewhere, and what happens here, is in
//! [`gotchas`]. Names that you know from Twisted, `tokio::process`, supervisord, systemd or OTP are in
//! [`coming_from`].
//!
//! # The actors
//!
//! ```text
//!  the arbiter that asked (see `Command::spawn`)          the supervisor's arbiter
//! ┌──────────────────────────────────────────┐           ┌─────────────────────────────────────┐
//! │ protocol actor (yours, on any arbiter)   │           │ ProcessSupervisor                   │
//! │   ▲ made, data, closed, exited, ended    │           │   table of children                 │
//! │ PipeReader fd 1   PipeReader fd 2   ...  │           └─────────────────────────────────────┘
//! │ PipeWriter fd 0   ...                    │            spawner threads: lookups, clone, exec
//! │ Process (owns the child, and the actors  │
//! │   of its pipes)                          │
//! │ its driver: the pidfd becomes readable,  │
//! │   the child is reaped                    │
//! └──────────────────────────────────────────┘
//! ```
//!
//! A thread needs no arbiter to have children (see [`Command::spawn`]). Under `#[tokio::main]`, in a worker of another
//! runtime, or with no runtime at all, the actors in the left box live on an arbiter of the crate's own:
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let name = actix_process::Command::new("uname").output().await?;
//! assert_eq!(name.stdout, b"Linux\n");
//! # Ok::<(), actix_process::CollectError>(()) }).unwrap();
//! ```
//!
//! # Delivery rules
//!
//! 1. [`ConnectionMade`](ProcessEvent::ConnectionMade) is first, once; never after a failed or
//!    cancelled spawn. When a [`spawn_in`](Command::spawn_in) fails,
//!    [`spawn_failed`](ProcessProtocol::spawn_failed) is the only callback, once. The crate reads for the protocol
//!    only when the protocol has handled `ConnectionMade`, so a descriptor that is paused there gives no byte
//!    until it is resumed. (A [stream](Fd::stream) and a [tail](Fd::tail) are read from the spawn on.)
//! 2. [`ProcessExited`](ProcessEvent::ProcessExited) comes once, at the reap, whatever the pipes
//!    do. [`ProcessEnded`](ProcessEvent::ProcessEnded) comes once, last of all, with the same
//!    status.
//! 3. [`ChildConnectionLost`](ProcessEvent::ChildConnectionLost) comes once for each piped
//!    descriptor, before `ProcessEnded`; no data of that descriptor comes after it. A terminal is two
//!    descriptors, 0 and 1. What a [stream](Fd::stream) holds at its close can still be taken.
//! 4. Every byte that the child, or a descendant that holds its pipe, wrote is delivered before that
//!    descriptor's `ChildConnectionLost`, unless the parent closed it, the child was orphaned, or
//!    the [`ended_timeout`](Command::ended_timeout) cut it.
//! 5. `ProcessExited` has no fixed place among data and closes.
//! 6. Events never run inside the call that spawns: they are messages.
//! 7. What is on its way from one descriptor to its protocol is bounded by a
//!    [`window`](Command::window) of bytes (1 MiB unless set) and by 64 messages. A message returns its share of the
//!    window when its handler returns, so a slow protocol blocks its child, not its arbiter, and
//!    memory stays flat. A [stream](Fd::stream) that is not polled holds no more than a window, and after a cut also
//!    what its pipe held. A [tail](Fd::tail) holds up nobody, and keeps only its last bytes. A flood cannot starve the protocol's arbiter: after 64 messages, or 2 ms of them, the readers
//!    wait until the protocol's mailbox is empty.
//! 8. After [`pause_producing`](ProcessHandle::pause_producing) or a close, at most the window that
//!    is already on its way arrives. If a paused child dies, `ProcessExited` is delivered at once; data, closes and
//!    `ProcessEnded` follow after the resume.
//! 9. Writes to one descriptor keep their order, a [sink](ProcessHandle::sink)'s among them.
//!    [`close_stdin`](ProcessHandle::close_stdin) flushes first, and waits for a
//!    [producer](ProcessHandle::register_producer) to unregister.
//!    [`lose_connection`](ProcessHandle::lose_connection) flushes and closes every
//!    descriptor that is written, and drops every one that is read at once, those above 2 included.
//!    A terminal's output is read and thrown away until its input is flushed; then it is hung up.
//! 10. When the child closes its standard input, the close is reported at once, also while nothing is being
//!     written. The queue is dropped, and a producer is told before the protocol.
//! 11. Dropping a handle does nothing. When the protocol is gone, its children follow
//!     [`on_orphaned`](Command::on_orphaned), and are reaped all the same. The death of an actor
//!     whose handler is written by hand, without [`dispatch`](FromProcess::dispatch), is noticed at
//!     its children's next event.
//! 12. A spawn that fails, in whatever way, leaks nothing: no descriptor, no zombie, no thread, no
//!     running child.
//! 13. The clock of [`ended_timeout`](Command::ended_timeout) (none unless set) counts the time in which
//!     the child is reaped, no descriptor is paused, and the protocol's readers have read what their pipes
//!     held at the reap. Survivors that write on do not stop it. At the deadline what the pipes hold is read
//!     and delivered, and nothing that is written later; queued writes are dropped; the descriptors
//!     that were cut are closed with [`CloseReason::Cut`]. The cut waits for a slow protocol to take what the pipe held.
//!     It does not wait for a [stream](Fd::stream), which takes what its pipe held beyond its window, nor for a
//!     [tail](Fd::tail).
//! 14. If a child leads a process group, or has a cgroup, these end the whole of it, to the last member, also when the
//!     child itself dies first, and each of their steps reaches all members:
//!     [`terminate_group`](ProcessHandle::terminate_group), [`stop`](ProcessHandle::stop), a helper's
//!     timeout, output limit or drop, [`OnOrphaned`], [`Shutdown`](supervisor::Shutdown), [`OnLeftovers`]. No signal goes to
//!     another process or group that has got the number of a dead one.
//! 15. A [`stop`](ProcessHandle::stop), a `Shutdown`, a helper's timeout and a kill at its output limit are answered 2 seconds after their SIGKILL at
//!     the latest. The answer says what is still alive then; a child is reaped when it dies.
//! 16. Lines ([`Fd::lines`]) and frames ([`FromFrames`]) come in the order of their bytes, one a message, all
//!     of them before that descriptor's `ChildConnectionLost`: rules 3, 4, 7 and 8 hold for them as for data.
//!     What is left at the close (a line without its newline, what a decoder makes of the end) comes before
//!     the close, unless this side closes the descriptor.
//!
//! # Caveats
//!
//! Children and owners:
//!
//! - A child keeps its protocol actor alive until `ProcessEnded`, unless the actor stops itself. A panic in a callback ends
//!   the actor.
//! - When an owner of a child is gone, the child is killed, unless its [`OnOrphaned`] says otherwise.
//!   This holds when `main` returns, too. It does not hold after `std::process::exit`, nor when a signal kills the
//!   host: see [`parent_death_signal`](Command::parent_death_signal).
//! - A child that a thread in no System has spawned has no owner but its protocol, if it has one. It lives on when
//!   `main` returns.
//! - When an arbiter stops, the children whose actors live there lose an owner. Each HTTP worker of a server under
//!   `#[actix_web::main]` is such an arbiter. The server stops its workers before `main` goes on, so a child that a handler has
//!   spawned, opened or streamed gets SIGKILL then, without a SIGTERM, unless its [`OnOrphaned`] says otherwise. A child that is to
//!   outlive its request names another arbiter: [`Command::on`].
//! - The arbiter where a child's actors live reaps the child, so while that arbiter is blocked the child is not reaped. To
//!   block the arbiter's thread on the spawn, the exit or the end of such a child is a deadlock.
//! - A supervisor that has got a [`Shutdown`](supervisor::Shutdown) spawns nothing any more, also if it is the System's own.
//!
//! Data:
//!
//! - A grandchild can hold a pipe long after the child is gone: `ProcessEnded` waits for it, unless
//!   there is an `ended_timeout`. `ProcessExited` does not wait.
//! - [`ProcessHandle::write`] queues without a bound. A [sink](ProcessHandle::sink) or a
//!   [producer](ProcessHandle::register_producer) is held up by a slow child.
//! - A terminal has no halves: closing 0 or 1 alone does nothing.
//! - The pipe of a child that writes much, or is written much, grows from 64 to 128 KiB. A [`window`](Command::window) below
//!   256 KiB leaves the pipe of an output as it is.
//! - Since pipes grow, a child that writes with `vmsplice` cannot take room in the pipe as a sign that its memory was read
//!   and may be reused.
//! - A child that makes its output a packet pipe (`O_DIRECT`) must do so before it writes: where packets
//!   wait behind other bytes, the kernel gives a reader only as much of a packet as the reader has room for.
//! - Descriptors: a child with three pipes costs its host four of them (three pipes and a pidfd), and
//!   18 more are reserved with the first spawns. With the usual soft limit of 1,024 that is some 250
//!   children.
//!
//! What a child inherits:
//!
//! - A child inherits the environment, but neither the signal mask nor the handlers: it starts with an empty
//!   mask. It ignores what this program ignores, unless it has [`IgnoredSignals::Reset`],
//!   so a tree under `nohup` outlives its terminal. SIGPIPE and SIGCHLD are always at their default.
//! - A child has the directory, umask, ids, scheduling, namespaces and confinement of the thread that
//!   asked for it. A thread under `no_new_privs` makes a thread for each spawn, and one with a
//!   descriptor table of its own spawns nothing.
//! - A change of the uid takes all capabilities but those of [`Command::ambient`].
//! - **This is no sandbox.** Limits, other ids, a time and a cgroup bound what a child uses, and end it. The child reads what its
//!   user may read, and uses the network: a [program that isolates](recipes#10-code-that-nobody-trusts) goes in front of it.
//! - A signal to a child's process group does not reach a process that has left the group (by `setsid`, as daemons do). If
//!   the child has a cgroup ([`contained`](Command::contained)), the signal reaches that process as well.
//! - There is no `pre_exec`: a [wrapper program](coming_from::tokio) does what no option does.
//!
//! The host:
//!
//! - Ctrl-C at a terminal goes to the whole foreground group: to this program, and to the children that are in its group. That
//!   are those of [`Command::spawn`] and [`Command::events`], and those of a [helper](Collect) of a program in the foreground. A child
//!   that leads a group does not get it: one of [`Command::open`] and [`Command::stream`], one that is
//!   [`contained`](Command::contained), and one with [`process_group`](Command::process_group) or `setsid`. **A program without
//!   a handler for SIGINT dies of the Ctrl-C and drops nothing, and such a child lives on** if it does not care for the end of its
//!   input. So a program at a terminal handles SIGINT (`tokio::signal::ctrl_c`) and returns from `main`, or its commands have a
//!   [`parent_death_signal`](Command::parent_death_signal), or the child stays in its group ([`Open::foreground`]).
//! - After a `fork()` the copy spawns nothing, if its parent had spawned before; it reaches none of
//!   the parent's children. A daemon forks first.
//! - As PID 1 of a container the host gets the orphans of other processes to reap. The crate does not reap them, and
//!   they stay zombies: run the host under an init (`docker run --init`, `tini`).
//! - A program that waits for its children by `waitpid(-1)`, or ignores SIGCHLD, takes away the children's resource
//!   usage, and before Linux 6.15 their status as well: the status is [`ExitStatus::Unknown`] then.
//!
//! # Platform
//!
//! 64-bit Linux; tested on x86_64 with glibc. From kernel 6.15 on the crate needs no fallback. What older kernels and
//! sandboxes lack has a fallback. The tests force it by the cfg that is named here:
//!
//! - Before 6.15 the crate cannot tell the status of a child that somebody else reaped.
//! - Before 6.9 the zombie of a child that led a group is kept until the group is dealt with
//!   (`actix_process_force_no_group_pidfd`).
//! - Without pidfds a thread waits for each child (`actix_process_force_no_pidfd`).
//! - Without close_range (5.9) a child lists `/proc/self/fd` to find what to close (`actix_process_force_no_close_range`).
//! - Without clone3 (x86_64; Linux 5.7 for cgroups) a child joins its cgroup by a write, which holds up the forks of the whole machine
//!   for a moment, and resets its signals one by one (`actix_process_force_no_clone3`).
//! - A child with another uid or gid is forked, unless this program is root on x86_64 and may execute a memfd
//!   (`actix_process_force_no_trampoline`). The fork copies page tables: some 18 ms for each GiB that the program uses, in which
//!   no thread of the program gets new memory.

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unwrap_used
    )
)]
#[cfg(not(target_os = "linux"))]
compile_error!("actix-process runs on Linux only");
#[cfg(not(target_pointer_width = "64"))]
compile_error!("actix-process runs on 64-bit Linux only");

mod actors;
mod capability;
mod child;
pub mod codec;
mod collect;
pub mod coming_from;
mod command;
mod error;
mod event;
mod failed_run;
pub mod gotchas;
mod handle;
#[cfg(feature = "monitor")]
mod host;
mod id;
mod ladder;
mod limits;
mod line;
#[cfg(feature = "monitor")]
pub mod monitor;
#[cfg(feature = "nats")]
pub mod nats;
mod open;
#[cfg(feature = "pool")]
pub mod pool;
mod port;
mod protocol;
pub mod recipes;
mod signal;
mod slots;
mod spawn;
mod spawn_error;
mod status;
mod stream;
pub mod supervisor;
mod sync;
#[expect(unsafe_code, reason = "the kernel: the only place that may")]
mod sys;
mod terminal_modes;
pub mod testing;
mod text;
mod threads;
mod tree;
mod winsize;

/// The handler that `process_protocol!` writes names this module.
#[doc(hidden)]
pub mod __private {
    pub use actix;
}

pub use bytes::Bytes;
pub use capability::Capability;
pub use collect::{Collect, CollectError, Collecting, Output, Why};
pub use command::Command;
pub use command::arbiter::ToArbiterHandle;
pub use command::containment::Containment;
pub use command::fd_map::{Fd, FdMap};
pub use command::pty::{Pty, PtySize};
pub use command::spec::{OnLeftovers, OnOrphaned};
pub use error::{ResizeError, SignalError, SpawnError, SpawnStep, StreamError, WriteError};
pub use event::{CloseReason, ProcessEvent};
pub use handle::ProcessHandle;
pub use handle::failure::ExitFailure;
pub use handle::find::{FindError, Needle};
pub use handle::kill_on_drop::KillOnDrop;
pub use handle::producer;
pub use handle::sink::{Encoded, FdSink};
pub use handle::stop::{Stopped, Unkillable};
pub use handle::stream::{Decoded, FdStream};
pub use handle::tail::Tail;
pub use id::ProcessId;
pub use ladder::{Ladder, StoppedBy};
pub use limits::{Resource, UNLIMITED};
pub use line::{Line, LineEnd};
pub use open::events::ProcessEvents;
pub use open::input::{BytesInput, IntoInput, StreamInput};
pub use open::io::Io;
pub use open::{Open, Opened, Opening};
pub use protocol::ProcessProtocol;
pub use protocol::frames::{FramedProtocol, FromFrames};
pub use protocol::into::{IntoProtocol, NoProtocol, Protocol};
pub use protocol::message::FromProcess;
pub use signal::{IgnoredSignals, ParseSignalError, Signal};
pub use slots::job::SlotJob;
pub use slots::{SlotPermit, Slots, SlotsError};
pub use status::{ExitStatus, Rusage};
pub use stream::StreamCommand;
pub use stream::failure::StreamFailure;
pub use stream::lines::OutputLines;
pub use stream::output::OutputStream;
pub use supervisor::{ProcessSupervisor, Spawn, Spawning};
pub use terminal_modes::{TerminalModes, TerminalModesError};
pub use threads::spawners::set_max_spawner_threads;
pub use tree::members::Leftover;
