//! What a pool has done, and what its workers do now.

use std::time::Duration;

use super::core::Scheduler;
use super::error::JobError;
use super::histogram::Histogram;
use super::recycling::Recycling;
use super::report::PoolReport;
use crate::Bytes;

/// A look at a pool: [`PoolHandle::stats`](super::PoolHandle::stats). The numbers count from its start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PoolStats {
    /// Workers that are not ready yet.
    pub starting: usize,
    /// Workers that have nothing to do.
    pub idle: usize,
    /// Workers that have a job.
    pub busy: usize,
    /// Workers that were told of a cancel, and have not said that they heard.
    pub cancelling: usize,
    /// Workers that somebody has for himself.
    pub checked_out: usize,
    /// Workers on their way to their end.
    pub stopping: usize,
    /// Jobs that wait for a worker.
    pub waiting: usize,
    /// Jobs that a worker has.
    pub running: usize,
    /// Workers cannot be started: [`JobError::PoolDown`].
    pub down: bool,
    /// How jobs ended, those included that were refused at once: each outcome that a caller hears from the pool.
    pub outcomes: Outcomes,
    /// Workers that were replaced though they had done nothing wrong.
    pub recycled: Recycled,
    /// Answers for which nobody waited any more.
    pub stale: u64,
    /// Times from the submission of a job to its worker.
    pub wait: Histogram,
    /// Times from there to the outcome.
    pub run: Histogram,
}

/// How many jobs ended in which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[expect(missing_docs, reason = "the names of the outcomes")]
#[non_exhaustive]
pub struct Outcomes {
    pub answered: u64,
    pub remote: u64,
    pub failed: u64,
    pub queue_full: u64,
    pub too_large: u64,
    pub expired: u64,
    pub timeout: u64,
    pub cancelled: u64,
    pub worker_lost: u64,
    pub poisoned: u64,
    pub protocol: u64,
    pub pool_down: u64,
    pub shutting_down: u64,
}

/// How many workers were replaced for which reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[expect(missing_docs, reason = "the names of the reasons")]
#[non_exhaustive]
pub struct Recycled {
    pub jobs: u64,
    pub age: u64,
    pub memory: u64,
    pub reload: u64,
    pub idle: u64,
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct PoolCounters {
    outcomes: Outcomes,
    recycled: Recycled,
    pub(super) stale: u64,
    pub(super) unkillable: u64,
    wait: Histogram,
    run: Histogram,
    pub(super) finished_in_shutdown: usize,
    shutdown: PoolReport,
}

impl PoolCounters {
    pub(super) fn recycled(&mut self, why: Recycling) {
        let count = match why {
            Recycling::Jobs => &mut self.recycled.jobs,
            Recycling::Age => &mut self.recycled.age,
            Recycling::Memory => &mut self.recycled.memory,
            Recycling::Reload => &mut self.recycled.reload,
            Recycling::Idle => &mut self.recycled.idle,
        };
        *count += 1;
    }

    pub(super) fn outcome(
        &mut self,
        outcome: &Result<Bytes, JobError>,
        at: Duration,
        begun: Option<Duration>,
        now: Duration,
    ) {
        let outcomes = &mut self.outcomes;
        let count = match outcome {
            Ok(_) => &mut outcomes.answered,
            Err(JobError::Remote(_)) => &mut outcomes.remote,
            Err(JobError::Failed { .. }) => &mut outcomes.failed,
            Err(JobError::QueueFull { .. }) => &mut outcomes.queue_full,
            Err(JobError::TooLarge { .. }) => &mut outcomes.too_large,
            Err(JobError::Expired) => &mut outcomes.expired,
            Err(JobError::Timeout { .. }) => &mut outcomes.timeout,
            Err(JobError::Cancelled) => &mut outcomes.cancelled,
            Err(JobError::WorkerLost { .. }) => &mut outcomes.worker_lost,
            Err(JobError::Poisoned { .. }) => &mut outcomes.poisoned,
            Err(JobError::Protocol { .. }) => &mut outcomes.protocol,
            Err(JobError::PoolDown { .. }) => &mut outcomes.pool_down,
            Err(JobError::ShuttingDown) => {
                self.shutdown.ended += 1;
                &mut outcomes.shutting_down
            }
        };
        *count += 1;
        match begun {
            Some(begun) => {
                self.wait.add(begun.saturating_sub(at));
                self.run.add(now.saturating_sub(begun));
            }
            None => self.wait.add(now.saturating_sub(at)),
        }
    }

    pub(super) fn ended_in_shutdown(&mut self, killed: bool, leftovers: usize) {
        let count = if killed {
            &mut self.shutdown.killed
        } else {
            &mut self.shutdown.clean
        };
        *count += 1;
        self.shutdown.leftovers += leftovers;
    }

    pub(super) fn report(&self) -> PoolReport {
        PoolReport {
            finished: self.finished_in_shutdown,
            ..self.shutdown.clone()
        }
    }

    /// With what the scheduler has.
    pub(super) fn stats(&self, scheduler: &Scheduler) -> PoolStats {
        let counts = scheduler.counts();
        PoolStats {
            starting: counts.workers.starting,
            idle: counts.workers.idle,
            busy: counts.workers.busy,
            cancelling: counts.workers.cancelling,
            checked_out: counts.workers.checked_out,
            stopping: counts.workers.stopping,
            waiting: counts.waiting,
            running: counts.running,
            down: counts.down,
            outcomes: self.outcomes,
            recycled: self.recycled,
            stale: self.stale,
            wait: self.wait.clone(),
            run: self.run.clone(),
        }
    }
}
