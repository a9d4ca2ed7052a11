//! How many workers there are: starts, and what becomes of them.

use std::time::Duration;

use super::worker::{PoolWorker, WorkerAt};
use super::{JobNumber, NoAnswer, PoolEffect, Scheduler, WorkerId};

impl Scheduler {
    /// When the next worker may be started that is for no single job. `None`: none is wanted, or others are to be ready first.
    pub(super) fn next_start(&self) -> Option<Duration> {
        let at_once = if self.failures > 0 { 1 } else { self.quarter() };
        if self.closing_now
            || self.workers.len() >= self.terms.max
            || self.by.starting >= at_once
            || self.reload_waits_for_its_first()
        {
            return None;
        }
        if self.down {
            // It goes on trying.
            let tries = !self.closing && (!self.terms.one_shot || self.terms.min > 0);
            return tries.then_some(self.not_before);
        }
        let wanted = self.by.occupied() + self.ready.len() + self.sent_ahead;
        if !self.terms.one_shot && self.by.useful() < wanted {
            return Some(self.not_before);
        }
        let kept = self.kept();
        (!self.closing && kept < self.terms.min).then(|| self.not_before.max(self.refill_at))
    }

    /// How many of those there are that are kept: workers, or spares.
    pub(super) fn kept(&self) -> usize {
        if self.terms.one_shot {
            self.by.starting + self.by.idle
        } else {
            self.by.useful()
        }
    }

    /// Starts workers while work waits and there may be more.
    pub(super) fn start_workers(&mut self) {
        while self.next_start().is_some_and(|at| at <= self.now) {
            self.start_worker(self.spec, None);
        }
    }

    pub(super) fn start_worker(&mut self, spec: u64, job: Option<JobNumber>) -> WorkerId {
        self.last_worker += 1;
        let worker = self.last_worker;
        let max_jobs = self.terms.max_jobs.map_or(u32::MAX, |jobs| {
            (f64::from(jobs) * self.spread()).round().max(1.0) as u32
        });
        let at = job.map_or(WorkerAt::Starting, WorkerAt::StartingFor);
        self.add_worker(worker, PoolWorker::new(at, spec, self.now, max_jobs));
        let ready_by = self.after(self.terms.ready_within);
        self.set_due(worker, Some(ready_by));
        self.effects.push(PoolEffect::Start { worker, spec, job });
        worker
    }

    /// By what a bound is multiplied, so that those that are alike do not reach it together.
    pub(super) fn spread(&self) -> f64 {
        0.2f64.mul_add(self.random, 0.9)
    }

    pub(super) fn start_succeeded(&mut self) {
        self.failures = 0;
        self.not_before = Duration::ZERO;
        if std::mem::take(&mut self.down) {
            self.effects.push(PoolEffect::CameUp);
        }
    }

    /// A worker that was started was never ready. It is no failure if that was our will, and none of the pool if it was a reload's.
    pub(super) fn start_came_to_nothing(&mut self, worker: WorkerId) {
        if self.fail_the_reload(worker) || self.closing_now {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let delay = self.terms.backoff.delay(self.failures, self.random);
        self.not_before = self.after(delay);
        if self.failures >= self.terms.down_after {
            if !std::mem::replace(&mut self.down, true) {
                self.effects.push(PoolEffect::WentDown);
            }
            self.refuse_waiting(NoAnswer::Down);
        }
    }
}
