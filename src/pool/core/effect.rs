//! What the machine tells its driver to do.

use std::time::Duration;

use super::{JobNumber, Recycling, WorkerId};

/// The outcome of a job that has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum NoAnswer {
    Expired,
    Timeout {
        ran: Duration,
    },
    Cancelled,
    /// The job has lost so many workers, and may not be tried again; the last one is this.
    Lost {
        worker: WorkerId,
        attempts: u32,
    },
    /// The job has lost as many workers as any job may.
    Poisoned {
        attempts: u32,
    },
    /// Workers cannot be started.
    Down,
    ShuttingDown,
}

/// How a worker is stopped. A stop may be followed by a harder one, never by a milder one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::pool) enum StopWorker {
    /// It has no job: its channel is closed first.
    Retire,
    /// By the ladder, at once.
    Ladder,
    Kill,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pool) enum PoolEffect {
    /// The driver answers with one of `worker_ready`, `start_failed`, `worker_dying` and `worker_gone`.
    Start {
        worker: WorkerId,
        spec: u64,
        /// The one-shot job that it is started for, which is this worker's from then on.
        job: Option<JobNumber>,
    },
    Send {
        worker: WorkerId,
        job: JobNumber,
    },
    /// The worker has something to do still. The driver answers with `not_sent_ahead` if it cannot be done at once, and whole.
    SendAhead {
        worker: WorkerId,
        job: JobNumber,
    },
    /// The worker has begun with a job that it was sent ahead.
    Begun {
        worker: WorkerId,
        job: JobNumber,
    },
    /// The driver answers with `taken_back`, what the worker was sent ahead and has not read, or with `not_taken_back`.
    TakeBack {
        worker: WorkerId,
    },
    /// Tell the worker that nobody wants the answer.
    TellCancel {
        worker: WorkerId,
        job: JobNumber,
    },
    /// The worker was not ready in its time. Precedes what follows from that, and its [`Stop`](Self::Stop).
    NotReady {
        worker: WorkerId,
    },
    /// The driver answers with `worker_gone` when nobody is left of it.
    Stop {
        worker: WorkerId,
        how: StopWorker,
    },
    /// The one outcome of a job that gets no answer.
    NoAnswer {
        job: JobNumber,
        why: NoAnswer,
    },
    /// Precedes the [`Stop`](Self::Stop) of a worker that is replaced as planned.
    Recycled {
        worker: WorkerId,
        why: Recycling,
    },
    /// Somebody has this worker for himself now.
    CheckedOut {
        worker: WorkerId,
        job: JobNumber,
    },
    /// Starts fail, one after the other. Jobs are refused.
    WentDown,
    /// A start has succeeded. Jobs are taken again.
    CameUp,
    /// A reload is over: all workers are of this spec.
    Reloaded {
        spec: u64,
    },
    /// The first worker of a reload could not become ready, another reload took its place, or the pool ends.
    ReloadFailed {
        spec: u64,
    },
    /// All jobs have their outcome, and no worker is left.
    Drained,
}

impl PoolEffect {
    /// A job that goes to a worker makes room for nothing else, and what comes back is told.
    pub(super) const fn makes_no_room(&self) -> bool {
        matches!(
            self,
            Self::Send { .. } | Self::SendAhead { .. } | Self::Begun { .. } | Self::TakeBack { .. }
        )
    }
}

/// What an answer of a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum Answered {
    /// The outcome of the job.
    Outcome,
    /// Nobody waits for it.
    Stale,
    /// The worker was not asked for it.
    OutOfTurn,
}
