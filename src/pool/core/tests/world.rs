//! A driver that executes nothing by itself: a test says what becomes of each worker. It holds what is true after every step, whatever
//! the test does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::{
    Answered, JobId, JobTerms, NoAnswer, PoolEffect, PoolTerms, Refused, Scheduler, StopWorker,
    SubmitKind, WorkerAt, WorkerId,
};

/// What the driver has of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) spec: u64,
    pub(super) ready: bool,
    /// The job that it was given last, until it has answered that.
    pub(super) job: Option<JobId>,
    pub(super) told: bool,
    pub(super) checked_out: bool,
    pub(super) stop: Option<StopWorker>,
    pub(super) dying: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Answer(WorkerId),
    TooLarge,
    CheckedIn,
    None(NoAnswer),
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) pool: Scheduler,
    pub(super) terms: PoolTerms,
    pub(super) now: Duration,
    pub(super) random: f64,
    pub(super) last_job: JobId,
    pub(super) open: BTreeMap<JobId, JobTerms>,
    pub(super) outcomes: BTreeMap<JobId, Outcome>,
    pub(super) workers: BTreeMap<WorkerId, Made>,
    /// Which jobs of a key were dispatched, in order, retries included.
    pub(super) key_order: BTreeMap<String, Vec<JobId>>,
    pub(super) key_worker: BTreeMap<String, WorkerId>,
    pub(super) was_checked_out: BTreeSet<WorkerId>,
    pub(super) reloads: BTreeMap<u64, Option<bool>>,
    pub(super) drained: bool,
    /// What the machine said, as text: "start 1", "send 1 to 1", "stop 1 Ladder".
    pub(super) log: Vec<String>,
}

impl World {
    pub(super) fn new(terms: PoolTerms) -> Self {
        let mut world = Self {
            pool: Scheduler::new(terms.clone()),
            terms,
            now: Duration::ZERO,
            random: 0.5,
            last_job: 0,
            open: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            workers: BTreeMap::new(),
            key_order: BTreeMap::new(),
            key_worker: BTreeMap::new(),
            was_checked_out: BTreeSet::new(),
            reloads: BTreeMap::new(),
            drained: false,
            log: Vec::new(),
        };
        world.take();
        world
    }

    // What happens.

    pub(super) fn try_submit(
        &mut self,
        terms: JobTerms,
        kind: SubmitKind,
    ) -> Result<JobId, Refused> {
        self.last_job += 1;
        let job = self.last_job;
        self.pool.at(self.now, self.random);
        let was_open = self.open.insert(job, terms.clone());
        assert_eq!(was_open.map(drop), None);
        match self.pool.submit(job, terms, kind) {
            Ok(()) => {
                self.take();
                Ok(job)
            }
            Err(refused) => {
                self.open.remove(&job);
                self.take();
                Err(refused)
            }
        }
    }

    #[track_caller]
    pub(super) fn submit(&mut self, terms: JobTerms) -> JobId {
        self.try_submit(terms, SubmitKind::Job).unwrap()
    }

    #[track_caller]
    pub(super) fn checkout(&mut self, terms: JobTerms) -> JobId {
        self.try_submit(terms, SubmitKind::Checkout).unwrap()
    }

    pub(super) fn input(&mut self, input: impl FnOnce(&mut Scheduler)) {
        self.pool.at(self.now, self.random);
        input(&mut self.pool);
        self.take();
    }

    pub(super) fn cancel(&mut self, job: JobId) {
        self.input(|pool| pool.cancel(job));
    }

    pub(super) fn ready(&mut self, worker: WorkerId) {
        if let Some(made) = self.workers.get_mut(&worker) {
            made.ready = true;
        }
        self.input(|pool| pool.worker_ready(worker));
    }

    pub(super) fn start_failed(&mut self, worker: WorkerId) {
        self.workers.remove(&worker);
        self.input(|pool| pool.start_failed(worker));
    }

