//! Jobs whose answer is given out part by part.

use super::{JobNumber, Scheduler};

impl Scheduler {
    /// A part of the answer was given out, so another worker must not begin anew: a loss is the outcome.
    pub(in crate::pool) fn forbid_retry(&mut self, job: JobNumber) {
        if let Some(queued) = self.jobs.get_mut(&job) {
            queued.retries = 0;
        }
    }
}
