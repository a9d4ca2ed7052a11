//! Services: children that are kept alive, leased, watched and stopped as one.
//!
//! A [`Monitor`] is an actor that keeps other programs running: databases, model servers, language servers, workers, consoles. Each is a
//! [`Service`]: a command, and the rules by which it is started, watched, started again and stopped. The [`MonitorHandle`] is what the
//! program has of a running monitor, on any thread and any runtime. [`messages`] asks the same of it as an actor.
//!
//! ```
//! use std::time::Duration;
//!
//! use actix_process::Command;
//! use actix_process::monitor::{Followed, Monitor, Ready, Service, Since, Start, When};
//! use futures::StreamExt;
//!
//! # actix::System::new().block_on(async {
//! let secs = Duration::from_secs;
//! let script = "echo loading; echo listening; exec sleep 60";
//! let monitor = Monitor::new()
//!     .service(Service::new("db", Command::new("sh").args(["-c", script])).ready(Ready::line("listening").within(secs(10))))
//!     .service(
//!         // Made anew for each start, since each start has a port of its own.
//!         Service::new("web", |start: &Start| {
//!             let port = start.free_port()?.to_string();
//!             Ok(Command::new("sh").args(["-c", "echo port $0; exec sleep 60", &port]))
//!         })
//!         .after("db", When::Ready),
//!     )
//!     .service(Service::new("tool", Command::new("sleep").arg("60")).on_demand().idle_stop(secs(5)))
//!     .start()?;
//!
//! monitor.ready("web").await?;
//! // What was written before, then each line as it comes.
//! let mut lines = monitor.follow("db", Since::Start);
//! assert!(matches!(lines.next().await, Some(Followed::Line { bytes, .. }) if bytes == "loading"));
//!
//! // Starts the service, once for however many ask; it runs until the last lease is dropped, and 5 seconds more.
//! let lease = monitor.lease("tool").await?;
//! assert!(lease.process().pid().is_some());
//! drop(lease);
//!
//! let report = monitor.shutdown(secs(20)).await;
//! assert_eq!(report.clean.len(), 3);
//! assert!(report.killed.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! A program that ends calls [`shutdown`](MonitorHandle::shutdown), or lets SIGTERM and SIGINT do that
//! ([`closing_on_signals`](MonitorHandle::closing_on_signals)). A program that only ends, or is killed, leaves nothing either: see M13.
//!
//! # States
//!
//! ```text
//! stopped ───► waiting ───► starting ───► running, not ready ───► running, ready
//!        wanted       what it is    the child            ▲  Ready says so  │
//!                     after is so   runs                 └─────────────────┘ it reloads
//!
//! from each of these:
//!   a stop; not ready in time; not alive  ───► stopping ───┐
//!   an end by itself; a start that fails  ─────────────────┴──► and then, when nobody is left of its group:
//!
//!                             nobody wants it     stopped
//!                             a restart by hand   waiting
//!                             Restart says so     backoff ───► waiting, when the delay is over
//!                             Restart is done     exited after a success, failed after a failure
//! ```
//!
//! [`ServiceState`] says what each one means. `waiting` has no child, and `starting` none that counts. A stop acts at once in all of them, and is answered when nothing is left of the
//! start.
//!
//! # Promises
//!
//! **M1, states and generations.** Each start has a [generation](Start::generation), greater than all before. A timer, a line, the answer
//! of a probe and an exit belong to a generation, and mean nothing to a later one. What is wanted goes before timers: a stop during a start, a wait or a
//! backoff acts at once.
//!
//! **M2, requests.** A request is answered when it is done, or with what has taken its place ([`MonitorError::Overtaken`]). To ask for what
//! is so already is no error. A batch of services is checked before anything is spawned, and is added whole or not at all.
//!
//! **M3, restart.** [`Restart`] says which ends are followed by a start. It waits for the [`Backoff`]: 200 ms at first, twice as much after
//! each failure, 30 s at most, each up to 10 % shorter or longer, and forgotten after 30 s of readiness. There is no limit unless
//! [one is set](Restart::limit). A start that cannot succeed as things are (there is no such program) is not tried again, unless
//! [`retry_missing`](Restart::retry_missing) is set.
//!
//! **M4, order.** A service starts when each service that it is [`after`](Service::after) is ready, has ended, or has succeeded, as
//! [`When`] says, and not by the readiness of an earlier run. Stops go the other way: who is after a service is gone before that service is
//! stopped, if both are to be stopped. What does not depend on each other starts and stops at the same time, so many stops take as long as the
//! longest.
//!
//! **M5, stop.** A stop is the [`Ladder`](crate::Ladder) of the service, sent to its cgroup or process group. It is over when the child is
//! reaped and nobody of the group is left. What outlived the child is counted ([`EventKind::Leftovers`]) and stopped, also when the child ends by
//! itself. What SIGKILL does not kill is told ([`MonitorError::Unkillable`]), keeps its place, and is reaped when it dies.
//! No signal goes to a group that has got the number of a dead one.
//!
//! **M6, readiness.** [`Ready`] says when a start counts as ready. A service is never ready because time is up. If the child ends first, or
//! [`within`](Ready::within) is over, the start has failed. All that wait get the same answer.
//!
//! **M7, liveness.** [`Alive`] watches a ready service. Too many misses in a row, or a watchdog message that does not come, stop the
//! service, and its `Restart` decides.
//!
//! **M8, reasons.** Each run that ended has an [`Exit`]: the status, the kind of end, how long it ran, and the last 4 KiB of its standard
//! error. It is in status, events and errors.
//!
//! **M9, leases.** A service that is [`on_demand`](Service::on_demand) or [`keyed`](Service::keyed) starts at the first
//! [`lease`](MonitorHandle::lease), once for all who ask, and all get the same readiness or the same failure. It runs while anybody has a
//! lease, and for its [`idle_stop`](Service::idle_stop) after. Where there are too many instances, the longest idle one goes, and never one that is
//! leased. A lease outlives a restart: [`changed`](Lease::changed) tells of it.
//!
//! **M10, output.** The last lines of each service are kept ([`ring`](Service::ring)), and can be [followed](MonitorHandle::follow): what is
//! kept, then what comes, without a gap, with one sequence number over both outputs. A follower, a log or a file never holds up the child: who
//! is too slow is told how many lines are missing. A [`protocol`](Service::protocol) of yours does hold up the child, by its window. Bytes
//! stay bytes; a line that is too long comes in parts.
//!
//! **M11, terminals.** A service whose command has a [`pty`](crate::Command::pty) is as any other. [`write`](MonitorHandle::write) types,
//! [`resize`](MonitorHandle::resize) sets the size, [`follow_raw`](MonitorHandle::follow_raw) gives what is shown, byte for byte.
//!
//! **M12, containment.** Where a cgroup directory is writable, each start has a cgroup of its own, which no process leaves that may not move
//! itself; limits are set there. Else it has a process group, which a daemon leaves (`setsid`). [`containment`](MonitorHandle::containment)
//! says which, and what it does not hold. A limit that cannot be set refuses the service.
//!
//! **M13, the death of the host.** When the last handle is dropped, the System stops, or `main` returns, all services are killed at once. When
//! the host itself is killed, also by SIGKILL, [`OnHostDeath`] says what becomes of each service. By default the kernel kills the
//! child, and a guard, one `/bin/sh` for a monitor, kills its group and its cgroup. A guard that does not start, or dies, is told
//! ([`EventKind::GuardMissing`]) and tried again; services do not wait for it. What escapes: a process in a session of its own, where there is no
//! cgroup; and all but the children themselves if somebody kills the guard together with the host.
//!
//! **M14, shutdown.** [`shutdown`](MonitorHandle::shutdown) starts nothing any more, tells all that wait, ends all follows, stops all services by M4 and M5, kills at
//! the deadline what is left, and says what became of each ([`ShutdownReport`]). What cannot be killed is given up
//! 3 seconds after the deadline; the files of services have 2 seconds more to be written, and the guard 2 to end.
//! [`closing`](MonitorHandle::closing) resolves when it begins. A service may ask its own monitor for it. The end of an
//! [`essential`](Service::essential) service begins one. With [`closing_on_signals`](MonitorHandle::closing_on_signals) a second signal kills at
//! once, also while a closure blocks the monitor's arbiter.
//!
//! **M15, status and events.** [`status`](MonitorHandle::status) waits for no child. [`Events`] is bounded: who is slow is told how many were
//! missed. Neither has arguments or values of the environment.
//!
//! **M16, want of resources.** When descriptors, processes or memory run out, the start that met it fails with its reason and waits for its
//! backoff. No other service is touched.
//!
//! # Stopped and restarted together
//!
//! [`after`](Service::after) is about starts only: when a service ends, those after it run on. [`with`](Service::with) ties the lives of two
//! services: `x.with("y")` means that x is stopped when y is stopped, restarted or fails, and is started again when y is. While y is stopped, has failed or
//! waits for its restart, x does not start.
//!
//! Each with each is what OTP calls `one_for_all`:
//!
//! ```text
//! a.with("b").with("c")          a fails           a, b and c start again,
//! b.with("a").with("c")    ──►   b and c are  ──►  when the delay of a is over
//! c.with("a").with("b")          stopped
//! ```
//!
//! Each with the one before it, along the order, is what OTP calls `rest_for_one`:
//!
//! ```text
//! a                                        b fails          b starts, when a is ready (it is),
//! b.after("a", When::Ready).with("a")  ──► c is stopped ──► c starts, when b is ready
//! c.after("b", When::Ready).with("b")      a runs on
//! ```
//!
//! Without `with` each is on its own: `one_for_one`.
//!
//! # Caveats
//!
//! - All services of a monitor live on one arbiter. A closure of [`on_line`](Service::on_line), [`protocol`](Service::protocol),
//!   [`Ready::probe`] or [`Alive::probe`] that blocks holds up all of them. The closure that makes a command may block: it has a thread of its
//!   own.
//! - [`Start::free_port`] looks for a port that is free. Somebody else can take it before the child listens; the start fails then, and the next one has
//!   another port.
//! - [`Ready::tcp`] takes whoever listens at that address for the service.
//! - Each service leads a process group, or a session on a terminal, so Ctrl-C at a terminal reaches only the program itself. It ends the program, and
//!   the guard kills the services; [`closing_on_signals`](MonitorHandle::closing_on_signals) makes an orderly shutdown of it.
//! - [`write`](MonitorHandle::write) queues without a bound.
//! - [`Backoff::none`] starts what cannot live as often as the machine can; a start that gives no child is tried every 10 ms.
//! - The monitor ends with the System of the thread that started it, and its services with it. Under `#[tokio::main]` it has a System of its own.
//!
//! # Features
//!
//! `monitor`, on by default, is this module. `regex` lets [`Ready::line`] take a `Regex`. `serde` serializes [`Status`] and [`Event`].

