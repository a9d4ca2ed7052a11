//! The jobs: from their submission to their one outcome.

use super::job::{JobAt, JobTurn, QueuedJob};
use super::{JobNumber, JobTerms, NoAnswer, PoolEffect, Refused, Scheduler, SubmitKind};

impl Scheduler {
    /// Takes a job, or says why not. A job that was taken has exactly one outcome: the driver is told that an answer is one
    /// ([`answered`](Self::answered)), or of [`PoolEffect::NoAnswer`]. That of a checkout is its check-in.
    pub(in crate::pool) fn submit(
        &mut self,
        job: JobNumber,
        terms: JobTerms,
        kind: SubmitKind,
    ) -> Result<(), Refused> {
        if self.closing {
            return Err(Refused::ShuttingDown);
        }
        if self.down && !self.tries_with_a_job() {
            return Err(Refused::Down);
        }
        self.last_turn += 1;
        let urgent = terms.urgent;
        let turn = JobTurn::new(urgent, self.last_turn);
        let queued = QueuedJob::new(terms, turn, kind);
        let key = queued.key().cloned();
        if let Some(at) = queued.expires() {
            self.expiries.insert((at, job));
        }
        self.jobs.insert(job, queued);
        match key {
            None => self.make_ready(job),
            Some(key) => self.join_key(job, turn, &key),
        }
        if urgent {
            self.make_way_for(job);
        }
        Ok(())
    }

    /// Nobody wants the answer any more. A job that has its outcome is no matter.
    pub(in crate::pool) fn cancel(&mut self, job: JobNumber) {
        self.give_up(job, NoAnswer::Cancelled);
    }

    /// Nobody wants the answer any more, unless a worker has begun with the job. One that was sent it ahead, and has read it, may begin with it, or give it back.
    pub(in crate::pool) fn withdraw(&mut self, job: JobNumber) {
        let Some(queued) = self.jobs.get_mut(&job) else {
            return;
        };
        match queued.at {
            JobAt::Running(_) => {}
            JobAt::Ahead(_) => queued.withdrawn = true,
            JobAt::Ready | JobAt::Bound(_) | JobAt::Behind => {
                self.give_up(job, NoAnswer::Cancelled);
            }
        }
    }

    /// The job may go to any worker.
    pub(super) fn make_ready(&mut self, job: JobNumber) {
        if let Some(queued) = self.jobs.get_mut(&job) {
            queued.at = JobAt::Ready;
            let (turn, own) = (queued.turn, queued.own_args && self.terms.one_shot);
            if own {
                self.ready_own.insert(turn, job);
            } else {
                self.ready.insert(turn, job);
            }
        }
    }

    /// The job has a worker: it waits nowhere, and does not expire.
    pub(super) fn take_off_the_queue(&mut self, job: JobNumber) {
        let Some(queued) = self.jobs.get(&job) else {
            return;
        };
        let (turn, at) = (queued.turn, queued.at);
        if let Some(at) = queued.expires() {
            self.expiries.remove(&(at, job));
        }
        match at {
            JobAt::Ready => {
                let own = queued.own_args && self.terms.one_shot;
                let ready = if own {
                    &mut self.ready_own
                } else {
                    &mut self.ready
                };
                ready.remove(&turn);
            }
            JobAt::Bound(worker) => self.unbind(worker, turn),
            JobAt::Behind | JobAt::Running(_) | JobAt::Ahead(_) => {}
        }
    }

    /// A job whose worker came to nothing waits again, at its turn, if it has no expiry that is over.
    pub(super) fn put_back(&mut self, job: JobNumber, too_late: NoAnswer) {
        let Some(queued) = self.jobs.get(&job) else {
            return;
        };
        let expires = queued.expires();
        if expires.is_some_and(|at| at <= self.now) {
            self.forget(job);
            let why = too_late;
            self.effects.push(PoolEffect::NoAnswer { job, why });
            return;
        }
        if let Some(at) = expires {
            self.expiries.insert((at, job));
        }
        self.running -= 1;
        self.make_ready(job);
        // It is older than what was sent ahead since.
        self.make_way_for(job);
    }

    /// Ends a job without an answer. Its worker, if it has one, is told, or stopped.
    pub(super) fn give_up(&mut self, job: JobNumber, why: NoAnswer) {
        let Some(queued) = self.forget(job) else {
            return;
        };
        self.effects.push(PoolEffect::NoAnswer { job, why });
        if let JobAt::Running(worker) = queued.at {
            self.abandon(worker, job);
        }
    }

    /// The job has its outcome: it is nowhere any more.
    pub(super) fn forget(&mut self, job: JobNumber) -> Option<QueuedJob> {
        let queued = match self.jobs.get(&job)?.at {
            JobAt::Running(_) => {
                self.running -= 1;
                self.jobs.remove(&job)?
            }
            JobAt::Ahead(_) => {
                self.sent_ahead -= 1;
                self.jobs.remove(&job)?
            }
            _ => {
                self.take_off_the_queue(job);
                self.jobs.remove(&job)?
            }
        };
        if let Some(key) = queued.key() {
            self.leave_key(job, queued.turn, &key.clone());
        }
        Some(queued)
    }

    /// All jobs that wait get this outcome, the oldest first.
    pub(super) fn refuse_waiting(&mut self, why: NoAnswer) {
        let waits = |(job, queued): (&JobNumber, &QueuedJob)| {
            (!matches!(queued.at, JobAt::Running(_))).then_some((queued.turn, *job))
        };
        let mut waiting: Vec<_> = self.jobs.iter().filter_map(waits).collect();
        waiting.sort_unstable();
        for (_, job) in waiting {
            self.give_up(job, why);
        }
        // Nobody wants what was sent ahead.
        let loaded = self.loaded.iter().map(|(_, worker)| *worker);
        for worker in loaded.collect::<Vec<_>>() {
            self.take_back(worker);
        }
    }
}
