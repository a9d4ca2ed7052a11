//! Workers that are lost with their jobs, and jobs that are given up on their workers.

use super::worker::WorkerAt;
use super::{JobNumber, NoAnswer, PoolEffect, Scheduler, StopWorker, WorkerId};

impl Scheduler {
    /// The worker comes to nothing, and nobody planned that. Its job is lost; its start has failed. It is stopped if there is something
    /// left of it. No matter for one that is being stopped already.
    pub(super) fn lose(&mut self, worker: WorkerId, stop: bool) {
        let Some(at) = self.worker_state(worker) else {
            return;
        };
        if matches!(at, WorkerAt::Stopping(_)) {
            return;
        }
        self.set_at(worker, WorkerAt::Stopping(StopWorker::Ladder));
        match at {
            WorkerAt::Starting => self.start_came_to_nothing(worker),
            WorkerAt::StartingFor(job) => {
                self.put_back(job, NoAnswer::Expired);
                self.start_came_to_nothing(worker);
            }
            WorkerAt::Idle => self.died_idle(worker),
            WorkerAt::Busy(job) | WorkerAt::CheckedOut(job) => self.lost(job, worker),
            WorkerAt::Spent | WorkerAt::Cancelling(_) | WorkerAt::Stopping(_) => {}
        }
        if stop {
            let how = StopWorker::Ladder;
            self.effects.push(PoolEffect::Stop { worker, how });
        }
    }

    /// The worker comes to nothing, and `has` is the job that it was given. Another one, which was on its way to it, is not lost: it waits again, at
    /// its turn; it is returned. [`broken`](Self::broken) or [`worker_dying`](Self::worker_dying) follows.
    pub(in crate::pool) fn never_got(
        &mut self,
        worker: WorkerId,
        has: Option<JobNumber>,
    ) -> Option<JobNumber> {
        let at = self.worker_state(worker)?;
        let (WorkerAt::Busy(job) | WorkerAt::CheckedOut(job)) = at else {
            return None;
        };
        if has == Some(job) {
            return None;
        }
        if self.down {
            self.forget(job);
            let why = NoAnswer::Down;
            self.effects.push(PoolEffect::NoAnswer { job, why });
        } else {
            self.put_back(job, NoAnswer::Expired);
        }
        // That is after the job: no job may wait for it as one that is idle.
        self.set_at(worker, WorkerAt::Idle);
        Some(job)
    }

    /// The worker of a job is lost. The job waits again at its turn, or this is its outcome.
    pub(super) fn lost(&mut self, job: JobNumber, worker: WorkerId) {
        let Some(queued) = self.jobs.get_mut(&job) else {
            return;
        };
        queued.lost = queued.lost.saturating_add(1);
        let attempts = queued.lost;
        let lost = NoAnswer::Lost { worker, attempts };
        let why = if attempts >= self.terms.poison {
            NoAnswer::Poisoned { attempts }
        } else if queued.checkout || attempts > queued.retries {
            lost
        } else if self.down {
            NoAnswer::Down
        } else {
            self.put_back(job, lost);
            return;
        };
        self.forget(job);
        self.effects.push(PoolEffect::NoAnswer { job, why });
    }

    /// Nobody waits for the answer of its job any more: the worker is told, and has a while to answer; or it is stopped.
    pub(super) fn abandon(&mut self, worker: WorkerId, job: JobNumber) {
        let soft = self.terms.soft.filter(|_| !self.terms.one_shot);
        match (self.worker_state(worker), soft) {
            (Some(WorkerAt::Busy(current)), Some(soft)) if current == job => {
                self.set_at(worker, WorkerAt::Cancelling(job));
                let due = self.after(soft);
                self.set_due(worker, Some(due));
                self.effects.push(PoolEffect::TellCancel { worker, job });
                self.take_back(worker);
            }
            (
                Some(
                    WorkerAt::Busy(current)
                    | WorkerAt::CheckedOut(current)
                    | WorkerAt::StartingFor(current),
                ),
                _,
            ) if current == job => self.stop_worker(worker, StopWorker::Ladder),
            _ => {}
        }
    }

    /// A worker that had nothing to do has died. One that does so again and again is replaced ever more slowly, if no job waits; those
    /// that die together count once.
    fn died_idle(&mut self, worker: WorkerId) {
        let ready_at = self.workers.get(&worker).map(|there| there.ready_at);
        let lived = ready_at.map_or(self.now, |at| self.now.saturating_sub(at));
        if self.terms.backoff.forgets_after(lived) {
            self.idle_deaths = 0;
        }
        if self.now >= self.refill_at {
            self.idle_deaths = self.idle_deaths.saturating_add(1);
            let delay = self.terms.backoff.delay(self.idle_deaths, self.random);
            self.refill_at = self.after(delay);
        }
    }
}
