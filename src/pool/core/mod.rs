//! What a pool decides: which job goes to which worker, when a worker is started, stopped or replaced, and what each job's outcome is.
//! Plain data: no actor, no clock, no process. Time is a `Duration` since some moment that the caller chose; chance is a number that the
//! caller gives.

mod dispatch;
mod jobs;
mod starting;
mod workers;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::monitor::Backoff;
use jobs::{QueuedJob, Turn};
use workers::PoolWorker;

/// A job, as long as it has no outcome.
pub(in crate::pool) type JobId = u64;

/// A worker, from its start until it is gone. No other one has the number.
pub(in crate::pool) type WorkerId = u64;

/// What a pool is told of a job.
#[derive(Debug, Clone, Default)]
pub(in crate::pool) struct JobTerms {
    /// Before those that are not.
    pub(in crate::pool) urgent: bool,
    /// Jobs of one key run in order, one at a time, on the same worker while it lives.
    pub(in crate::pool) key: Option<Arc<str>>,
    /// It must be dispatched by then.
    pub(in crate::pool) expires: Option<Duration>,
    /// How long it may run.
    pub(in crate::pool) timeout: Option<Duration>,
    /// How often it is tried again when its worker is lost.
    pub(in crate::pool) retries: u32,
}

/// How a pool works.
#[derive(Debug, Clone)]
pub(in crate::pool) struct Terms {
    pub(in crate::pool) min: usize,
    pub(in crate::pool) max: usize,
    /// So many jobs may wait.
    pub(in crate::pool) queue: usize,
    pub(in crate::pool) ready_within: Duration,
    pub(in crate::pool) job_timeout: Option<Duration>,
    pub(in crate::pool) idle_timeout: Duration,
    /// How long a worker that was told of a cancel has to answer; `None` where it cannot be told.
    pub(in crate::pool) soft: Option<Duration>,
    pub(in crate::pool) max_jobs: Option<u32>,
    pub(in crate::pool) max_age: Option<Duration>,
    /// A job that has lost so many workers is poisoned.
    pub(in crate::pool) poison: u32,
    /// So many starts that fail in a row make the pool say that it is down.
    pub(in crate::pool) down_after: u32,
    pub(in crate::pool) backoff: Backoff,
}

/// The outcome of a job that has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum NoAnswer {
    Expired,
    Timeout {
        ran: Duration,
    },
    Cancelled,
    /// The worker was lost so often; the last one is this.
    Lost {
        worker: WorkerId,
        attempts: u32,
    },
    Poisoned {
        attempts: u32,
    },
    /// Workers cannot be started.
    Down,
    ShuttingDown,
}

/// Why a job is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum Refused {
    QueueFull { limit: usize },
    Down,
    ShuttingDown,
}

/// Why a worker is replaced that has done nothing wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::pool) enum Recycling {
    Jobs,
    Age,
    Memory,
    Reload,
    Idle,
}

/// How a worker is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum StopWorker {
    /// It has no job: its channel is closed first.
    Retire,
    /// By the ladder, at once.
    Ladder,
    Kill,
}

/// What the caller is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pool) enum PoolEffect {
    Start {
        worker: WorkerId,
        spec: u64,
    },
    Send {
        worker: WorkerId,
        job: JobId,
    },
    /// Tell the worker that nobody wants the answer.
    TellCancel {
        worker: WorkerId,
        job: JobId,
    },
    Stop {
        worker: WorkerId,
        how: StopWorker,
    },
    /// The one outcome of a job that gets no answer.
    NoAnswer {
        job: JobId,
        why: NoAnswer,
    },
    Recycled {
        worker: WorkerId,
        why: Recycling,
    },
    /// All jobs have their outcome, and no worker is left.
    Drained,
    /// A reload is over: all workers are of this spec.
    Reloaded {
        spec: u64,
    },
    /// The first worker of a reload could not become ready.
    ReloadFailed {
        spec: u64,
    },
    /// Somebody has this worker for himself now.
    CheckedOut {
        worker: WorkerId,
        job: JobId,
    },
}

/// The jobs of one key.
#[derive(Debug, Default)]
struct KeyLine {
    /// The one that runs, or is next.
    current: Option<JobId>,
    waiting: VecDeque<JobId>,
    /// The worker that did the last one, while it lives.
    worker: Option<WorkerId>,
}

/// A change of the command, under way.
#[derive(Debug)]
struct Reload {
    spec: u64,
    before: u64,
    /// The first worker of the new command; the change goes on when it is ready.
    first: Option<WorkerId>,
    proven: bool,
}

/// All that a pool has to decide on.
#[derive(Debug)]
pub(in crate::pool) struct Scheduler {
    terms: Terms,
    now: Duration,
    random: f64,
    effects: Vec<PoolEffect>,
    jobs: HashMap<JobId, QueuedJob>,
    last_turn: u64,
    /// Jobs that may go to any worker.
    ready: BTreeMap<Turn, JobId>,
    running: usize,
    keys: HashMap<Arc<str>, KeyLine>,
    expiries: BTreeSet<(Duration, JobId)>,
    workers: BTreeMap<WorkerId, PoolWorker>,
    last_worker: WorkerId,
    /// The most recently idle one is the last.
    idle: Vec<WorkerId>,
    /// Workers that jobs wait for.
    with_bound: BTreeSet<WorkerId>,
    dues: BTreeSet<(Duration, WorkerId)>,
    ages: BTreeSet<(Duration, WorkerId)>,
    starting: usize,
    /// How many are being recycled.
    recycling: usize,
    /// Starts that failed, in a row.
    failures: u32,
    /// No start before.
    not_before: Duration,
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
    pub(in crate::pool) fn new(terms: Terms) -> Self {
        Self {
            terms,
            now: Duration::ZERO,
            random: 0.5,
            effects: Vec::new(),
            jobs: HashMap::new(),
            last_turn: 0,
            ready: BTreeMap::new(),
            running: 0,
            keys: HashMap::new(),
            expiries: BTreeSet::new(),
            workers: BTreeMap::new(),
            last_worker: 0,
            idle: Vec::new(),
            with_bound: BTreeSet::new(),
            dues: BTreeSet::new(),
            ages: BTreeSet::new(),
            starting: 0,
            recycling: 0,
            failures: 0,
            not_before: Duration::ZERO,
            down: false,
            spec: 0,
            reload: None,
            closing: false,
            closing_now: false,
            drained: false,
        }
    }

    /// Sets the time and a random number in 0..1 for what follows.
    pub(in crate::pool) fn at(&mut self, now: Duration, random: f64) {
        self.now = self.now.max(now);
        self.random = random;
    }

    /// When [`tick`](Self::tick) is to be called.
    pub(in crate::pool) fn deadline(&self) -> Option<Duration> {
        let first = |set: &BTreeSet<(Duration, u64)>| set.first().map(|(at, _)| *at);
        let start = (self.wants_start() && self.not_before > self.now).then_some(self.not_before);
        [
            first(&self.expiries),
            first(&self.dues),
            first(&self.ages),
            start,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What follows from all that was told since the last time.
    pub(in crate::pool) fn effects(&mut self) -> Vec<PoolEffect> {
        self.dispatch();
        self.start_workers();
        self.look_at_the_end();
        std::mem::take(&mut self.effects)
    }

    /// How many workers there are, in whatever state.
    pub(in crate::pool) fn size(&self) -> usize {
        self.workers.len()
    }
}
