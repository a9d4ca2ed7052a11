//! The workers: from their start to their end, and what ends them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::jobs::{JobAt, Turn};
use super::{JobId, NoAnswer, PoolEffect, Recycling, Scheduler, StopWorker, WorkerId};

#[derive(Debug)]
pub(super) struct PoolWorker {
    pub(super) at: WorkerAt,
    /// Of which command it is.
    pub(super) spec: u64,
    pub(super) jobs: u32,
    /// It is recycled after so many jobs.
    pub(super) max_jobs: u32,
    /// It is to be recycled when it has no job.
    pub(super) retiring: Option<Recycling>,
    /// It counts as one of those that are being recycled.
    pub(super) counted: bool,
    /// Jobs that wait for this worker and no other.
    pub(super) bound: BTreeMap<Turn, JobId>,
    /// The keys whose last job it did.
    pub(super) keys: Vec<Arc<str>>,
    /// Its next deadline.
    pub(super) due: Option<Duration>,
    /// When its age is over.
    pub(super) old_at: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkerAt {
    Starting,
    Idle,
    Busy(JobId),
    /// Somebody has it for himself.
    CheckedOut(JobId),
    /// It was told that nobody wants the answer to this job, and has not said yet that it has heard.
    Cancelling(JobId),
    Stopping,
}

impl Scheduler {
    /// The worker can take jobs.
    pub(in crate::pool) fn worker_ready(&mut self, worker: WorkerId) {
        let Some(there) = self.workers.get_mut(&worker) else {
            return;
        };
        if there.at != WorkerAt::Starting {
            return;
        }
        self.failures = 0;
        self.down = false;
        self.starting -= 1;
        self.become_idle(worker);
        self.look_at_the_reload(worker);
    }

    /// A worker that starts says that it goes on: it has its whole time again.
    pub(in crate::pool) fn worker_progress(&mut self, worker: WorkerId) {
        let at = self.now.saturating_add(self.terms.ready_within);
        if self.state(worker) == Some(WorkerAt::Starting) {
            self.set_due(worker, Some(at));
        }
    }

    /// The worker has given the whole answer to this job: it is that of the job if this is true. Else the answer is late, or to another
    /// job than it was asked for.
    pub(in crate::pool) fn answered(&mut self, worker: WorkerId, job: JobId) -> Answered {
        match self.state(worker) {
            Some(WorkerAt::Busy(current)) if current == job => {
                self.forget(job);
                self.done(worker);
                Answered::Outcome
            }
            Some(WorkerAt::Cancelling(current)) if current == job => {
                self.done(worker);
                Answered::Stale
            }
            Some(WorkerAt::Stopping) | None => Answered::Stale,
            _ => Answered::OutOfTurn,
        }
    }

    /// Whether this worker does this job for somebody.
    pub(in crate::pool) fn is_doing(&self, worker: WorkerId, job: JobId) -> bool {
        let at = self.state(worker);
        at == Some(WorkerAt::Busy(job)) || at == Some(WorkerAt::CheckedOut(job))
    }

    /// The one who had it for himself gives it back, unharmed or not.
    pub(in crate::pool) fn checked_in(&mut self, worker: WorkerId, unharmed: bool) {
        let Some(WorkerAt::CheckedOut(job)) = self.state(worker) else {
            return;
        };
        self.forget(job);
        if unharmed {
            self.done(worker);
        } else {
            self.stop_worker(worker, StopWorker::Ladder);
        }
    }

    /// The worker is out of step, or says nonsense: it is replaced, and its job is lost.
    pub(in crate::pool) fn broken(&mut self, worker: WorkerId) {
        self.take_job(worker);
        self.stop_worker(worker, StopWorker::Ladder);
    }

    /// Nobody is left of the worker. A job that it had is lost.
    pub(in crate::pool) fn worker_gone(&mut self, worker: WorkerId) {
        let Some(there) = self.workers.get(&worker) else {
            return;
        };
        let started = there.at == WorkerAt::Starting;
        self.take_job(worker);
        self.set_due(worker, None);
        let Some(there) = self.workers.remove(&worker) else {
            return;
        };
        self.idle.retain(|idle| *idle != worker);
        self.with_bound.remove(&worker);
        if let Some(at) = there.old_at {
            self.ages.remove(&(at, worker));
        }
        if there.counted {
            self.recycling -= 1;
            self.recycle_idle();
        }
        if started {
            self.starting -= 1;
            self.start_failed(there.spec);
        }
        for job in there.bound.into_values() {
            self.make_ready(job);
        }
        for key in there.keys {
            if let Some(line) = self.keys.get_mut(&key)
                && line.worker == Some(worker)
            {
                line.worker = None;
                self.advance_key(&key);
            }
        }
        self.look_at_the_end();
    }

