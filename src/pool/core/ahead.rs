//! Jobs that a busy worker is sent before it has answered the one that it has: it begins with the next one without a wait for the pool.
//! That saves most of what a short job costs, which is two processes that wait for each other.
//!
//! A job that was sent ahead waits still, and a worker begins with it only when it has answered all before. As long as the worker has not read it, it can be taken
//! back: for a worker that is idle, behind a job that takes long, from a worker that is stopped or marked, for an older job that comes back. Jobs are sent ahead only where
//! that is rare: to a worker whose last jobs were short, behind jobs that nobody reads part by part.

use std::time::Duration;

use super::job::JobAt;
use super::worker::WorkerAt;
use super::{Answered, JobNumber, NoAnswer, PoolEffect, Scheduler, WorkerId};

/// How far ahead jobs are sent.
#[derive(Debug, Clone, Copy)]
pub(in crate::pool) struct AheadTerms {
    /// A worker has so many more than the one that it does at most; 0: none is sent ahead.
    pub(in crate::pool) most: usize,
    /// A job that takes no longer is short.
    pub(in crate::pool) short: Duration,
    /// After so many short ones in a row more are sent ahead.
    pub(in crate::pool) after: u32,
}

/// After a failure to take jobs back.
const AGAIN: Duration = Duration::from_millis(100);

impl Scheduler {
    /// What waits behind a job that takes long is brought back whatever the others do: they may never be idle. True if some is: it is older than
    /// what waits, which may not pass it meanwhile.
    pub(super) fn take_back_behind_long_ones(&mut self) -> bool {
        self.try_again();
        let mut comes_back = false;
        while let Some((since, worker)) = self.loaded.first().copied()
            && self.now.saturating_sub(since) > self.terms.ahead.short
        {
            self.take_back(worker);
            comes_back = true;
        }
        comes_back
    }

    /// Sends jobs ahead, the first of all first; or, where a worker is idle and none waits, has some brought back for it.
    pub(super) fn send_ahead(&mut self) {
        if !self.idle.is_empty() {
            if let Some((_, worker)) = self.loaded.first().copied() {
                self.take_back(worker);
            }
            return;
        }
        while let Some((_, job)) = self.ready.first_key_value()
            && self
                .jobs
                .get(job)
                .is_some_and(|queued| queued.may_go_ahead())
            && let Some((_, worker)) = self.open.first().copied()
        {
            let job = *job;
            let now = self.now;
            let Some(there) = self.workers.get_mut(&worker) else {
                return;
            };
            if now.saturating_sub(there.since) > self.terms.ahead.short {
                // It is no short one. The worker is looked at again when it has another.
                self.open.pop_first();
                there.ahead_place.open = None;
                continue;
            }
            there.ahead.push_back(job);
            there.asked_back = false;
            self.sort_ahead(worker);
            self.take_off_the_queue(job);
            if let Some(queued) = self.jobs.get_mut(&job) {
                queued.at = JobAt::Ahead(worker);
            }
            self.sent_ahead += 1;
            self.effects.push(PoolEffect::SendAhead { worker, job });
        }
    }

    /// The job could not be sent to the worker ahead.
    pub(in crate::pool) fn not_sent_ahead(&mut self, worker: WorkerId, job: JobNumber) {
        if let Some(there) = self.workers.get_mut(&worker) {
            there.takes_more = false;
        }
        self.waits_again(worker, job);
    }

    /// The worker has given back a job that it was sent ahead and has not begun, since the one before takes long; or it was not asked for
    /// that.
    pub(in crate::pool) fn given_back(&mut self, worker: WorkerId, job: JobNumber) -> Answered {
        match self.workers.get_mut(&worker) {
            None => Answered::Stale,
            Some(there) if there.ahead.contains(&job) => {
                there.short_jobs = 0;
                self.waits_again(worker, job);
                Answered::Outcome
            }
            Some(there) if matches!(there.at, WorkerAt::Stopping(_)) => Answered::Stale,
            Some(_) => Answered::OutOfTurn,
        }
    }

