//! The end of a pool: after its work, or at once.

use super::worker::WorkerAt;
use super::{JobNumber, NoAnswer, PoolEffect, Scheduler, StopWorker, WorkerId};

impl Scheduler {
    /// Takes no jobs any more; what runs and waits is done.
    pub(in crate::pool) fn drain(&mut self) {
        self.closing = true;
        if self.reload_is_unproven() {
            self.end_the_reload();
        }
    }

    /// Ends all jobs, and stops all workers. The second time, kills them.
    pub(in crate::pool) fn shut_down(&mut self) {
        let how = if self.closing_now {
            StopWorker::Kill
        } else {
            StopWorker::Ladder
        };
        self.drain();
        self.closing_now = true;
        let jobs = self.jobs.iter().map(|(job, queued)| (queued.turn, *job));
        let mut jobs: Vec<(_, JobNumber)> = jobs.collect();
        jobs.sort_unstable();
        for (_, job) in jobs {
            self.forget(job);
            let why = NoAnswer::ShuttingDown;
            self.effects.push(PoolEffect::NoAnswer { job, why });
        }
        let workers: Vec<WorkerId> = self.workers.keys().copied().collect();
        for worker in workers {
            self.stop_worker(worker, how);
        }
    }

    /// Stops the workers when nothing is left to be done, and tells when nobody is left.
    pub(super) fn look_at_the_end(&mut self) {
        if !self.closing || !self.jobs.is_empty() {
            return;
        }
        let workers = self
            .workers
            .iter()
            .map(|(worker, there)| (*worker, there.at));
        for (worker, at) in workers.collect::<Vec<_>>() {
            match at {
                WorkerAt::Idle | WorkerAt::Spent => self.stop_worker(worker, StopWorker::Retire),
                WorkerAt::Starting => self.stop_worker(worker, StopWorker::Ladder),
                // It answers, or its time is over.
                _ => {}
            }
        }
        if self.workers.is_empty() && !std::mem::replace(&mut self.drained, true) {
            self.effects.push(PoolEffect::Drained);
        }
    }
}