mod access;
mod actor;
mod alive;
mod backoff;
mod check;
mod containment;
mod core;
mod error;
mod event;
mod events;
mod exit;
mod graph;
mod handle;
mod host_death;
mod lease;
pub mod messages;
#[expect(
    clippy::module_inception,
    reason = "the type that the folder is named after"
)]
mod monitor;
mod name;
mod notify;
mod one_line;
pub(crate) mod output;
mod ready;
mod restart;
mod restart_history;
pub(crate) mod sampling;
#[cfg(feature = "serde")]
pub(crate) mod seconds;
#[cfg(feature = "serde")]
mod serialize;
mod service;
mod shared;
mod shutdown_report;
mod signals;
pub(crate) mod spec_error;
mod start;
mod state;
mod status;

pub use alive::Alive;
pub use backoff::Backoff;
pub use containment::{CgroupLimits, CgroupPlace, MonitorContainment};
pub use error::{MonitorError, StartFailure};
pub use event::{Event, EventKind};
pub use events::{Events, Reported};
pub use exit::{Exit, ExitKind};
pub use handle::MonitorHandle;
pub use host_death::OnHostDeath;
pub use lease::Lease;
pub use monitor::Monitor;
pub use name::ServiceName;
pub use output::{Follow, FollowRaw, Followed, FollowedRaw, ServiceLine, Since};
pub use ready::{LinePattern, Ready};
pub use restart::Restart;
pub use sampling::Usage;
pub use service::{Service, StartCommand, When};
pub use shutdown_report::ShutdownReport;
pub use spec_error::SpecError;
pub use start::{Start, StartError};
pub use state::ServiceState;
pub use status::Status;
