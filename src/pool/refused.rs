//! Outcomes of jobs that were refused before the pool had them.

use std::sync::atomic::{AtomicU64, Ordering};

use super::error::JobError;
use super::stats::Outcomes;

/// Counted by those who submit, on any thread.
#[derive(Debug, Default)]
pub(super) struct RefusedCounts {
    queue_full: AtomicU64,
    too_large: AtomicU64,
    protocol: AtomicU64,
    shutting_down: AtomicU64,
}

impl RefusedCounts {
    /// Counts a job that was refused with this.
    pub(super) fn count(&self, why: &JobError) {
        let count = match why {
            JobError::QueueFull { .. } => &self.queue_full,
            JobError::TooLarge { .. } => &self.too_large,
            JobError::Protocol { .. } => &self.protocol,
            JobError::ShuttingDown => &self.shutting_down,
            // Outcomes of jobs that the pool has, which it counts itself.
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// These and all that were refused.
    pub(super) fn with(&self, outcomes: Outcomes) -> Outcomes {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Outcomes {
            queue_full: outcomes.queue_full + count(&self.queue_full),
            too_large: outcomes.too_large + count(&self.too_large),
            protocol: outcomes.protocol + count(&self.protocol),
            shutting_down: outcomes.shutting_down + count(&self.shutting_down),
            ..outcomes
        }
    }
}
