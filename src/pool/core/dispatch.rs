//! Which job goes to which worker, in a pool of workers that stay.

use super::job::JobAt;
use super::worker::WorkerAt;
use super::{JobNumber, PoolEffect, Scheduler, WorkerId};

impl Scheduler {
    /// Gives jobs to idle workers: always the first of all that can go, those included that wait for just one worker. A job that may go
    /// to any goes to the most recently idle one, so that those that are not needed come to rest. What is left may go ahead.
    pub(super) fn dispatch(&mut self) {
        // What comes back has its turn first: the driver tells of that before anything else.
        if self.waits_for_what_comes_back() {
            return;
        }
        while let Some((worker, job)) = self.next_dispatch() {
            self.assign(worker, job);
        }
        self.send_ahead();
    }

    fn waits_for_what_comes_back(&mut self) -> bool {
        let comes_back = |effect: &PoolEffect| matches!(effect, PoolEffect::TakeBack { .. });
        self.take_back_behind_long_ones() || self.effects.iter().any(comes_back)
    }

    fn next_dispatch(&self) -> Option<(WorkerId, JobNumber)> {
        let last = *self.idle.last()?;
        let bound = self.with_bound.iter().filter_map(|worker| {
            let there = self.workers.get(worker)?;
            let (turn, job) = there.bound.first_key_value()?;
            (there.at == WorkerAt::Idle).then_some((*turn, *worker, *job))
        });
        let bound = bound.min();
        let any = self.ready.first_key_value();
        match (bound, any) {
            (None, None) => None,
            (Some((turn, worker, job)), any) if any.is_none_or(|(other, _)| turn < *other) => {
                Some((worker, job))
            }
            (_, Some((_, job))) => Some((last, *job)),
            (Some((_, worker, job)), None) => Some((worker, job)),
        }
    }

    pub(super) fn assign(&mut self, worker: WorkerId, job: JobNumber) {
        self.take_off_the_queue(job);
        let Some(queued) = self.jobs.get_mut(&job) else {
            return;
        };
        queued.at = JobAt::Running(worker);
        let checkout = queued.checkout;
        let key = queued.key().cloned();
        self.running += 1;
        if checkout {
            self.release(worker);
            self.become_busy(worker, job, WorkerAt::CheckedOut(job));
            self.effects.push(PoolEffect::CheckedOut { worker, job });
        } else {
            self.become_busy(worker, job, WorkerAt::Busy(job));
            self.effects.push(PoolEffect::Send { worker, job });
        }
        if let Some(key) = key.filter(|_| !self.terms.one_shot) {
            self.remember(worker, &key);
        }
    }
}
