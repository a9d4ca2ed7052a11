//! Which job goes to which worker, and what is due.

use super::jobs::JobAt;
use super::workers::WorkerAt;
use super::{JobId, NoAnswer, PoolEffect, Recycling, Scheduler, StopWorker, WorkerId};

impl Scheduler {
    /// Gives jobs to idle workers: those that wait for just this worker, or the oldest of all, whichever is first; to the most recently
    /// idle one, so that those that are not needed come to rest.
    pub(super) fn dispatch(&mut self) {
        let bound: Vec<WorkerId> = self.with_bound.iter().copied().collect();
        for worker in bound {
            if self.state(worker) != Some(WorkerAt::Idle) {
                continue;
            }
            let own = self
                .workers
                .get(&worker)
                .and_then(|there| there.bound.first_key_value());
            let Some((own_turn, own_job)) = own.map(|(turn, job)| (*turn, *job)) else {
                continue;
            };
            match self.ready.first_key_value() {
                Some((turn, job)) if *turn < own_turn => self.assign(worker, *job),
                _ => self.assign(worker, own_job),
            }
        }
        while let (Some(worker), Some((_, job))) =
            (self.idle.last().copied(), self.ready.first_key_value())
        {
            self.assign(worker, *job);
        }
    }

    fn assign(&mut self, worker: WorkerId, job: JobId) {
        let now = self.now;
        let Some(queued) = self.jobs.get_mut(&job) else {
            self.ready.retain(|_, other| *other != job);
            return;
        };
        let turn = queued.turn;
        queued.at = JobAt::Running { worker, since: now };
        let checkout = queued.checkout;
        let timeout = queued.terms.timeout.or(self.terms.job_timeout);
        let expires = queued.terms.expires.take();
        let key = queued.terms.key.clone();
        if let Some(at) = expires {
            self.expiries.remove(&(at, job));
        }
        self.ready.remove(&turn);
        self.running += 1;
        self.idle.retain(|idle| *idle != worker);
        if let Some(there) = self.workers.get_mut(&worker) {
            there.bound.remove(&turn);
            if there.bound.is_empty() {
                self.with_bound.remove(&worker);
            }
            there.at = match checkout {
                true => WorkerAt::CheckedOut(job),
                false => WorkerAt::Busy(job),
            };
            if let Some(key) = key {
                if !there.keys.contains(&key) {
                    there.keys.push(key.clone());
                }
                if let Some(line) = self.keys.get_mut(&key) {
                    line.worker = Some(worker);
                }
            }
        }
        let due = timeout.map(|time| now.saturating_add(time));
        self.set_due(worker, due);
        self.effects.push(match checkout {
            true => PoolEffect::CheckedOut { worker, job },
            false => PoolEffect::Send { worker, job },
        });
    }

    /// The time has come for what was to be done by now.
    pub(in crate::pool) fn tick(&mut self) {
        while let Some((at, job)) = self.expiries.first().copied()
            && at <= self.now
        {
            self.give_up(job, NoAnswer::Expired);
            self.expiries.remove(&(at, job));
        }
        while let Some((at, worker)) = self.dues.first().copied()
            && at <= self.now
        {
            self.set_due(worker, None);
            self.due(worker);
        }
        while let Some((at, worker)) = self.ages.first().copied()
            && at <= self.now
        {
            self.ages.remove(&(at, worker));
            self.retire(worker, Recycling::Age);
        }
    }

    fn due(&mut self, worker: WorkerId) {
        match self.state(worker) {
            // It was not ready in time.
            Some(WorkerAt::Starting) => {
                let spec = self.workers.get(&worker).map_or(0, |there| there.spec);
                self.stop_worker(worker, StopWorker::Ladder);
                self.start_failed(spec);
            }
            Some(WorkerAt::Busy(job) | WorkerAt::CheckedOut(job)) => {
                let since = self.jobs.get(&job).map(|queued| queued.at);
                let ran = match since {
                    Some(JobAt::Running { since, .. }) => self.now.saturating_sub(since),
                    _ => std::time::Duration::ZERO,
                };
                self.give_up(job, NoAnswer::Timeout { ran });
            }
            Some(WorkerAt::Cancelling(_)) => self.stop_worker(worker, StopWorker::Ladder),
            Some(WorkerAt::Idle) if self.lives() > self.terms.min => {
                if let Some(there) = self.workers.get_mut(&worker) {
                    there.retiring = Some(Recycling::Idle);
                }
                self.recycle_idle();
            }
            _ => {}
        }
    }
}
