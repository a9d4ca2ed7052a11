//! A job on its way to the actor, and where its outcome goes.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::Bytes;
use crate::pool::core::{JobNumber, WorkerId};
use crate::pool::error::JobError;
use crate::pool::job::Job;
use crate::pool::session_frame::SessionEnd;

/// A job that somebody submits.
pub(in crate::pool) struct Submission {
    pub(in crate::pool) id: JobNumber,
    pub(in crate::pool) job: Job,
    pub(in crate::pool) outlet: Outlet,
    pub(in crate::pool) place: OwnedSemaphorePermit,
    pub(in crate::pool) at: Instant,
}

/// Where the outcome of a job goes.
pub(in crate::pool) enum Outlet {
    Whole(oneshot::Sender<Result<Bytes, JobError>>),
    Parts {
        chunks: mpsc::Sender<Bytes>,
        /// The last part, which may be empty, or why there is none.
        end: oneshot::Sender<Result<Bytes, JobError>>,
    },
    Checkout(CheckoutOutlet),
}

/// A worker that was checked out.
pub(in crate::pool) struct CheckedOut {
    pub(in crate::pool) worker: WorkerId,
    pub(in crate::pool) pid: i32,
    pub(in crate::pool) end: SessionEnd,
}

/// Where a checkout goes.
pub(in crate::pool) struct CheckoutOutlet {
    pub(super) give: Option<oneshot::Sender<CheckedOut>>,
    /// Why it is over.
    pub(super) end: oneshot::Sender<JobError>,
    /// For the one who waits, until the worker's task has taken it.
    pub(super) out: Option<CheckedOut>,
    /// The worker, and the turns of its session.
    pub(super) lent: Option<(WorkerId, Arc<Semaphore>)>,
}

impl Outlet {
    pub(in crate::pool) const fn checkout(
        give: oneshot::Sender<CheckedOut>,
        end: oneshot::Sender<JobError>,
    ) -> Self {
        Self::Checkout(CheckoutOutlet {
            give: Some(give),
            end,
            out: None,
            lent: None,
        })
    }
}
