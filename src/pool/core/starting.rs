//! How many workers there are: starts, failures of starts, a change of the command, and the end.

use std::time::Duration;

use super::workers::{PoolWorker, WorkerAt};
use super::{NoAnswer, PoolEffect, Recycling, Reload, Scheduler, StopWorker, WorkerId};

impl Scheduler {
    /// Workers that are there to stay.
    pub(super) fn lives(&self) -> usize {
        let stays = |worker: &&PoolWorker| worker.at != WorkerAt::Stopping;
        self.workers.values().filter(stays).count()
    }

    /// Whether one more worker is wanted, if a start were allowed now.
    pub(super) fn wants_start(&self) -> bool {
        if self.closing_now || (self.closing && self.jobs.is_empty()) {
            return false;
        }
        if self.workers.len() >= self.terms.max {
            return false;
        }
        let lives = self.lives();
        let wanted = if self.down {
            // It goes on trying.
            1
        } else {
            let busy = lives - self.idle.len() - self.starting;
            (busy + self.ready.len()).max(self.terms.min)
        };
        lives < wanted.min(self.terms.max)
    }

    /// Starts workers while work waits and there may be more: a quarter of all at a time.
    pub(super) fn start_workers(&mut self) {
        let at_once = (self.terms.max / 4).max(1);
        while self.starting < at_once && self.now >= self.not_before && self.wants_start() {
            // The first one of a new command is alone, until it is ready.
            if self
                .reload
                .as_ref()
                .is_some_and(|reload| !reload.proven && reload.first.is_some())
            {
                return;
            }
            self.start_worker();
            if self.failures > 0 {
                // One at a time, while they fail.
                return;
            }
        }
    }

    fn start_worker(&mut self) {
        self.last_worker += 1;
        let worker = self.last_worker;
        let spread = |value: f64, random: f64| value * (0.9 + 0.2 * random);
        let max_jobs = self.terms.max_jobs.map_or(u32::MAX, |jobs| {
            // At least one.
            spread(f64::from(jobs), self.random).round().max(1.0) as u32
        });
        let spec = self.spec;
        if let Some(reload) = &mut self.reload {
            reload.first.get_or_insert(worker);
        }
        self.workers.insert(
            worker,
            PoolWorker {
                at: WorkerAt::Starting,
                spec,
                jobs: 0,
                max_jobs,
                retiring: None,
                counted: false,
                bound: Default::default(),
                keys: Vec::new(),
                due: None,
                old_at: None,
            },
        );
        self.starting += 1;
        let due = self.now.saturating_add(self.terms.ready_within);
        self.set_due(worker, Some(due));
        if let Some(age) = self.terms.max_age {
            let at = self
                .now
                .saturating_add(age.mul_f64(0.9 + 0.2 * self.random));
            self.ages.insert((at, worker));
            if let Some(there) = self.workers.get_mut(&worker) {
                there.old_at = Some(at);
            }
        }
        self.effects.push(PoolEffect::Start { worker, spec });
    }

    /// A worker of this command could not become ready.
    pub(super) fn start_failed(&mut self, spec: u64) {
        if let Some(reload) = self
            .reload
            .take_if(|reload| !reload.proven && reload.spec == spec)
        {
            self.spec = reload.before;
            self.effects.push(PoolEffect::ReloadFailed { spec });
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let delay = self.terms.backoff.delay(self.failures, self.random);
        self.not_before = self.now.saturating_add(delay);
        if self.failures >= self.terms.down_after && !self.down {
            self.down = true;
            self.refuse_waiting(NoAnswer::Down);
        }
    }

    /// From now on workers are of another command. The first one shows whether it can be had; then the others are replaced, each after
    /// its job.
    pub(in crate::pool) fn reload(&mut self, spec: u64) {
        self.reload = Some(Reload {
            spec,
            before: self.spec,
            first: None,
            proven: false,
        });
        self.spec = spec;
        if self.workers.len() >= self.terms.max {
            // Room for the first one.
            let oldest = self
                .idle
                .first()
                .copied()
                .or_else(|| self.workers.keys().next().copied());
            if let Some(worker) = oldest {
                self.retire(worker, Recycling::Reload);
            }
        }
    }

    pub(super) fn look_at_the_reload(&mut self, worker: WorkerId) {
        let Some(reload) = &mut self.reload else {
            return;
        };
        if reload.first == Some(worker) {
            reload.proven = true;
            let spec = reload.spec;
            let old: Vec<WorkerId> = self
                .workers
                .iter()
                .filter(|(_, there)| there.spec != spec)
                .map(|(worker, _)| *worker)
                .collect();
            for worker in old {
                self.retire(worker, Recycling::Reload);
            }
        }
    }

    /// Takes no jobs any more; what runs and waits is done.
    pub(in crate::pool) fn drain(&mut self) {
        self.closing = true;
    }

    /// Ends all jobs, and stops all workers.
    pub(in crate::pool) fn shut_down(&mut self) {
        self.closing = true;
        self.closing_now = true;
        let jobs: Vec<_> = self.jobs.keys().copied().collect();
        for job in jobs {
            self.give_up(job, NoAnswer::ShuttingDown);
        }
        let workers: Vec<_> = self.workers.keys().copied().collect();
        for worker in workers {
            self.stop_worker(worker, StopWorker::Ladder);
        }
    }

    /// Stops idle workers when nothing is left to be done, and tells when nobody is left.
    pub(super) fn look_at_the_end(&mut self) {
        let reloaded = self.reload.as_ref().is_some_and(|reload| {
            reload.proven && self.workers.values().all(|there| there.spec == reload.spec)
        });
        if reloaded && let Some(reload) = self.reload.take() {
            self.effects
                .push(PoolEffect::Reloaded { spec: reload.spec });
        }
        if !self.closing || !self.jobs.is_empty() {
            return;
        }
        for worker in self.workers.keys().copied().collect::<Vec<_>>() {
            if self.state(worker) != Some(WorkerAt::Stopping) {
                self.stop_worker(worker, StopWorker::Retire);
            }
        }
        if self.workers.is_empty() && !self.drained {
            self.drained = true;
            self.effects.push(PoolEffect::Drained);
        }
    }

    /// When an idle worker is one too many.
    pub(super) fn idle_due(&self) -> Option<Duration> {
        Some(self.now.saturating_add(self.terms.idle_timeout))
    }
}