    /// What the worker had not read of what it was sent ahead was taken back.
    pub(in crate::pool) fn taken_back(&mut self, worker: WorkerId, jobs: &[JobNumber]) {
        for job in jobs {
            self.waits_again(worker, *job);
        }
    }

    /// Nothing could be taken back, for want of a descriptor. It is tried again.
    pub(in crate::pool) fn not_taken_back(&mut self, worker: WorkerId) {
        let at = self.after(AGAIN);
        self.again.insert((at, worker));
    }

    fn try_again(&mut self) {
        while let Some((at, worker)) = self.again.first().copied()
            && at <= self.now
        {
            self.again.pop_first();
            if let Some(there) = self.workers.get_mut(&worker) {
                there.asked_back = false;
                self.sort_ahead(worker);
            }
        }
    }

    /// Whom this job was sent to ahead: what can be taken back is to be, before it is cancelled.
    pub(in crate::pool) fn is_ahead_at(&self, job: JobNumber) -> Option<WorkerId> {
        match self.jobs.get(&job)?.at {
            JobAt::Ahead(worker) => Some(worker),
            _ => None,
        }
    }

    /// Has what the worker was sent ahead brought back, as far as that is possible. It is tried once until the worker goes on.
    pub(super) fn take_back(&mut self, worker: WorkerId) {
        let Some(there) = self.workers.get_mut(&worker) else {
            return;
        };
        if !there.ahead.is_empty() && !std::mem::replace(&mut there.asked_back, true) {
            self.sort_ahead(worker);
            self.effects.push(PoolEffect::TakeBack { worker });
        }
    }

    /// The job goes before those that were sent ahead and are not urgent, or are younger, if no worker is idle.
    pub(super) fn make_way_for(&mut self, job: JobNumber) {
        if !self.idle.is_empty() {
            return;
        }
        let Some(turn) = self.jobs.get(&job).map(|queued| queued.turn) else {
            return;
        };
        let later = |worker: &WorkerId| {
            let ahead = self.workers.get(worker).map(|there| &there.ahead);
            let last = ahead.and_then(|ahead| self.jobs.get(ahead.back()?));
            last.is_some_and(|last| last.turn > turn)
        };
        let workers = self.loaded.iter().map(|(_, worker)| *worker);
        for worker in workers.filter(later).collect::<Vec<_>>() {
            self.take_back(worker);
        }
    }

    /// The worker has answered a job, which took so long, and begins with the next one that it was sent, if there is one.
    pub(super) fn begin_next(&mut self, worker: WorkerId) -> bool {
        let now = self.now;
        let Some(there) = self.workers.get_mut(&worker) else {
            return false;
        };
        let took = now.saturating_sub(there.since);
        there.short_jobs = match took <= self.terms.ahead.short {
            true => there.short_jobs.saturating_add(1),
            false => 0,
        };
        let Some(job) = there.ahead.pop_front() else {
            return false;
        };
        self.become_busy(worker, job, WorkerAt::Busy(job));
        if let Some(queued) = self.jobs.get_mut(&job) {
            queued.at = JobAt::Running(worker);
            self.sent_ahead -= 1;
            self.running += 1;
            self.effects.push(PoolEffect::Begun { worker, job });
        } else {
            // Nobody wants it any more, and it could not be taken back.
            self.abandon(worker, job);
        }
        true
    }

    /// The worker is being stopped, and shall begin with none of it. What it has read already waits until the worker is gone.
    pub(super) fn take_all_back(&mut self, worker: WorkerId) {
        if let Some(there) = self.workers.get_mut(&worker) {
            there.asked_back = false;
        }
        self.take_back(worker);
    }

