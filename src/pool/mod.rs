//! Jobs to worker processes: one right outcome each, whatever dies.
//!
//! A [`Pool`] is an actor that gives jobs to worker processes: converters, models in Python, snippets that nobody trusts, anything that takes a job
//! and gives an answer. A [`Job`] is bytes with an order of when and how it runs; its outcome is [`Bytes`](crate::Bytes) or a [`JobError`], exactly
//! one. The [`PoolHandle`] is what the program has of a running pool, on any thread and any runtime. [`messages`] asks the same of it as an actor.
//!
//! ```
//! use std::time::Duration;
//!
//! use actix_process::Command;
//! use actix_process::pool::{Framing, Job, JobError, Pool};
//!
//! # actix::System::new().block_on(async {
//! let secs = Duration::from_secs;
//! // A process for each job: a converter.
//! let upper = Pool::one_shot(Command::new("tr").args(["a-z", "A-Z"])).workers(1..=2).start()?;
//! assert_eq!(upper.submit(Job::new("loud")).await?, "LOUD");
//!
//! // Workers that stay: here a shell script that answers each line of JSON.
//! let script = r#"while read -r job; do id=${job#*:}; echo "{\"id\":${id%%,*},\"ok\":\"done\"}"; done"#;
//! let workers = Pool::new(Command::new("sh").args(["-c", script]))
//!     .framing(Framing::JsonLines)
//!     .workers(1..=2)
//!     .queue(100)
//!     .job_timeout(secs(60))
//!     .start()?;
//! assert_eq!(workers.submit(Job::new("[1, 2]").timeout(secs(5))).await?, r#""done""#);
//! let refused = workers.submit(Job::new("no JSON")).await;
//! assert!(matches!(refused, Err(JobError::Protocol { .. })));
//!
//! // What runs and waits is done, and the workers end.
//! let report = workers.drain(secs(20)).await;
//! assert_eq!(report.killed, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # Which framing
//!
//! | [`Framing`] | a job | use it for |
//! |---|---|---|
//! | [`OneShot`](Framing::OneShot), of [`Pool::one_shot`] | a process: its standard input to the end, its standard output to the end, its status | programs that are there already: `pandoc`, `convert`, `gzip` |
//! | [`JsonLines`](Framing::JsonLines) | a line of JSON on 0, lines on 1 | a worker of five lines in any language; what prints to 1 by accident breaks it |
//! | [`Frames`](Framing::Frames), of [`Pool::new`] | frames of bytes on 3 and 4 | all else: bytes of any kind, readiness, cancels that spare the worker, prints that harm nothing |
//!
//! The file `docs/wire.md` of the sources has the format of all three, `examples/workers/worker.py` is a worker of frames to be copied, and
//! [`worker::serve`] is one in Rust.
//!
//! # The way of a job
//!
//! ```text
//! submit ──► a place in the queue? ──► waits ──► a worker has it ──► answer, or the worker's error
//!                │                       │             │
//!                └─ QueueFull,           ├─ Expired    ├─ Timeout, Cancelled: the worker is told, then stopped
//!                   TooLarge, Protocol   ├─ Cancelled  ├─ WorkerLost, Protocol: the worker is gone, and is replaced
//!                                        ├─ PoolDown   ├─ or waits again (retry_on_loss), and is Poisoned after three losses
//!                                        └──────── ShuttingDown, at each point
//! ```
//!
//! # Answers in order, or as they come
//!
//! [`submit`](PoolHandle::submit) is one call for one job; `futures` has what makes a map of it: `buffered(n)` gives the answers in the order of the
//! jobs, `buffer_unordered(n)` as they come, each with `n` jobs at a time.
//!
//! ```
//! use actix_process::Command;
//! use actix_process::pool::{Job, Pool};
//! use futures::{StreamExt, TryStreamExt, stream};
//!
//! # actix::System::new().block_on(async {
//! let pool = Pool::one_shot(Command::new("cat")).workers(1..=2).start()?;
//! let jobs = || stream::iter(["a", "b", "c"]).map(|text| pool.submit(Job::new(text)));
//! let in_order: Vec<_> = jobs().buffered(2).try_collect().await?;
//! assert_eq!(in_order, ["a", "b", "c"]);
//! let mut as_they_come: Vec<_> = jobs().buffer_unordered(2).try_collect().await?;
//! as_they_come.sort();
//! assert_eq!(as_they_come, in_order);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # Promises
//!
//! **P1, one outcome.** Each job that is submitted has exactly one outcome, and it is the job's own: none is lost, none is answered twice, and none
//! with another's answer. An answer that comes too late is dropped and counted ([`PoolStats::stale`]). An answer to a job that the worker does not
//! have costs the worker its place: what it says is trusted no more.
//!
//! **P2, framing.** A worker that does not keep to its [`Framing`] (a frame that is malformed or [too large](Pool::max_frame), a line that is no
//! answer) is replaced, and its job ends with [`JobError::Protocol`]. What workers print beside their answers can be [followed](PoolHandle::follow), and
//! holds up nobody. [`Noise::Log`] lets lines that are no answers pass.
//!
//! **P3, order.** Jobs go to workers in the order of their submission, [urgent](Job::urgent) ones first. Jobs of one [`key`](Job::key) run one at a
//! time, in order, on the same worker while it lives. A job goes to the worker that was idle last, so that those that are not needed come to rest.
//! While none is idle, a worker of frames that speaks version 2 of the format, and whose last eight jobs took half a millisecond or less each is sent the next ones [ahead](Pool::ahead): it begins with one when it has answered
//! all before, and need not wait for the pool. Only jobs of at most 4,083 bytes go ahead, without a key or an expiry, whose answer is not streamed, and only behind such jobs. A job that
//! was sent ahead waits still. As long as its worker has not read it, and a worker reads one at a time, it comes back: for a worker that is idle, when the job before it takes longer than that, when its own worker is
//! stopped or is to be recycled, or makes room for a reload, for an urgent job, or to be cancelled.
//!
//! **P4, number of workers.** There are never more than the [most](Pool::workers), those that start and those that stop included. A quarter of
//! them (at least one) starts at a time, so that loading does not take the machine from those that work; one-shot processes start as their jobs come,
//! since each is the work itself, and [`spare`](Pool::spare) ones by that rule. Those above the least number stop after their [`idle_timeout`](Pool::idle_timeout). While work waits
//! there is a worker, or a start is tried.
//!
//! **P5, starting.** A worker has [`ready_within`](Pool::ready_within) to become ready, apart from the time of a job; `progress` gives it its time
//! anew. A start that fails is tried again after the [`backoff`](Pool::backoff). After five in a row, jobs that wait and new ones end with
//! [`JobError::PoolDown`] at once, while the pool goes on trying; the first success ends that.
//!
//! **P6, time and cancel.** The [time](Job::timeout) of a job begins when a worker gets it, or has answered the one before; [`expires`](Job::expires) is for the time before. Whoever
//! waits hears at once. Dropping an [`Answer`], an [`AnswerStream`] or the future of a call cancels the job. A worker of frames is told, and
//! is used again if it answers the cancel within [`soft`](Pool::soft); else, and with the other framings, it is stopped by its
//! [ladder](Pool::stop) and replaced.
//!
//! **P7, loss.** A worker that dies, hangs, closes its channel or says nonsense costs its own job only: [`JobError::WorkerLost`], with how
//! it ended and the last of its standard error. One that says nonsense, or is stopped, may have begun with the next job that it was sent
//! [ahead](Pool::ahead): that is lost as well, if the worker has read it. [`retry_on_loss`](Job::retry_on_loss) gives the job to another one. The third worker that a job loses
//! makes it [`JobError::Poisoned`].
//!
//! **P8, streams.** [`stream`](PoolHandle::stream) gives an answer part by part. When [`window`](Pool::window) parts wait for their reader, the worker is
//! held up, and no other. An error after parts is the last item. A job of which a part was given out is not tried again.
//!
//! **P9, sessions.** [`checkout`](PoolHandle::checkout) gives a worker to one [`Session`], which sends it frames and reads the answers. It holds its
//! place in the queue while it waits and while it has the worker, and counts as a job that runs. Dropped, it gives the worker back if all that was sent
//! is answered; else the worker is stopped and replaced. No `job_timeout` ends it; a drain waits for it, until the deadline.
//!
//! **P10, recycling.** A worker is replaced, after its job, when it has done its [`max_jobs`](Pool::max_jobs), is older than [`max_age`](Pool::max_age) or
//! has more memory than [`max_rss`](Pool::max_rss): 10 % earlier or later, and a quarter of all at a time. It is never a loss, except
//! beyond [`max_rss_hard`](Pool::max_rss_hard). [`reload`](PoolHandle::reload) replaces all by workers of another command, once one of these is
//! ready; if it does not become ready, the old ones stay.
//!
//! **P11, back-pressure.** A job beyond the [queue](Pool::queue) is [`JobError::QueueFull`] at once. [`submit_wait`](PoolHandle::submit_wait) waits for
//! a place instead, and [`ready_for_more`](PoolHandle::ready_for_more) only waits. Those who wait cost the pool nothing.
//!
//! **P12, the end.** [`drain`](PoolHandle::drain) takes no more jobs and does those that are there; [`shutdown`](PoolHandle::shutdown) ends them with
//! [`JobError::ShuttingDown`]. At the deadline what is left is killed, and a [`PoolReport`] says what became of all. When the last handle
//! (with the last answer and session that is waited for) is dropped, the System stops, or this program is killed, also by SIGKILL, no worker is left: as
//! for services, M13 of [`monitor`](crate::monitor#promises).
//!
//! **P13, insight.** [`stats`](PoolHandle::stats) counts workers by what they do, outcomes, recyclings, and times in fixed buckets.
//! [`events`](PoolHandle::events) tells of each worker. Neither has content of jobs or answers, arguments or the environment.
//!
//! # Coming from elsewhere
//!
//! | you know | here | difference |
//! |---|---|---|
//! | ampoule: `ProcessPool`, `doWork`, `recycleAfter`, `timeout` | [`Pool::new`], [`submit`](PoolHandle::submit), [`max_jobs`](Pool::max_jobs), [`job_timeout`](Pool::job_timeout) | A worker that was lost is told to its job only, and why. |
//! | Python's `ProcessPoolExecutor` | [`Pool`], [`submit`](PoolHandle::submit); `map` is `buffered` | A worker that dies breaks its job, not the pool. A job that runs can be cancelled. |
//! | php-fpm, gunicorn: `pm.max_children`, `max_requests`, `timeout`, `SIGHUP` | [`workers`](Pool::workers), [`max_jobs`](Pool::max_jobs), [`job_timeout`](Pool::job_timeout), [`reload`](PoolHandle::reload) | A reload to what cannot start leaves the old workers. |
//! | Celery's prefork: `soft_time_limit`, `max_tasks_per_child`, `max_memory_per_child`, `acks_late` | [`soft`](Pool::soft), [`max_jobs`](Pool::max_jobs), [`max_rss`](Pool::max_rss), [`retry_on_loss`](Job::retry_on_loss) | No broker: jobs live and end with this program. A job that kills its workers is not tried for ever. |
//! | poolboy, NimblePool: `checkout`, `max_overflow` | [`checkout`](PoolHandle::checkout), the second number of [`workers`](Pool::workers) | The worker that comes back is used again only if it owes no answer. |
//!
//! # Caveats
//!
//! - A job that was lost may have done half of its work. It is done again only if [`retry_on_loss`](Job::retry_on_loss) says so.
//! - A job that was sent [ahead](Pool::ahead) and is cancelled in the moment in which its worker has read it begins, cancelled.
//! - The body of a job stays in memory until its outcome, for a retry.
//! - All workers of a pool live on one arbiter: what blocks it holds up all of them. The pool's own one runs nothing else.
//! - A worker's program that starts others is stopped with its process group; what leaves the group (`setsid`) escapes.
//! - The workers lead process groups of their own, so Ctrl-C at a terminal reaches only this program.
//!
//! # Features
//!
//! `pool`, on by default, is this module; it needs `monitor`. `json` has typed jobs: `Job::json` and `PoolHandle::submit_json`. `serde` serializes
//! [`PoolStats`], [`PoolEvent`], [`PoolReport`] and what they hold.

mod access;
mod actor;
mod admission;
mod answer;
mod core;
mod error;
mod event;
mod framing;
mod handle;
mod histogram;
mod ids;
mod job;
mod link;
pub mod messages;
#[expect(clippy::module_inception, reason = "the file of `Pool`")]
mod pool;
mod recycling;
mod refused;
mod report;
#[cfg(feature = "serde")]
mod serialize;
mod session;
mod session_frame;
mod settings;
mod shared;
mod stats;
#[cfg(feature = "json")]
mod typed;
mod wire;
pub mod worker;

pub use answer::{Answer, AnswerStream};
pub use error::{JobError, PoolError};
pub use event::{PoolEvent, PoolEventKind, PoolEvents, PoolReported};
pub use framing::{Framing, Noise};
pub use handle::PoolHandle;
pub use histogram::Histogram;
pub use job::Job;
pub use pool::Pool;
pub use recycling::Recycling;
pub use report::PoolReport;
pub use session::Session;
pub use session_frame::SessionFrame;
pub use stats::{Outcomes, PoolStats, Recycled};