    /// The memory of the worker is above its bound: soon, or at once.
    pub(in crate::pool) fn too_large(&mut self, worker: WorkerId, at_once: bool) {
        if at_once {
            self.take_job(worker);
            self.recycle(worker, Recycling::Memory, StopWorker::Ladder);
        } else {
            self.retire(worker, Recycling::Memory);
        }
    }

    /// Recycles it when it has no job.
    pub(super) fn retire(&mut self, worker: WorkerId, why: Recycling) {
        if let Some(there) = self.workers.get_mut(&worker) {
            there.retiring.get_or_insert(why);
        }
        self.recycle_idle();
    }

    /// Stops idle ones that are to be recycled: a quarter of all at a time.
    pub(super) fn recycle_idle(&mut self) {
        let at_once = (self.terms.max / 4).max(1);
        for worker in self.idle.clone() {
            let why = self.workers.get(&worker).and_then(|there| there.retiring);
            if let Some(why) = why
                && self.recycling < at_once
            {
                self.recycle(worker, why, StopWorker::Retire);
            }
        }
    }

    fn recycle(&mut self, worker: WorkerId, why: Recycling, how: StopWorker) {
        self.effects.push(PoolEffect::Recycled { worker, why });
        self.stop_worker(worker, how);
    }

    /// It has nothing to do.
    pub(super) fn become_idle(&mut self, worker: WorkerId) {
        let due = self.idle_due();
        if let Some(there) = self.workers.get_mut(&worker) {
            there.at = WorkerAt::Idle;
        }
        self.idle.push(worker);
        self.set_due(worker, due);
        self.recycle_idle();
    }

    fn done(&mut self, worker: WorkerId) {
        if let Some(there) = self.workers.get_mut(&worker) {
            there.jobs += 1;
            if there.jobs >= there.max_jobs {
                there.retiring.get_or_insert(Recycling::Jobs);
            }
        }
        self.become_idle(worker);
    }

    /// Its job, if it has one, is lost.
    fn take_job(&mut self, worker: WorkerId) {
        match self.state(worker) {
            Some(WorkerAt::Busy(job)) => self.lost(job, worker),
            Some(WorkerAt::CheckedOut(job)) => {
                self.forget(job);
                let attempts = 1;
                let why = NoAnswer::Lost { worker, attempts };
                self.effects.push(PoolEffect::NoAnswer { job, why });
            }
            _ => {}
        }
    }

    /// Nobody waits for the answer of its job any more.
    pub(super) fn abandon_on(&mut self, worker: WorkerId, job: JobId) {
        match (self.state(worker), self.terms.soft) {
            (Some(WorkerAt::Busy(current)), Some(soft)) if current == job => {
                let at = self.now.saturating_add(soft);
                if let Some(there) = self.workers.get_mut(&worker) {
                    there.at = WorkerAt::Cancelling(job);
                }
                self.set_due(worker, Some(at));
                self.effects.push(PoolEffect::TellCancel { worker, job });
            }
            (Some(WorkerAt::Busy(current) | WorkerAt::CheckedOut(current)), _)
                if current == job =>
            {
                self.stop_worker(worker, StopWorker::Ladder);
            }
            _ => {}
        }
    }

    pub(super) fn stop_worker(&mut self, worker: WorkerId, how: StopWorker) {
        let Some(there) = self.workers.get_mut(&worker) else {
            return;
        };
        match std::mem::replace(&mut there.at, WorkerAt::Stopping) {
            WorkerAt::Stopping if how != StopWorker::Kill => return,
            WorkerAt::Starting => self.starting -= 1,
            WorkerAt::Idle => self.idle.retain(|idle| *idle != worker),
            _ => {}
        }
        if let Some(there) = self.workers.get_mut(&worker)
            && there.retiring.is_some()
            && !there.counted
        {
            there.counted = true;
            self.recycling += 1;
        }
        let bound = self
            .workers
            .get_mut(&worker)
            .map(|there| std::mem::take(&mut there.bound));
        self.with_bound.remove(&worker);
        for job in bound.into_iter().flat_map(BTreeMap::into_values) {
            self.make_ready(job);
        }
        self.set_due(worker, None);
        self.effects.push(PoolEffect::Stop { worker, how });
    }

    pub(super) fn state(&self, worker: WorkerId) -> Option<WorkerAt> {
        self.workers.get(&worker).map(|there| there.at)
    }

    pub(super) fn set_due(&mut self, worker: WorkerId, due: Option<Duration>) {
        let Some(there) = self.workers.get_mut(&worker) else {
            return;
        };
        if let Some(at) = there.due.take() {
            self.dues.remove(&(at, worker));
        }
        there.due = due;
        if let Some(at) = due {
            self.dues.insert((at, worker));
        }
    }
}

/// What an answer of a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum Answered {
    /// The outcome of the job.
    Outcome,
    /// Nobody waits for it.
    Stale,
    /// The worker was not asked for it.
    OutOfTurn,
}
