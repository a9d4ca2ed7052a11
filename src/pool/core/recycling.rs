//! Workers that are replaced as planned, or are too many. That is never a loss.

use std::time::Duration;

use super::worker::WorkerAt;
use super::{PoolEffect, Recycling, Scheduler, StopWorker, WorkerId};

impl Scheduler {
    /// It is to be recycled when it has no job.
    pub(super) fn mark(&mut self, worker: WorkerId, why: Recycling) {
        let Some(there) = self.workers.get_mut(&worker) else {
            return;
        };
        if !matches!(there.at, WorkerAt::Stopping(_)) {
            there.marked.get_or_insert(why);
            self.marked.insert(worker);
            self.sort_ahead(worker);
            self.take_back(worker);
        }
    }

    /// Stops those that are to be recycled and have no job, a quarter of all at a time. Those that are too old, too large or of the
    /// former command go on with jobs until it is their turn, and that is when no worker is missing: else the pool would lose those that work
    /// while replacements load, or fail. One that has done its jobs takes no more.
    pub(super) fn recycle(&mut self) {
        if self.marked.is_empty() {
            return;
        }
        let of_state = |spent: bool| {
            let at = if spent {
                WorkerAt::Spent
            } else {
                WorkerAt::Idle
            };
            let marked = self.marked.iter().copied();
            marked
                .filter(|worker| self.worker_state(*worker) == Some(at))
                .take(self.quarter())
                .collect::<Vec<_>>()
        };
        let (spent, idle) = (of_state(true), of_state(false));
        for worker in spent {
            if self.recycling < self.quarter() {
                self.recycle_now(worker, StopWorker::Retire);
            }
        }
        let missing = self.next_start().is_some();
        let tries = self.failures > 0 && self.by.starting > 0;
        if missing || tries || self.reload_is_unproven() {
            return;
        }
        for worker in idle {
            if self.recycling + self.by.starting < self.quarter() {
                self.recycle_now(worker, StopWorker::Retire);
            }
        }
    }

    fn recycle_now(&mut self, worker: WorkerId, how: StopWorker) {
        let Some(there) = self.workers.get_mut(&worker) else {
            return;
        };
        let Some(why) = there.marked else {
            return;
        };
        if !std::mem::replace(&mut there.counted, true) {
            self.recycling += 1;
        }
        self.effects.push(PoolEffect::Recycled { worker, why });
        self.stop_worker(worker, how);
    }

    /// Whatever it does.
    pub(super) fn recycle_at_once(&mut self, worker: WorkerId, why: Recycling) {
        let at = match self.worker_state(worker) {
            None | Some(WorkerAt::Stopping(_)) => return,
            Some(at) => at,
        };
        if matches!(at, WorkerAt::Starting | WorkerAt::StartingFor(_)) {
            // It is too large before it has done anything: one more would be too.
            self.lose(worker, true);
            return;
        }
        if let Some(there) = self.workers.get_mut(&worker) {
            there.marked = Some(why);
        }
        self.recycle_now(worker, StopWorker::Ladder);
        if let WorkerAt::Busy(job) | WorkerAt::CheckedOut(job) = at {
            self.lost(job, worker);
        }
    }

    /// This one has been idle for long: those that were idle for longer are stopped, and then this one, as long as there are too many.
    pub(super) fn stop_idle_ones(&mut self, worker: WorkerId) {
        while self.kept() > self.terms.min
            && self.worker_state(worker) == Some(WorkerAt::Idle)
            && let Some(oldest) = self.idle.first().copied()
        {
            self.retire(oldest, Recycling::Idle);
        }
    }

    /// It is one too many, and has no job.
    pub(super) fn retire(&mut self, worker: WorkerId, why: Recycling) {
        self.effects.push(PoolEffect::Recycled { worker, why });
        self.stop_worker(worker, StopWorker::Retire);
    }

    /// It was made just now.
    pub(super) fn begin_age(&mut self, worker: WorkerId) {
        let Some(age) = self.terms.max_age else {
            return;
        };
        let age = Duration::try_from_secs_f64(age.as_secs_f64() * self.spread());
        let old_at = age.map_or(Duration::MAX, |age| self.after(age));
        self.set_old_at(worker, Some(old_at));
    }
}