    pub(super) fn gone(&mut self, worker: WorkerId) {
        self.workers.remove(&worker);
        self.input(|pool| pool.worker_gone(worker));
    }

    pub(super) fn dying(&mut self, worker: WorkerId) {
        if let Some(made) = self.workers.get_mut(&worker) {
            made.dying = true;
        }
        self.input(|pool| pool.worker_dying(worker));
    }

    /// The worker answers this job, whether it has it or not.
    pub(super) fn answer_of(&mut self, worker: WorkerId, job: JobId) -> Answered {
        self.pool.at(self.now, self.random);
        let is_doing = self.pool.is_doing(worker, job);
        let answered = self.pool.answered(worker, job);
        if answered == Answered::Outcome {
            assert!(is_doing, "{:#?}", self.log);
            self.ends(job, Outcome::Answer(worker));
        }
        if let Some(made) = self.workers.get_mut(&worker)
            && made.job == Some(job)
            && answered != Answered::OutOfTurn
        {
            made.job = None;
            made.told = false;
        }
        self.take();
        answered
    }

    /// The worker answers the job that it has.
    #[track_caller]
    pub(super) fn answer(&mut self, worker: WorkerId) -> Answered {
        let job = self.workers[&worker].job.unwrap();
        self.answer_of(worker, job)
    }

    pub(super) fn over_limit(&mut self, worker: WorkerId) -> Answered {
        let job = self.workers[&worker].job.unwrap();
        self.pool.at(self.now, self.random);
        let answered = self.pool.over_limit(worker, job);
        if answered == Answered::Outcome {
            self.ends(job, Outcome::TooLarge);
        }
        self.take();
        answered
    }

    pub(super) fn check_in(&mut self, worker: WorkerId, unharmed: bool) {
        if let Some(WorkerAt::CheckedOut(job)) = self.pool.worker_state(worker) {
            self.ends(job, Outcome::CheckedIn);
            let made = self.workers.get_mut(&worker).unwrap();
            made.job = None;
            made.checked_out = false;
        }
        self.input(|pool| pool.checked_in(worker, unharmed));
    }

    pub(super) fn reload(&mut self, spec: u64) {
        assert_eq!(self.reloads.insert(spec, None), None);
        self.input(|pool| pool.reload(spec));
    }

    pub(super) fn drain(&mut self) {
        self.input(Scheduler::drain);
    }

    pub(super) fn shut_down(&mut self) {
        self.input(Scheduler::shut_down);
    }

    pub(super) fn to(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.input(Scheduler::tick);
        let deadline = self.pool.deadline();
        assert!(
            deadline.is_none_or(|at| at > self.now),
            "{deadline:?} at {:?}",
            self.now
        );
    }

