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
//! An actor that owns its child spawns it by one line, [`Command::spawn_in`].
//!
//! For a program that is run to its end there is less to write: [`Command::output`],
//! [`Command::status`] and [`Command::read`]. A protocol gets lines by [`Fd::lines`], and what any decoder makes of the
//! bytes by [`FramedProtocol`]. Code that prefers streams to callbacks reads a
//! descriptor by [`Fd::stream`] and writes one by [`ProcessHandle::sink`]. A child gets a terminal
//! by [`Command::pty`].
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
//! │ Process (owns the child)                 │
//! │ its driver: the pidfd becomes readable,  │
//! │   the child is reaped                    │
//! └──────────────────────────────────────────┘
//! ```
//!
//! A thread needs no arbiter to have children: see [`Command::spawn`]. Under `#[tokio::main]`, in a worker of another
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
//!    cancelled spawn. Of a [`spawn_in`](Command::spawn_in) that failed
//!    [`spawn_failed`](ProcessProtocol::spawn_failed) is the only callback, once. What the child writes for its protocol is read when that has handled it, so what is
//!    paused or closed there is so before the first byte. (A [stream](Fd::stream) is read from the spawn
//!    on: what it holds waits to be taken.)
//! 2. [`ProcessExited`](ProcessEvent::ProcessExited) comes once, at the reap, whatever the pipes
//!    do. [`ProcessEnded`](ProcessEvent::ProcessEnded) comes once, last of all, with the same
//!    status.
//! 3. [`ChildConnectionLost`](ProcessEvent::ChildConnectionLost) comes once for each piped
//!    descriptor, before `ProcessEnded`; no data of that descriptor comes after it. A terminal is two
//!    of them, 0 and 1. What a [stream](Fd::stream) holds then can still be taken.
//! 4. Every byte that the child, or a descendant that holds its pipe, wrote is delivered before that
//!    descriptor's `ChildConnectionLost`, unless the parent closed it, the child was orphaned, or
//!    the [`ended_timeout`](Command::ended_timeout) cut it.
//! 5. `ProcessExited` has no fixed place among data and closes.
//! 6. Events never run inside the call that spawns: they are messages.
//! 7. What is on its way from one descriptor to its protocol is bounded by a
//!    [`window`](Command::window) of bytes (1 MiB unless set) and by 64 messages; a
//!    [stream](Fd::stream) that is not polled holds no more than that either, and after a cut what its
//!    pipe held besides. Each returns its
//!    share when its handler has run, so a slow protocol blocks its child, not its arbiter, and
//!    memory stays flat. And the arbiter of a flooded protocol gets its turn: after 64 messages, or
//!    2 ms of them, the readers wait until the protocol has caught up.
//! 8. After [`pause_producing`](ProcessHandle::pause_producing) or a close, at most the window that
//!    is already on its way arrives. Of a child that dies while it is paused `ProcessExited` comes;
//!    data, closes and `ProcessEnded` wait for the resume.
//! 9. Writes to one descriptor keep their order, a [sink](ProcessHandle::sink)'s among them.
//!    [`close_stdin`](ProcessHandle::close_stdin) flushes first, and waits for a
//!    [producer](ProcessHandle::register_producer) to unregister.
//!    [`lose_connection`](ProcessHandle::lose_connection) flushes and closes every
//!    descriptor that is written, and drops every one that is read at once, those above 2 included.
//!    A terminal's output is read and thrown away until its input is flushed; then it is hung up.
//! 10. That the child closed its standard input is reported at once, also while nothing is being
//!     written. A broken pipe drops the queue and is reported as the close; a producer is told
//!     before.
//! 11. Dropping a handle does nothing. When the protocol is gone, its children follow
//!     [`on_orphaned`](Command::on_orphaned), and are reaped all the same. The death of an actor
//!     whose handler is written by hand, without [`dispatch`](FromProcess::dispatch), is noticed at
//!     its children's next event.
//! 12. A spawn that fails, in whatever way, leaks nothing: no descriptor, no zombie, no thread, no
//!     running child.
//! 13. The clock of [`ended_timeout`](Command::ended_timeout) (none unless set) counts the time in which
//!     the child is reaped, no descriptor is paused, and the protocol's readers have read what their pipes
//!     held at the reap. Survivors that write on do not stop it. At the deadline what the pipes hold is read
//!     and delivered first, and nothing that is written later; queued writes are dropped; the descriptors
//!     that were cut are closed with [`CloseReason::Cut`]. A protocol that is slow, or keeps its messages,
//!     is waited for with what it is to get; a [stream](Fd::stream) is not: it takes what its pipe holds
//!     beyond its window, for whoever comes.
//! 14. A child that leads a process group is that group to whatever ends it, to the last member and
//!     the last step, also when the child itself goes first:
//!     [`terminate_group`](ProcessHandle::terminate_group), [`stop`](ProcessHandle::stop), a helper's
//!     timeout or drop, [`OnOrphaned`], [`Shutdown`](supervisor::Shutdown), [`OnLeftovers`]. No signal goes to a process or a
//!     group that has got an old number.
//! 15. An escalation is answered 2 seconds after its SIGKILL at the latest, whatever the child does and
//!     is; what is still alive then is said, and a child is reaped when it dies.
//!
//! 16. Lines ([`Fd::lines`]) and frames ([`FromFrames`]) are told in the order of their bytes, one a message, all
//!     of them before that descriptor's `ChildConnectionLost`: rules 3, 4, 7 and 8 hold for them as for data.
//!     What is left at the close (a line without its newline, what a decoder makes of the end) is told before
//!     the close, unless this side closes the descriptor.
//!
//! # Caveats
//!
//! - A grandchild can hold a pipe long after the child is gone: `ProcessEnded` waits for it, unless
//!   there is an `ended_timeout`. `ProcessExited` does not wait.
//! - The environment is inherited, the signal mask and handlers are not: a child starts with an empty
//!   mask. What this program ignores, the child ignores, unless it has [`IgnoredSignals::Reset`]:
//!   so a tree under `nohup` outlives its terminal. SIGPIPE and SIGCHLD are always at their default.
//! - A process that has left the child's group (by `setsid`, as daemons do) is out of reach of what is
//!   done to the group; a [`cgroup`](Command::cgroup) holds it.
//! - A change of the uid takes all capabilities but those of [`Command::ambient`].
//! - When the last owner of a child is gone it is killed, unless its [`OnOrphaned`] says otherwise.
//!   This holds when main returns, too; after `std::process::exit`, or when the host is killed by
//!   a signal, nothing of it runs: see [`parent_death_signal`](Command::parent_death_signal).
//! - Descriptors: a child with three pipes costs its host four of them (three pipes and a pidfd), and
//!   18 more are reserved with the first spawns. With the usual soft limit of 1,024 that is some 250
//!   children.
//! - The pipe of a child that writes much, or is written much, grows from 64 to 128 KiB. A child that puts its own memory
//!   into its output (`vmsplice`) must not count on the size that the pipe had. A [`window`](Command::window) below
//!   256 KiB leaves the pipe of an output as it is.
//! - A child that makes its output a packet pipe (`O_DIRECT`) does so before it writes: of packets that
//!   wait behind other bytes the kernel gives a reader only as much as it has room for.
//! - Of the children of threads that are in no System nothing is the owner but their protocol, if they have one. They live on when
//!   main returns, as after `std::process::exit`.
//! - A child is reaped by the arbiter where its actors live: late, while that is blocked.
//! - A child has the directory, umask, ids, scheduling, namespaces and confinement of the thread that
//!   asked for it. A thread under `no_new_privs` makes a thread for each spawn, and one with a
//!   descriptor table of its own spawns nothing.
//! - After a `fork()` the copy spawns nothing, if its parent had spawned before; it reaches none of
//!   the parent's children. A daemon forks first.
//! - As PID 1 of a container the host gets the orphans of others to reap. They are not ours, and
//!   stay zombies: run it under an init (`docker run --init`, `tini`).
//! - There is no `pre_exec`. What no option does is done by an exec wrapper: `Command::new("setpriv")`,
//!   `"unshare"`, `"taskset"`, with the program as its argument.
//! - A program that waits for its children by `waitpid(-1)`, or ignores SIGCHLD, takes away what
//!   they used, and before Linux 6.15 their status as well: it is [`ExitStatus::Unknown`] then.
//!
//! # Platform
//!
//! Linux, 64 bits. All of it from kernel 6.15 on; before that the status of a child that somebody else
//! reaped is not known; before 6.9 the group of a child that has exited is
//! held by its zombie. Where a kernel or a sandbox has no pidfds, each child is waited for in a thread of
//! its own; without close_range (5.9), a child lists /proc/self/fd. All are tested, by the cfgs
//! `actix_process_force_no_group_pidfd`, `actix_process_force_no_pidfd` and
//! `actix_process_force_no_close_range`. A child
//! with another uid or gid is forked, at the cost of a copy of the page tables, unless this program is
//! root on x86_64 and may execute a memfd (`actix_process_force_no_trampoline`).
//! Tested on x86_64 with glibc.

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
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
mod collect;
mod command;
mod error;
mod event;
mod handle;
mod id;
mod ladder;
mod limits;
mod line;
mod port;
mod protocol;
mod signal;
mod spawn;
mod spawn_error;
mod status;
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

