//! The jobs: from their submission to their one outcome.

use std::sync::Arc;
use std::time::Duration;

use super::{JobId, JobTerms, NoAnswer, PoolEffect, Refused, Scheduler, WorkerId};

/// The place of a job in the queue: urgent ones first, then by age.
pub(super) type Turn = (bool, u64);

#[derive(Debug)]
pub(super) struct QueuedJob {
    pub(super) terms: JobTerms,
    pub(super) turn: Turn,
    pub(super) at: JobAt,
    /// How many workers it has lost.
    pub(super) lost: u32,
    /// It wants a worker for itself.
    pub(super) checkout: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobAt {
    /// It may go to any worker.
    Ready,
    /// It waits for this worker, which has done the earlier jobs of its key.
    Bound(WorkerId),
    /// It waits for an earlier job of its key.
    Behind,
    Running {
        worker: WorkerId,
        since: Duration,
    },
}

impl Scheduler {
    /// Takes a job, or says why not. A job that was taken has exactly one outcome: the caller is told of an answer by the worker, or of
    /// [`PoolEffect::NoAnswer`].
    pub(in crate::pool) fn submit(
        &mut self,
        job: JobId,
        terms: JobTerms,
        checkout: bool,
    ) -> Result<(), Refused> {
        if self.closing {
            return Err(Refused::ShuttingDown);
        }
        if self.down {
            return Err(Refused::Down);
        }
        if self.waiting() >= self.terms.queue + self.free_places() {
            let limit = self.terms.queue;
            return Err(Refused::QueueFull { limit });
        }
        self.last_turn += 1;
        let turn = (!terms.urgent, self.last_turn);
        if let Some(at) = terms.expires {
            self.expiries.insert((at, job));
        }
        let key = terms.key.clone();
        let queued = QueuedJob {
            terms,
            turn,
            at: JobAt::Behind,
            lost: 0,
            checkout,
        };
        self.jobs.insert(job, queued);
        match key {
            None => self.make_ready(job),
            Some(key) => self.join_key(job, key),
        }
        Ok(())
    }

    /// How many jobs wait.
    pub(in crate::pool) fn waiting(&self) -> usize {
        self.jobs.len() - self.running
    }

    /// Workers that could take a job at once.
    fn free_places(&self) -> usize {
        self.idle.len()
    }

    fn join_key(&mut self, job: JobId, key: Arc<str>) {
        let line = self.keys.entry(Arc::clone(&key)).or_default();
        line.waiting.push_back(job);
        self.advance_key(&key);
    }

    /// Lets the next job of a key go, if none of it runs.
    pub(super) fn advance_key(&mut self, key: &Arc<str>) {
        let Some(line) = self.keys.get_mut(key) else {
            return;
        };
        if line.current.is_some() {
            return;
        }
        let Some(next) = line.waiting.pop_front() else {
            // The worker is remembered as long as it lives: it forgets its keys when it is gone.
            if line.worker.is_none() {
                self.keys.remove(key);
            }
            return;
        };
        line.current = Some(next);
        match line
            .worker
            .filter(|worker| self.workers.contains_key(worker))
        {
            Some(worker) => self.bind(next, worker),
            None => self.make_ready(next),
        }
    }

    pub(super) fn make_ready(&mut self, job: JobId) {
        if let Some(queued) = self.jobs.get_mut(&job) {
            queued.at = JobAt::Ready;
            self.ready.insert(queued.turn, job);
        }
    }

    fn bind(&mut self, job: JobId, worker: WorkerId) {
        if let (Some(queued), Some(worker_there)) =
            (self.jobs.get_mut(&job), self.workers.get_mut(&worker))
        {
            queued.at = JobAt::Bound(worker);
            worker_there.bound.insert(queued.turn, job);
            self.with_bound.insert(worker);
        }
    }

    /// Nobody wants the answer any more.
    pub(in crate::pool) fn cancel(&mut self, job: JobId) {
        self.give_up(job, NoAnswer::Cancelled);
    }

    /// Ends a job without an answer. Its worker, if it has one, is told, or stopped.
    pub(super) fn give_up(&mut self, job: JobId, why: NoAnswer) {
        let Some(at) = self.jobs.get(&job).map(|queued| queued.at) else {
            return;
        };
        self.forget(job);
        self.effects.push(PoolEffect::NoAnswer { job, why });
        if let JobAt::Running { worker, .. } = at {
            self.abandon_on(worker, job);
        }
    }

    /// The job has its outcome: it is nowhere any more.
    pub(super) fn forget(&mut self, job: JobId) -> Option<QueuedJob> {
        let queued = self.jobs.remove(&job)?;
        if let Some(at) = queued.terms.expires {
            self.expiries.remove(&(at, job));
        }
        match queued.at {
            JobAt::Ready => drop(self.ready.remove(&queued.turn)),
            JobAt::Bound(worker) => {
                if let Some(there) = self.workers.get_mut(&worker) {
                    there.bound.remove(&queued.turn);
                    if there.bound.is_empty() {
                        self.with_bound.remove(&worker);
                    }
                }
            }
            JobAt::Behind => {}
            JobAt::Running { .. } => self.running -= 1,
        }
        if let Some(key) = &queued.terms.key
            && let Some(line) = self.keys.get_mut(key)
        {
            if line.current == Some(job) {
                line.current = None;
            } else {
                line.waiting.retain(|other| *other != job);
            }
            let key = Arc::clone(key);
            self.advance_key(&key);
        }
        Some(queued)
    }

    /// All jobs that wait get this outcome.
    pub(super) fn refuse_waiting(&mut self, why: NoAnswer) {
        let waits = |(job, queued): (&JobId, &QueuedJob)| {
            (!matches!(queued.at, JobAt::Running { .. })).then_some((queued.turn, *job))
        };
        let mut waiting: Vec<_> = self.jobs.iter().filter_map(waits).collect();
        waiting.sort_unstable();
        for (_, job) in waiting {
            self.give_up(job, why);
        }
    }

    /// The worker of a job is lost. The job waits again where it was, or this is its outcome.
    pub(super) fn lost(&mut self, job: JobId, worker: WorkerId) {
        let poison = self.terms.poison;
        let Some(queued) = self.jobs.get_mut(&job) else {
            return;
        };
        queued.lost += 1;
        let attempts = queued.lost;
        let why = if attempts >= poison {
            NoAnswer::Poisoned { attempts }
        } else if attempts > queued.terms.retries {
            NoAnswer::Lost { worker, attempts }
        } else if self.closing_now {
            NoAnswer::ShuttingDown
        } else {
            queued.at = JobAt::Ready;
            self.ready.insert(queued.turn, job);
            self.running -= 1;
            return;
        };
        self.forget(job);
        self.effects.push(PoolEffect::NoAnswer { job, why });
    }
}
