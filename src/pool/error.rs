//! Why a job has no answer, and why a pool is not started.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::Bytes;
use crate::ExitStatus;
use crate::monitor::ExitKind;
use crate::monitor::SpecError;

/// The outcome of a job that has no answer. Each job has exactly one outcome: this, or the answer.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The worker says that the job failed. It is well, and takes the next one.
    #[error("the worker answered with an error of {} bytes", .0.len())]
    Remote(Bytes),
    /// The process of a one-shot job ended with a status that is no success.
    #[error("the process of the job failed: {status}")]
    #[non_exhaustive]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// The last of its standard error: 4 KiB at most. `Debug` shows how many bytes that are.
        tail: Bytes,
    },
    /// The queue is full. Nothing was done.
    #[error("the queue is full: {limit} jobs wait")]
    #[non_exhaustive]
    QueueFull {
        /// As [`Pool::queue`](super::Pool::queue).
        limit: usize,
    },
    /// The job, or its whole answer, is larger than the pool allows.
    #[error("it is larger than {limit} bytes")]
    #[non_exhaustive]
    TooLarge {
        /// In bytes; see [`Pool::max_frame`](super::Pool::max_frame) and [`Pool::max_answer`](super::Pool::max_answer).
        limit: usize,
    },
    /// No worker had begun with the job at its [deadline in the queue](super::Job::expires).
    #[error("it waited longer than it may")]
    Expired,
    /// The job ran longer than it may. Its worker was told, or stopped.
    #[error("it ran longer than it may: {ran:?}")]
    #[non_exhaustive]
    Timeout {
        /// How long it ran.
        ran: Duration,
    },
    /// Somebody took the job back.
    #[error("it was cancelled")]
    Cancelled,
    /// The worker died, or closed its channel, before it had answered.
    #[error("its worker was lost: {}{}{}", .kind, memory_words(*.over_max_rss), status_words(.status.as_ref()))]
    #[non_exhaustive]
    WorkerLost {
        /// How it ended; `None` if it is still alive.
        status: Option<ExitStatus>,
        /// Why it ended.
        kind: ExitKind,
        /// The last of its standard error: 4 KiB at most. `Debug` shows how many bytes that are.
        tail: Bytes,
        /// The pool stopped it because it had more memory than [`Pool::max_rss_hard`](super::Pool::max_rss_hard) allows. The kind is
        /// [`Stopped`](ExitKind::Stopped) then. A worker that the kernel killed for want of memory has died by SIGKILL, as
        /// [`Signal`](ExitKind::Signal): a pool makes no cgroups, which would tell more.
        over_max_rss: bool,
        /// How many workers the job has lost, this one included.
        attempts: u32,
    },
    /// The job has lost three workers. It is not tried again, however often it may be.
    #[error("it has lost {attempts} workers")]
    #[non_exhaustive]
    Poisoned {
        /// How many workers the job has lost.
        attempts: u32,
    },
    /// The worker, or who submitted the job, did not keep to the framing.
    #[error("{what}")]
    #[non_exhaustive]
    Protocol {
        /// What was wrong. No content of a job or an answer.
        what: Arc<str>,
    },
    /// Workers cannot be started: five starts in a row have failed. The pool goes on trying, and jobs are taken again after the first start that
    /// succeeds.
    ///
    /// That is so also while workers live, where only the starts of more of them fail: their jobs go on, and those that wait and that come are
    /// refused. A job that waits for workers that cannot be had may wait for ever, and who hears of that can go elsewhere; and a command
    /// that fails five times in a row is mostly broken for the workers that live as well.
    #[error("no worker can be started: {last}")]
    #[non_exhaustive]
    PoolDown {
        /// What was wrong with the last start.
        last: Arc<str>,
    },
    /// The pool takes no jobs any more, or has ended.
    #[error("the pool shuts down")]
    ShuttingDown,
}

const fn memory_words(over_max_rss: bool) -> &'static str {
    if over_max_rss { " for its memory" } else { "" }
}

fn status_words(status: Option<&ExitStatus>) -> String {
    status.map_or_else(String::new, |status| format!(": {status}"))
}

impl JobError {
    pub(super) fn protocol(what: impl Into<Arc<str>>) -> Self {
        Self::Protocol { what: what.into() }
    }
}

/// No content of answers.
impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |bytes: &Bytes| format!("{} bytes", bytes.len());
        match self {
            Self::Remote(error) => f.debug_tuple("Remote").field(&bytes(error)).finish(),
            Self::Failed { status, tail } => f
                .debug_struct("Failed")
                .field("status", status)
                .field("tail", &bytes(tail))
                .finish(),
            Self::WorkerLost {
                status,
                kind,
                tail,
                over_max_rss,
                attempts,
            } => f
                .debug_struct("WorkerLost")
                .field("status", status)
                .field("kind", kind)
                .field("tail", &bytes(tail))
                .field("over_max_rss", over_max_rss)
                .field("attempts", attempts)
                .finish(),
            Self::QueueFull { limit } => f.debug_struct("QueueFull").field("limit", limit).finish(),
            Self::TooLarge { limit } => f.debug_struct("TooLarge").field("limit", limit).finish(),
            Self::Timeout { ran } => f.debug_struct("Timeout").field("ran", ran).finish(),
            Self::Poisoned { attempts } => f
                .debug_struct("Poisoned")
                .field("attempts", attempts)
                .finish(),
            Self::Protocol { what } => f.debug_struct("Protocol").field("what", what).finish(),
            Self::PoolDown { last } => f.debug_struct("PoolDown").field("last", last).finish(),
            Self::Expired => f.write_str("Expired"),
            Self::Cancelled => f.write_str("Cancelled"),
            Self::ShuttingDown => f.write_str("ShuttingDown"),
        }
    }
}

/// Why a pool is not started, or not changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// The description of the pool is not acceptable. Nothing was spawned.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// No thread could be started for the pool.
    #[error("no arbiter for the pool: {0}")]
    Arbiter(#[source] Arc<io::Error>),
    /// No worker of the new command became ready. The old ones stay.
    #[error("the new command gives no worker: {problem}")]
    #[non_exhaustive]
    Reload {
        /// What was wrong with the start.
        problem: Arc<str>,
    },
    /// Another reload has taken the place of this one.
    #[error("another reload has taken its place")]
    Overtaken,
    /// The pool has ended, or ends.
    #[error("the pool has ended")]
    Ended,
}
