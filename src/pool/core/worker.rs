//! A worker, from its start until it is gone: what it does, and what it is for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::job::JobTurn;
use super::{JobNumber, Recycling, StopWorker};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum WorkerAt {
    Starting,
    /// It is started for this one-shot job.
    StartingFor(JobNumber),
    Idle,
    /// It has done its jobs, and takes no more. It waits for its turn to be recycled.
    Spent,
    Busy(JobNumber),
    /// Somebody has it for himself.
    CheckedOut(JobNumber),
    /// It was told that nobody wants the answer to this job, and has not said yet that it has heard.
    Cancelling(JobNumber),
    Stopping(StopWorker),
}

/// Where a worker is in the two sets, by how many jobs it was sent ahead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AheadPlace {
    pub(super) open: Option<usize>,
    pub(super) loaded: Option<Duration>,
}

#[derive(Debug, Clone)]
pub(super) struct PoolWorker {
    pub(super) at: WorkerAt,
    /// Of which command it is.
    pub(super) spec: u64,
    /// How many jobs it has done.
    pub(super) jobs: u32,
    /// It is recycled after so many jobs.
    pub(super) max_jobs: u32,
    /// It is to be recycled when it has no job.
    pub(super) marked: Option<Recycling>,
    /// It counts as one of those that are being recycled.
    pub(super) counted: bool,
    /// When it became ready.
    pub(super) ready_at: Duration,
    /// When it got its job, or became idle.
    pub(super) since: Duration,
    /// When its job, its start or its cancel is over.
    pub(super) due: Option<Duration>,
    /// When it is too old.
    pub(super) old_at: Option<Duration>,
    /// Jobs that wait for this worker and no other.
    pub(super) bound: BTreeMap<JobTurn, JobNumber>,
    /// It begins with what it was sent ahead only when it has answered all before, and gives back what it cannot begin with.
    pub(super) takes_ahead: bool,
    /// What it was sent ahead, in order, and has not begun; some of it nobody may want any more.
    pub(super) ahead: VecDeque<JobNumber>,
    /// So many of its last jobs were short.
    pub(super) short_jobs: u32,
    /// Its job is such that others may be sent behind it.
    pub(super) has_light: bool,
    /// Nothing was refused since its job began.
    pub(super) takes_more: bool,
    /// What it was sent ahead was to be taken back, since its job began.
    pub(super) asked_back: bool,
    /// It is sent no more ahead, so that it becomes idle.
    pub(super) becomes_idle: bool,
    /// The pool wanted it to end.
    pub(super) was_stopped: bool,
    pub(super) ahead_place: AheadPlace,
    /// The keys whose last job it did, by when that was: the latest 1,024.
    pub(super) keys: BTreeMap<u64, Arc<str>>,
}

impl PoolWorker {
    pub(super) fn new(at: WorkerAt, spec: u64, now: Duration, max_jobs: u32) -> Self {
        Self {
            at,
            spec,
            jobs: 0,
            max_jobs,
            marked: None,
            counted: false,
            ready_at: now,
            since: now,
            due: None,
            old_at: None,
            bound: BTreeMap::new(),
            takes_ahead: false,
            ahead: VecDeque::new(),
            short_jobs: 0,
            has_light: false,
            takes_more: true,
            asked_back: false,
            becomes_idle: false,
            was_stopped: false,
            ahead_place: AheadPlace::default(),
            keys: BTreeMap::new(),
        }
    }

    /// Where it belongs.
    pub(super) fn ahead_place(&self, most: usize, after: u32) -> AheadPlace {
        let count = self.ahead.len();
        let is_open = self.takes_ahead
            && self.short_jobs >= after
            && self.takes_more
            && !self.becomes_idle
            && count < most
            && count + 1 < self.max_jobs.saturating_sub(self.jobs) as usize
            && self.marked.is_none()
            && self.bound.is_empty()
            && match self.at {
                WorkerAt::Busy(_) => self.has_light,
                WorkerAt::Idle => true,
                _ => false,
            };
        AheadPlace {
            open: is_open.then_some(count),
            loaded: (count > 0 && !self.asked_back).then_some(self.since),
        }
    }
}

/// How many workers are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::pool) struct WorkersBy {
    /// Without a job.
    pub(in crate::pool) starting: usize,
    /// For a one-shot job.
    pub(in crate::pool) starting_for: usize,
    pub(in crate::pool) idle: usize,
    pub(in crate::pool) spent: usize,
    pub(in crate::pool) busy: usize,
    pub(in crate::pool) checked_out: usize,
    pub(in crate::pool) cancelling: usize,
    pub(in crate::pool) stopping: usize,
}

impl WorkersBy {
    pub(super) fn of(&mut self, at: WorkerAt) -> &mut usize {
        match at {
            WorkerAt::Starting => &mut self.starting,
            WorkerAt::StartingFor(_) => &mut self.starting_for,
            WorkerAt::Idle => &mut self.idle,
            WorkerAt::Spent => &mut self.spent,
            WorkerAt::Busy(_) => &mut self.busy,
            WorkerAt::CheckedOut(_) => &mut self.checked_out,
            WorkerAt::Cancelling(_) => &mut self.cancelling,
            WorkerAt::Stopping(_) => &mut self.stopping,
        }
    }

    /// Those that have a job.
    pub(super) const fn occupied(&self) -> usize {
        self.busy + self.checked_out + self.cancelling + self.starting_for
    }

    /// Those that have a job or will take one.
    pub(super) const fn useful(&self) -> usize {
        self.starting + self.idle + self.occupied()
    }
}
