//! What is to be done by a time.

use super::worker::WorkerAt;
use super::{NoAnswer, PoolEffect, Recycling, Scheduler, StopWorker, WorkerId};

impl Scheduler {
    /// The time has come for what was to be done by now.
    pub(in crate::pool) fn tick(&mut self) {
        self.expire();
        while let Some((at, worker)) = self.dues.first().copied()
            && at <= self.now
        {
            self.set_due(worker, None);
            self.due(worker);
        }
        while let Some((at, worker)) = self.next_idle_end()
            && at <= self.now
        {
            self.idle_looked_at += 1;
            self.stop_idle_ones(worker);
        }
        while let Some((at, worker)) = self.ages.first().copied()
            && at <= self.now
        {
            self.set_old_at(worker, None);
            self.mark(worker, Recycling::Age);
        }
    }

    /// Ends the jobs that have waited for too long: none is dispatched too late, even if the driver's timer is late.
    pub(super) fn expire(&mut self) {
        while let Some((at, job)) = self.expiries.first().copied()
            && at <= self.now
        {
            self.give_up(job, NoAnswer::Expired);
            self.expiries.remove(&(at, job));
        }
    }

    fn due(&mut self, worker: WorkerId) {
        let Some(there) = self.workers.get(&worker) else {
            return;
        };
        let ran = self.now.saturating_sub(there.since);
        match there.at {
            WorkerAt::Starting => self.is_late(worker),
            WorkerAt::StartingFor(job) => {
                let timeout = self.jobs.get(&job).and_then(|queued| queued.timeout());
                if timeout
                    .or(self.terms.job_timeout)
                    .is_some_and(|time| time <= ran)
                {
                    self.give_up(job, NoAnswer::Timeout { ran });
                } else {
                    self.is_late(worker);
                }
            }
            WorkerAt::Busy(job) | WorkerAt::CheckedOut(job) => {
                self.give_up(job, NoAnswer::Timeout { ran });
            }
            WorkerAt::Cancelling(_) => self.stop_worker(worker, StopWorker::Ladder),
            WorkerAt::Idle | WorkerAt::Spent | WorkerAt::Stopping(_) => {}
        }
    }

    /// It was not ready in time.
    fn is_late(&mut self, worker: WorkerId) {
        self.effects.push(PoolEffect::NotReady { worker });
        self.lose(worker, true);
    }
}