/// What `process_protocol!` writes refers to.
#[doc(hidden)]
pub mod __private {
    pub use actix;
}

pub use bytes::Bytes;
pub use capability::Capability;
pub use collect::{Collect, CollectError, Collecting, Output};
pub use command::Command;
pub use command::arbiter::ToArbiterHandle;
pub use command::containment::Containment;
pub use command::fd_map::{Fd, FdMap};
pub use command::pty::{Pty, PtySize};
pub use command::spec::{OnLeftovers, OnOrphaned};
pub use error::{ResizeError, SignalError, SpawnError, SpawnStep, StreamError, WriteError};
pub use event::{CloseReason, ProcessEvent};
pub use handle::ProcessHandle;
pub use handle::kill_on_drop::KillOnDrop;
pub use handle::producer;
pub use handle::sink::{Encoded, FdSink};
pub use handle::stop::{Stopped, Unkillable};
pub use handle::stream::{Decoded, FdStream};
pub use id::ProcessId;
pub use ladder::{Ladder, StoppedBy};
pub use limits::{Resource, UNLIMITED};
pub use line::{Line, LineEnd};
pub use protocol::ProcessProtocol;
pub use protocol::frames::{FramedProtocol, FromFrames};
pub use protocol::into::{IntoProtocol, NoProtocol, Protocol};
pub use protocol::message::FromProcess;
pub use signal::{IgnoredSignals, ParseSignalError, Signal};
pub use status::{ExitStatus, Rusage};
pub use supervisor::{ProcessSupervisor, Spawn, Spawning};
pub use terminal_modes::{TerminalModes, TerminalModesError};
pub use threads::spawners::set_max_spawner_threads;
/// tokio-util's codecs, for [`FdStream::decode`] and [`FdSink::encode`]: their traits are part of this
/// crate's API, so a major version of tokio-util is one of this crate.
pub use tokio_util::codec;
pub use tree::members::Leftover;
