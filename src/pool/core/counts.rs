//! How many workers and jobs there are, for those who look.

use super::worker::{WorkerAt, WorkersBy};
use super::{Scheduler, WorkerId};

/// What a pool has at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) struct PoolCounts {
    pub(in crate::pool) workers: WorkersBy,
    /// Jobs without a worker.
    pub(in crate::pool) waiting: usize,
    /// Jobs that have a worker, checkouts included.
    pub(in crate::pool) running: usize,
    pub(in crate::pool) down: bool,
    /// Starts that failed, in a row.
    pub(in crate::pool) failures: u32,
}

impl Scheduler {
    pub(in crate::pool) fn counts(&self) -> PoolCounts {
        PoolCounts {
            workers: self.by,
            waiting: self.waiting(),
            running: self.running,
            down: self.down,
            failures: self.failures,
        }
    }

    /// How many jobs wait.
    pub(in crate::pool) fn waiting(&self) -> usize {
        self.jobs.len().saturating_sub(self.running)
    }

    /// The state of a worker; `None` when it is gone.
    pub(in crate::pool) fn worker_state(&self, worker: WorkerId) -> Option<WorkerAt> {
        self.workers.get(&worker).map(|there| there.at)
    }
}
