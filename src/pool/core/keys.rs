//! The jobs of one key: in order, one at a time, on the same worker while it lives.
//!
//! A worker is remembered for the 1,024 keys whose jobs it did last. It is forgotten for all of them when it stops, and when it is
//! checked out: who has it may keep it for long, and may wait for just these jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::job::{JobAt, JobTurn};
use super::{JobNumber, Scheduler, WorkerId};

/// For so many keys a worker is remembered.
pub(super) const KEYS_PER_WORKER: usize = 1_024;

#[derive(Debug, Clone, Default)]
pub(super) struct KeyLine {
    /// The one that runs, or is next.
    current: Option<JobNumber>,
    /// In the order of submission, urgent or not.
    waiting: BTreeMap<u64, JobNumber>,
    /// The worker that did the last one, and when.
    worker: Option<(WorkerId, u64)>,
}

impl Scheduler {
    pub(super) fn join_key(&mut self, job: JobNumber, turn: JobTurn, key: &Arc<str>) {
        let line = self.keys.entry(Arc::clone(key)).or_default();
        line.waiting.insert(turn.number(), job);
        self.advance_key(key);
    }

    pub(super) fn leave_key(&mut self, job: JobNumber, turn: JobTurn, key: &Arc<str>) {
        if let Some(line) = self.keys.get_mut(key) {
            line.waiting.remove(&turn.number());
            if line.current == Some(job) {
                line.current = None;
            }
        }
        self.advance_key(key);
    }

    /// Lets the next job of a key go, if none of it runs.
    fn advance_key(&mut self, key: &Arc<str>) {
        let Some(line) = self.keys.get_mut(key) else {
            return;
        };
        if line.current.is_some() {
            return;
        }
        let Some((_, next)) = line.waiting.pop_first() else {
            if line.worker.is_none() {
                self.keys.remove(key);
            }
            return;
        };
        line.current = Some(next);
        match line.worker {
            Some((worker, _)) => self.bind(next, worker),
            None => self.make_ready(next),
        }
    }

    fn bind(&mut self, job: JobNumber, worker: WorkerId) {
        if let (Some(queued), Some(there)) =
            (self.jobs.get_mut(&job), self.workers.get_mut(&worker))
        {
            queued.at = JobAt::Bound(worker);
            there.bound.insert(queued.turn, job);
            self.with_bound.insert(worker);
            self.sort_ahead(worker);
        }
    }

    pub(super) fn unbind(&mut self, worker: WorkerId, turn: JobTurn) {
        if let Some(there) = self.workers.get_mut(&worker) {
            there.bound.remove(&turn);
            if there.bound.is_empty() {
                self.with_bound.remove(&worker);
                self.sort_ahead(worker);
            }
        }
    }

    /// This worker does the job of this key that is next.
    pub(super) fn remember(&mut self, worker: WorkerId, key: &Arc<str>) {
        self.last_use += 1;
        let used = self.last_use;
        let Some(line) = self.keys.get_mut(key) else {
            return;
        };
        if let Some((before, at)) = line.worker.replace((worker, used))
            && let Some(there) = self.workers.get_mut(&before)
        {
            there.keys.remove(&at);
        }
        let Some(there) = self.workers.get_mut(&worker) else {
            return;
        };
        there.keys.insert(used, Arc::clone(key));
        if there.keys.len() > KEYS_PER_WORKER
            && let Some((_, oldest)) = there.keys.pop_first()
        {
            self.forget_worker_of(&oldest);
        }
    }

    fn forget_worker_of(&mut self, key: &Arc<str>) {
        if let Some(line) = self.keys.get_mut(key) {
            line.worker = None;
        }
        self.advance_key(key);
    }

    /// No job waits for this worker any more.
    pub(super) fn release(&mut self, worker: WorkerId) {
        let Some(there) = self.workers.get_mut(&worker) else {
            return;
        };
        let bound = std::mem::take(&mut there.bound);
        let keys = std::mem::take(&mut there.keys);
        self.with_bound.remove(&worker);
        for key in keys.into_values() {
            self.forget_worker_of(&key);
        }
        for job in bound.into_values() {
            self.make_ready(job);
        }
    }
}
