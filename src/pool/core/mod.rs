//! What a pool decides: which job goes to which worker, when a worker is started, stopped or replaced, and what each job's outcome is.
//! Plain data: no actor, no clock, no process. Time is a `Duration` since some moment that the driver chose; chance is a number that the
//! driver gives.
//!
//! The driver calls [`at`](Scheduler::at), then one input, then [`effects`](Scheduler::effects), and does what these say.

mod ahead;
mod counts;
mod dispatch;
mod due;
mod effect;
mod ending;
mod facts;
mod job;
mod jobs;
mod keys;
mod losses;
mod one_shot;
mod recycling;
mod reload;
mod starts;
mod states;
mod streamed;
mod terms;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::pool::ids::IdMap;
pub(in crate::pool) use crate::pool::recycling::Recycling;
pub(in crate::pool) use effect::{Answered, NoAnswer, PoolEffect, StopWorker};
pub(in crate::pool) use terms::{AheadTerms, JobTerms, PoolTerms, Refused, SubmitKind};
pub(in crate::pool) use worker::{WorkerAt, WorkersBy};

use job::{JobTurn, QueuedJob};
use keys::KeyLine;
use reload::Reload;
use worker::PoolWorker;

/// A job, as long as it has no outcome.
pub(in crate::pool) type JobNumber = u64;

/// A worker, from its start until it is gone. No other one has the number.
pub(in crate::pool) type WorkerId = u64;

/// All that a pool has to decide on.
#[derive(Debug, Clone)]
pub(in crate::pool) struct Scheduler {
    terms: PoolTerms,
    now: Duration,
    random: f64,
    effects: Vec<PoolEffect>,
    jobs: IdMap<QueuedJob>,
    last_turn: u64,
    /// Jobs that may go to any worker.
    ready: BTreeMap<JobTurn, JobNumber>,
    /// Jobs that may go to a one-shot worker of their own only.
    ready_own: BTreeMap<JobTurn, JobNumber>,
    /// How many jobs have a worker.
    running: usize,
    keys: HashMap<Arc<str>, KeyLine>,
    last_use: u64,
    /// When jobs that wait are too late.
    expiries: BTreeSet<(Duration, JobNumber)>,
    workers: BTreeMap<WorkerId, PoolWorker>,
    by: WorkersBy,
    last_worker: WorkerId,
    /// The most recently idle one is the last.
    idle: Vec<WorkerId>,
    /// So many of them, the first ones, were looked at when their idle time was over.
    idle_looked_at: usize,
    /// Workers that jobs wait for.
    with_bound: BTreeSet<WorkerId>,
    /// Busy workers that may be sent more jobs ahead, by how many they were sent.
    open: BTreeSet<(usize, WorkerId)>,
    /// Those that were sent some, which may be taken back, by the begin of their job.
    loaded: BTreeSet<(Duration, WorkerId)>,
    /// When those are tried again from which nothing could be taken back.
    again: BTreeSet<(Duration, WorkerId)>,
    /// Workers that are sent no more, so that one of them becomes idle.
    becomes_idle: BTreeSet<WorkerId>,
    /// How many jobs were sent ahead, and wait.
    sent_ahead: usize,
    /// Workers that are to be recycled, and are not being stopped yet.
    marked: BTreeSet<WorkerId>,
    dues: BTreeSet<(Duration, WorkerId)>,
    ages: BTreeSet<(Duration, WorkerId)>,
    /// How many are being stopped to be recycled.
    recycling: usize,
    /// Starts that failed, in a row.
    failures: u32,
    /// No start before.
    not_before: Duration,
    /// Workers in a row that died without a job.
    idle_deaths: u32,
    /// No start for which no job waits before.
    refill_at: Duration,
    down: bool,
    spec: u64,
    reload: Option<Reload>,
    /// Takes no jobs any more.
    closing: bool,
    /// And lets none run to its end.
    closing_now: bool,
    drained: bool,
}

impl Scheduler {
    pub(in crate::pool) fn new(terms: PoolTerms) -> Self {
        Self {
            terms,
            now: Duration::ZERO,
            random: 0.5,
            effects: Vec::new(),
            jobs: IdMap::default(),
            last_turn: 0,
            ready: BTreeMap::new(),
            ready_own: BTreeMap::new(),
            running: 0,
            keys: HashMap::new(),
            last_use: 0,
            expiries: BTreeSet::new(),
            workers: BTreeMap::new(),
            by: WorkersBy::default(),
            last_worker: 0,
            idle: Vec::new(),
            idle_looked_at: 0,
            with_bound: BTreeSet::new(),
            open: BTreeSet::new(),
            loaded: BTreeSet::new(),
            again: BTreeSet::new(),
            becomes_idle: BTreeSet::new(),
            sent_ahead: 0,
            marked: BTreeSet::new(),
            dues: BTreeSet::new(),
            ages: BTreeSet::new(),
            recycling: 0,
            failures: 0,
            not_before: Duration::ZERO,
            idle_deaths: 0,
            refill_at: Duration::ZERO,
            down: false,
            spec: 0,
            reload: None,
            closing: false,
            closing_now: false,
            drained: false,
        }
    }

    /// Sets the time and a random number in 0..=1 for what follows. The time never goes back.
    pub(in crate::pool) fn at(&mut self, now: Duration, random: f64) {
        self.now = self.now.max(now);
        self.random = if random.is_nan() {
            0.5
        } else {
            random.clamp(0.0, 1.0)
        };
    }

    /// When [`tick`](Self::tick) is to be called.
    pub(in crate::pool) fn deadline(&self) -> Option<Duration> {
        let first = |set: &BTreeSet<(Duration, u64)>| set.first().map(|(at, _)| *at);
        let start = self.next_start().filter(|at| *at > self.now);
        let own_start = self.next_own_start().filter(|at| *at > self.now);
        [
            first(&self.expiries),
            first(&self.dues),
            first(&self.ages),
            first(&self.again).filter(|at| *at > self.now),
            self.next_idle_end().map(|(at, _)| at),
            start,
            own_start,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Puts what follows from all that was told since the last time behind what is in `all`. To be called after every input.
    pub(in crate::pool) fn effects(&mut self, all: &mut Vec<PoolEffect>) {
        loop {
            let before = self.effects.len();
            self.settle();
            let mut new = self.effects.iter().skip(before);
            if new.all(PoolEffect::makes_no_room) {
                break;
            }
        }
        all.append(&mut self.effects);
    }

    /// What follows, once. Each effect brings all nearer to what is wanted.
    fn settle(&mut self) {
        self.expire();
        self.make_room_for_the_reload();
        self.recycle();
        self.start_first_of_the_reload();
        if self.terms.one_shot {
            self.dispatch_one_shot();
        } else {
            self.dispatch();
        }
        self.start_workers();
        self.look_at_the_reload();
        self.look_at_the_end();
    }

    /// A quarter of all, at least one: so many are started at once, and so many are replaced at once.
    fn quarter(&self) -> usize {
        (self.terms.max / 4).max(1)
    }

    /// A time from now.
    fn after(&self, time: Duration) -> Duration {
        self.now.saturating_add(time)
    }
}
