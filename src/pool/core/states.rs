//! The state of each worker, and all that is kept in step with it.

use std::time::Duration;

use super::worker::{PoolWorker, WorkerAt};
use super::{JobNumber, PoolEffect, Scheduler, StopWorker, WorkerId};

impl Scheduler {
    pub(super) fn add_worker(&mut self, worker: WorkerId, there: PoolWorker) {
        *self.by.of(there.at) += 1;
        self.workers.insert(worker, there);
    }

    /// Changes the state of a worker. One that stops, is spent or is checked out is no longer one that jobs wait for.
    pub(super) fn set_at(&mut self, worker: WorkerId, at: WorkerAt) {
        let Some(there) = self.workers.get_mut(&worker) else {
            return;
        };
        let before = std::mem::replace(&mut there.at, at);
        let takes_ahead = there.takes_ahead;
        *self.by.of(before) -= 1;
        *self.by.of(at) += 1;
        if before == WorkerAt::Idle {
            self.leave_idle(worker);
        }
        match at {
            WorkerAt::Idle => self.idle.push(worker),
            WorkerAt::Stopping(_) => {
                self.marked.remove(&worker);
                self.set_due(worker, None);
                self.set_old_at(worker, None);
                self.release(worker);
                self.take_all_back(worker);
            }
            WorkerAt::Spent => {
                self.set_due(worker, None);
                self.release(worker);
            }
            _ => {}
        }
        if takes_ahead {
            self.sort_ahead(worker);
        }
    }

    fn leave_idle(&mut self, worker: WorkerId) {
        // Mostly the last one.
        if let Some(place) = self.idle.iter().rposition(|idle| *idle == worker) {
            self.idle.remove(place);
            if place < self.idle_looked_at {
                self.idle_looked_at -= 1;
            }
        }
    }

    /// Stops a worker, if that was not asked for as hard before.
    pub(super) fn stop_worker(&mut self, worker: WorkerId, how: StopWorker) {
        match self.worker_state(worker) {
            None => return,
            Some(WorkerAt::Stopping(before)) if before >= how => return,
            Some(_) => self.set_at(worker, WorkerAt::Stopping(how)),
        }
        // It goes on until it hears of that.
        if let Some(there) = self.workers.get_mut(&worker) {
            there.was_stopped = true;
        }
        self.effects.push(PoolEffect::Stop { worker, how });
    }

    /// Nobody is left of it.
    pub(super) fn remove_worker(&mut self, worker: WorkerId) {
        self.set_at(worker, WorkerAt::Stopping(StopWorker::Kill));
        self.rest_is_over(worker);
        let Some(there) = self.workers.remove(&worker) else {
            return;
        };
        self.by.stopping -= 1;
        if there.counted {
            self.recycling -= 1;
        }
    }

    /// It has nothing to do.
    pub(super) fn become_idle(&mut self, worker: WorkerId) {
        let now = self.now;
        if let Some(there) = self.workers.get_mut(&worker) {
            there.since = now;
        }
        self.set_at(worker, WorkerAt::Idle);
        self.set_due(worker, None);
    }

    /// Which worker has been idle for its whole time next, and when. Each is looked at once then.
    pub(super) fn next_idle_end(&self) -> Option<(Duration, WorkerId)> {
        let worker = *self.idle.get(self.idle_looked_at)?;
        let since = self.workers.get(&worker)?.since;
        Some((since.saturating_add(self.terms.idle_timeout), worker))
    }

    /// It has this job from now on.
    pub(super) fn become_busy(&mut self, worker: WorkerId, job: JobNumber, at: WorkerAt) {
        let now = self.now;
        let light = self.jobs.get(&job).is_some_and(|queued| queued.light);
        if let Some(there) = self.workers.get_mut(&worker) {
            there.since = now;
            there.has_light = light;
            there.takes_more = true;
            there.asked_back = false;
        }
        self.set_at(worker, at);
        self.set_job_due(worker, job);
    }

    /// When the time of its job is over.
    pub(super) fn set_job_due(&mut self, worker: WorkerId, job: JobNumber) {
        let Some(queued) = self.jobs.get(&job) else {
            return;
        };
        let by_the_pool = self.terms.job_timeout.filter(|_| !queued.checkout);
        let timeout = queued.timeout().or(by_the_pool);
        let since = self
            .workers
            .get(&worker)
            .map_or(self.now, |there| there.since);
        self.set_due(worker, timeout.map(|time| since.saturating_add(time)));
    }

    pub(super) fn set_due(&mut self, worker: WorkerId, due: Option<Duration>) {
        let Some(there) = self.workers.get_mut(&worker) else {
            return;
        };
        if let Some(at) = std::mem::replace(&mut there.due, due) {
            self.dues.remove(&(at, worker));
        }
        if let Some(at) = due {
            self.dues.insert((at, worker));
        }
    }

    pub(super) fn set_old_at(&mut self, worker: WorkerId, old_at: Option<Duration>) {
        let Some(there) = self.workers.get_mut(&worker) else {
            return;
        };
        if let Some(at) = std::mem::replace(&mut there.old_at, old_at) {
            self.ages.remove(&(at, worker));
        }
        if let Some(at) = old_at {
            self.ages.insert((at, worker));
        }
    }
}