    /// The worker is gone. What it was sent ahead and could not be taken back waits again, if it has not begun with it; and it has not if it came to its end by
    /// itself, without an answer to the job before. One that was stopped, or is out of step, may have gone on, so these jobs are lost with it.
    pub(super) fn rest_is_over(&mut self, worker: WorkerId) {
        let Some(there) = self.workers.get_mut(&worker) else {
            return;
        };
        let (ahead, may_have_begun) = (std::mem::take(&mut there.ahead), there.was_stopped);
        self.sort_ahead(worker);
        for job in ahead {
            if may_have_begun && self.is_ahead_at(job).is_some() {
                self.sent_ahead -= 1;
                self.running += 1;
                if let Some(queued) = self.jobs.get_mut(&job) {
                    queued.at = JobAt::Running(worker);
                }
                self.lost(job, worker);
            } else {
                self.waits_at_its_turn(job);
            }
        }
    }

    fn waits_again(&mut self, worker: WorkerId, job: JobNumber) {
        let Some(there) = self.workers.get_mut(&worker) else {
            return;
        };
        if let Some(place) = there.ahead.iter().rposition(|ahead| *ahead == job) {
            there.ahead.remove(place);
            self.sort_ahead(worker);
            self.waits_at_its_turn(job);
        }
    }

    fn waits_at_its_turn(&mut self, job: JobNumber) {
        let Some(queued) = self.jobs.get(&job) else {
            return;
        };
        if !matches!(queued.at, JobAt::Ahead(_)) {
            return;
        }
        if queued.withdrawn {
            self.give_up(job, NoAnswer::Cancelled);
        } else {
            let is_urgent = queued.turn.is_urgent();
            self.sent_ahead -= 1;
            self.make_ready(job);
            // Of the others few come back at a time, and they wait for short jobs only: that is no reason to take back all that is younger.
            if is_urgent {
                self.make_way_for(job);
            }
        }
    }

    /// Of those that are sent jobs ahead, one is sent no more, and what it was sent comes back. If its job takes long, it is one more.
    pub(super) fn one_is_to_become_idle(&mut self) {
        let is_short = |worker: &WorkerId| {
            self.workers.get(worker).is_some_and(|there| {
                matches!(there.at, WorkerAt::Busy(_))
                    && self.now.saturating_sub(there.since) <= self.terms.ahead.short
            })
        };
        if self.becomes_idle.iter().any(is_short) {
            return;
        }
        let loaded = self.loaded.iter().rev().map(|(_, worker)| *worker);
        let open = self.open.iter().map(|(_, worker)| *worker);
        let Some(worker) = loaded.chain(open).find(is_short) else {
            return;
        };
        if let Some(there) = self.workers.get_mut(&worker) {
            there.becomes_idle = true;
        }
        self.becomes_idle.insert(worker);
        self.sort_ahead(worker);
        self.take_back(worker);
    }

    /// All are sent jobs ahead again.
    pub(super) fn none_is_to_become_idle(&mut self) {
        while let Some(worker) = self.becomes_idle.pop_first() {
            if let Some(there) = self.workers.get_mut(&worker) {
                there.becomes_idle = false;
            }
            self.sort_ahead(worker);
        }
    }

    /// Keeps the two sets in step with a worker of which something has changed. One that is idle stays among those that may be sent more: they are looked at
    /// when none is idle.
    pub(super) fn sort_ahead(&mut self, worker: WorkerId) {
        let Some(there) = self.workers.get_mut(&worker) else {
            return;
        };
        let (most, after) = (self.terms.ahead.most, self.terms.ahead.after);
        let place = there.ahead_place(most, after);
        let before = std::mem::replace(&mut there.ahead_place, place);
        if place.open != before.open {
            before.open.map(|count| self.open.remove(&(count, worker)));
            place.open.map(|count| self.open.insert((count, worker)));
        }
        if place.loaded != before.loaded {
            before
                .loaded
                .map(|count| self.loaded.remove(&(count, worker)));
            place
                .loaded
                .map(|count| self.loaded.insert((count, worker)));
        }
    }
}