    /// Lets the time pass, from one deadline to the next.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.pool.deadline().filter(|at| *at <= until) {
            self.to(at);
        }
        self.to(until);
    }

    // What follows.

    fn ends(&mut self, job: JobId, outcome: Outcome) {
        assert!(
            self.open.remove(&job).is_some(),
            "{job} ends as {outcome:?}, and as {:?} before: {:#?}",
            self.outcomes.get(&job),
            self.log
        );
        self.outcomes.insert(job, outcome);
    }

    fn take(&mut self) {
        let effects = self.pool.effects();
        for effect in effects {
            self.execute(effect);
        }
        assert_eq!(self.pool.effects(), [], "more follows at once");
        self.hold();
    }

    fn gives(&mut self, worker: WorkerId, job: JobId) {
        let log = &self.log;
        let made = self.workers.get_mut(&worker).unwrap();
        assert!(made.job.is_none() && made.stop.is_none(), "{log:#?}");
        made.job = Some(job);
        let terms = self.open.get(&job);
        let terms = terms.unwrap_or_else(|| panic!("{job} has its outcome: {log:#?}"));
        if let Some(key) = &terms.key {
            let order = self.key_order.entry(key.to_string()).or_default();
            order.push(job);
        }
        let expired = terms.expires.is_some_and(|at| at <= self.now);
        assert!(!expired, "{job} is dispatched too late: {log:#?}");
        self.in_turn(worker, job);
    }

    /// No job that may go to any worker was passed over, and the worker of a key is the one of its last job while that can be had.
    fn in_turn(&mut self, worker: WorkerId, job: JobId) {
        let terms = self.open[&job].clone();
        let turn = |job: JobId, terms: &JobTerms| (!terms.urgent, job);
        for (other, others) in &self.open {
            let waits = self.workers.values().all(|made| made.job != Some(*other));
            let comparable = others.own_args == terms.own_args || !self.terms.one_shot;
            if waits && comparable && others.key.is_none() {
                let after = turn(*other, others) > turn(job, &terms);
                assert!(after, "{job} before {other}: {:#?}", self.log);
            }
        }
        let Some(key) = &terms.key else { return };
        let before = self.key_worker.insert(key.to_string(), worker);
        if let Some(before) = before
            && before != worker
            && !self.terms.one_shot
        {
            let free = match self.pool.worker_state(before) {
                None | Some(WorkerAt::Stopping(_) | WorkerAt::Spent) => true,
                Some(_) => self.was_checked_out.contains(&before),
            };
            assert!(free, "{job} of {key} left {before}: {:#?}", self.log);
        }
    }

    fn execute(&mut self, effect: PoolEffect) {
        let log = match &effect {
            PoolEffect::Start { worker, spec, job } => {
                let spec = (*spec > 0)
                    .then(|| format!(" of {spec}"))
                    .unwrap_or_default();
                let job = job.map(|job| format!(" for {job}")).unwrap_or_default();
                format!("start {worker}{spec}{job}")
            }
            PoolEffect::Send { worker, job } => format!("send {job} to {worker}"),
            PoolEffect::TellCancel { worker, job } => format!("tell {worker} cancel {job}"),
            PoolEffect::Stop { worker, how } => format!("stop {worker} {how:?}"),
            PoolEffect::NoAnswer { job, why } => format!("{job} {why:?}"),
            PoolEffect::Recycled { worker, why } => format!("recycled {worker} {why:?}"),
            PoolEffect::CheckedOut { worker, job } => format!("{job} has {worker}"),
            other => format!("{other:?}"),
        };
        self.log.push(log);
        match effect {
            PoolEffect::Start { worker, spec, job } => {
                let made = Made {
                    spec,
                    ready: false,
                    job: None,
                    told: false,
                    checked_out: false,
                    stop: None,
                    dying: false,
                };
                assert_eq!(self.workers.insert(worker, made), None);
                if let Some(job) = job {
                    assert!(self.terms.one_shot);
                    self.gives(worker, job);
                }
            }
            PoolEffect::Send { worker, job } => {
                assert!(self.workers[&worker].ready, "{:#?}", self.log);
                self.gives(worker, job);
            }
            PoolEffect::CheckedOut { worker, job } => {
                self.gives(worker, job);
                self.workers.get_mut(&worker).unwrap().checked_out = true;
                self.was_checked_out.insert(worker);
            }
            PoolEffect::TellCancel { worker, job } => {
                let made = self.workers.get_mut(&worker).unwrap();
                assert_eq!(made.job, Some(job));
                made.told = true;
            }
            PoolEffect::Stop { worker, how } => {
                let made = self.workers.get_mut(&worker).unwrap();
                assert!(made.stop < Some(how), "{:#?}", self.log);
                assert!(how != StopWorker::Retire || made.job.is_none());
                made.stop = Some(how);
            }
            PoolEffect::NoAnswer { job, why } => self.ends(job, Outcome::None(why)),
            PoolEffect::Reloaded { spec } => {
                assert_eq!(self.reloads.insert(spec, Some(true)), Some(None));
            }
            PoolEffect::ReloadFailed { spec } => {
                assert_eq!(self.reloads.insert(spec, Some(false)), Some(None));
            }
            PoolEffect::Drained => {
                assert!(self.open.is_empty() && self.workers.is_empty());
                assert!(!std::mem::replace(&mut self.drained, true));
            }
            PoolEffect::Recycled { .. } | PoolEffect::WentDown | PoolEffect::CameUp => {}
        }
    }

    /// What is true after every step.
    fn hold(&self) {
        let counts = self.pool.counts();
        let log = &self.log;
        let tail = &log[log.len().saturating_sub(60)..];
        assert_eq!(self.pool.size(), self.workers.len(), "{tail:#?}");
        assert!(self.pool.size() <= self.terms.max, "{tail:#?}");
        let by = counts.workers;
        assert_eq!(by.useful() + by.spent + by.stopping, self.pool.size());
        assert!(by.starting <= (self.terms.max / 4).max(1), "{tail:#?}");
        assert_eq!(
            counts.waiting + counts.running,
            self.open.len(),
            "{tail:#?}"
        );
        let down = counts.down;
        if counts.waiting > 0 {
            let due = self.pool.deadline().is_some();
            assert!(down || !self.workers.is_empty() || due, "{tail:#?}");
            assert!(!down || self.terms.one_shot, "{tail:#?}");
        }
        let mut doing = BTreeSet::new();
        for (worker, made) in &self.workers {
            let at = self.pool.worker_state(*worker).unwrap();
            match at {
                WorkerAt::Busy(job) | WorkerAt::CheckedOut(job) | WorkerAt::StartingFor(job) => {
                    assert_eq!(made.job, Some(job), "{tail:#?}");
                    assert!(self.open.contains_key(&job), "{tail:#?}");
                    assert!(doing.insert(job), "{job} runs twice: {tail:#?}");
                }
                WorkerAt::Cancelling(job) => assert_eq!(made.job, Some(job)),
                WorkerAt::Starting => assert!(!made.ready && made.job.is_none()),
                WorkerAt::Idle | WorkerAt::Spent => {
                    assert!(made.ready && made.job.is_none());
                }
                WorkerAt::Stopping(_) => {
                    assert!(made.stop.is_some() || made.dying || self.terms.one_shot);
                }
            }
        }
        assert_eq!(doing.len(), counts.running, "{tail:#?}");
        let keys = doing.iter().filter_map(|job| self.open[job].key.as_ref());
        let keys: Vec<_> = keys.collect();
        let apart: BTreeSet<_> = keys.iter().collect();
        assert_eq!(keys.len(), apart.len(), "two of a key: {tail:#?}");
    }

    /// What was logged since the last time.
    pub(super) fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    pub(super) fn none(&self, job: JobId) -> Option<NoAnswer> {
        match self.outcomes.get(&job)? {
            Outcome::None(why) => Some(*why),
            other => panic!("{other:?}"),
        }
    }

    /// Each start succeeds, until there are none.
    pub(super) fn quiesce_starts(&mut self) {
        let starts = |(_, made): &(&WorkerId, &Made)| !made.ready && made.stop.is_none();
        while let Some((worker, _)) = self.workers.iter().find(starts) {
            self.ready(*worker);
        }
    }

    /// Each start succeeds, each job is answered, and each stop, until nothing moves. The time stands still.
    pub(super) fn quiesce(&mut self) {
        for _ in 0..100_000 {
            let next = self.workers.iter().find_map(|(worker, made)| {
                let acts = made.stop.is_some()
                    || made.dying
                    || !made.ready
                    || made.job.is_some()
                    || matches!(self.pool.worker_state(*worker), Some(WorkerAt::Stopping(_)));
                acts.then(|| (*worker, made.clone()))
            });
            let Some((worker, made)) = next else { return };
            let stopping = matches!(self.pool.worker_state(worker), Some(WorkerAt::Stopping(_)));
            if stopping {
                self.gone(worker);
            } else if !made.ready {
                self.ready(worker);
            } else if made.checked_out {
                self.check_in(worker, true);
            } else {
                self.answer(worker);
            }
        }
        panic!("no rest: {:#?}", &self.log[self.log.len() - 40..]);
    }
}
