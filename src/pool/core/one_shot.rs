//! A pool whose workers take one job each: spares are started ahead, other jobs get a process of their own.

use std::time::Duration;

use super::job::JobAt;
use super::{JobNumber, Recycling, Scheduler};

impl Scheduler {
    /// Gives jobs to spares, and starts a process for each of the others while there are places, the first of all first. A place that
    /// only a spare could give is made: a job with arguments of its own waits for no other job because of spares.
    pub(super) fn dispatch_one_shot(&mut self) {
        while let (Some(spare), Some((_, job))) =
            (self.idle.last().copied(), self.ready.first_key_value())
        {
            self.assign(spare, *job);
        }
        while self.next_own_start().is_some_and(|at| at <= self.now) {
            let Some(job) = self.first_ready() else {
                return;
            };
            self.start_for(job);
        }
        // Places that come free by themselves are waited for.
        while self.workers.len() >= self.terms.max
            && self.by.stopping < self.ready_own.len()
            && let Some(spare) = self.idle.first().copied()
        {
            self.retire(spare, Recycling::Idle);
        }
    }

    /// When the next job may have a process started for it; `None` where none waits for one, or there is no place.
    pub(super) fn next_own_start(&self) -> Option<Duration> {
        let waits = !self.ready_own.is_empty() || !self.ready.is_empty();
        let one_at_a_time = self.failures > 0 && self.by.starting + self.by.starting_for > 0;
        (self.terms.one_shot
            && waits
            && !self.closing_now
            && !one_at_a_time
            && self.workers.len() < self.terms.max)
            .then_some(self.not_before)
    }

    /// A pool without spares that is down tries with the next job, when its time has come.
    pub(super) fn tries_with_a_job(&self) -> bool {
        self.terms.one_shot
            && self.terms.min == 0
            && self.now >= self.not_before
            && self.waiting() == 0
            && self.by.starting + self.by.starting_for == 0
            && self.workers.len() < self.terms.max
    }

    fn first_ready(&self) -> Option<JobNumber> {
        let first = self.ready.first_key_value();
        let own = self.ready_own.first_key_value();
        [first, own]
            .into_iter()
            .flatten()
            .min()
            .map(|(_, job)| *job)
    }

    fn start_for(&mut self, job: JobNumber) {
        self.take_off_the_queue(job);
        let worker = self.start_worker(self.spec, Some(job));
        let Some(queued) = self.jobs.get_mut(&job) else {
            return;
        };
        queued.at = JobAt::Running(worker);
        let timeout = queued.timeout().or(self.terms.job_timeout);
        self.running += 1;
        let ready_within = self.terms.ready_within;
        let time = timeout.map_or(ready_within, |time| time.min(ready_within));
        let due = self.after(time);
        self.set_due(worker, Some(due));
    }
}
