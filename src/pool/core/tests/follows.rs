//! What the scripted driver does by each effect, and what is true after every step.

use std::collections::{BTreeSet, VecDeque};

use super::super::{JobNumber, JobTerms, PoolEffect, StopWorker, WorkerAt, WorkerId};
use super::world::{Made, Outcome, World};

impl World {
    pub(super) fn ends(&mut self, job: JobNumber, outcome: Outcome) {
        assert!(
            self.open.remove(&job).is_some(),
            "{job} ends as {outcome:?}, and as {:?} before: {:#?}",
            self.outcomes.get(&job),
            self.log
        );
        self.outcomes.insert(job, outcome);
    }

    pub(super) fn take(&mut self) {
        let effects = self.pool.follows();
        let mut tells = effects.iter().any(Self::tells);
        for effect in effects {
            self.execute(effect);
        }
        for round in 0.. {
            let effects = self.pool.follows();
            if effects.is_empty() {
                break;
            }
            assert!(tells && round < 100, "{effects:?} at once: {:#?}", self.log);
            tells = effects.iter().any(Self::tells);
            for effect in effects {
                self.execute(effect);
            }
        }
        self.hold();
    }

    /// What the driver answers at once.
    const fn tells(effect: &PoolEffect) -> bool {
        matches!(
            effect,
            PoolEffect::SendAhead { .. } | PoolEffect::TakeBack { .. }
        )
    }

    fn gives(&mut self, worker: WorkerId, job: JobNumber) {
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
    fn in_turn(&mut self, worker: WorkerId, job: JobNumber) {
        let terms = self.open[&job].clone();
        let turn = |job: JobNumber, terms: &JobTerms| (!terms.urgent, job);
        for (other, others) in &self.open {
            let waits = self
                .workers
                .values()
                .all(|made| made.job != Some(*other) && !made.ahead.contains(other));
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
                let spec = match spec {
                    0 => String::new(),
                    spec => format!(" of {spec}"),
                };
                let job = job.map(|job| format!(" for {job}")).unwrap_or_default();
                format!("start {worker}{spec}{job}")
            }
            PoolEffect::Send { worker, job } => format!("send {job} to {worker}"),
            PoolEffect::SendAhead { worker, job } => format!("send {job} ahead to {worker}"),
            PoolEffect::Begun { worker, job } => format!("{worker} begins {job}"),
            PoolEffect::TakeBack { worker } => format!("take back from {worker}"),
            PoolEffect::TellCancel { worker, job } => format!("tell {worker} cancel {job}"),
            PoolEffect::Stop { worker, how } => format!("stop {worker} {how:?}"),
            PoolEffect::NoAnswer { job, why } => format!("{job} {why:?}"),
            PoolEffect::NotReady { worker } => format!("{worker} is late"),
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
                    ahead: VecDeque::new(),
                    told: false,
                    checked_out: false,
                    stop: None,
                    lived_on: false,
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
            PoolEffect::SendAhead { worker, job } if self.is_full => {
                self.pool.not_sent_ahead(worker, job);
            }
            PoolEffect::SendAhead { worker, job } => {
                let made = self.workers.get_mut(&worker).unwrap();
                assert!(made.job.is_some() && !made.checked_out && made.stop.is_none());
                made.ahead.push_back(job);
                let terms = &self.open[&job];
                assert!(terms.light && terms.key.is_none() && terms.expires.is_none());
                assert!(made.ahead.len() <= self.terms.ahead.most, "{:#?}", self.log);
                self.in_turn(worker, job);
            }
            PoolEffect::Begun { worker, job } => {
                assert_eq!(self.workers[&worker].job, Some(job), "{:#?}", self.log);
            }
            PoolEffect::TakeBack { worker } => self.take_back(worker),
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
                made.lived_on |= !made.dying;
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
            PoolEffect::NotReady { worker } => assert!(!self.workers[&worker].ready),
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
        self.ahead_holds();
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

    /// What was sent ahead is in one place, with a worker that has a job.
    fn ahead_holds(&self) {
        let tail = &self.log[self.log.len().saturating_sub(60)..];
        let mut ahead = BTreeSet::new();
        for (worker, made) in &self.workers {
            let stops = made.stop.is_some() || made.dying;
            assert!(
                made.ahead.is_empty() || made.job.is_some() || stops,
                "{tail:#?}"
            );
            for job in &made.ahead {
                if self.open.contains_key(job) {
                    assert!(ahead.insert(*job), "{job} is twice ahead: {tail:#?}");
                    assert_eq!(self.pool.is_ahead_at(*job), Some(*worker), "{tail:#?}");
                }
            }
        }
        for job in self.open.keys() {
            let there = self.pool.is_ahead_at(*job).is_some();
            assert_eq!(there, ahead.contains(job), "{job}: {tail:#?}");
        }
        assert_eq!(self.pool.sent_ahead, ahead.len(), "{tail:#?}");
        let has = |worker: &WorkerId| self.workers.contains_key(worker);
        let sets = self.pool.open.iter().map(|(_, worker)| worker);
        let mut sets = sets.chain(self.pool.loaded.iter().map(|(_, worker)| worker));
        assert!(sets.all(has), "{tail:#?}");
        if self.pool.counts().workers.idle > 0 {
            assert!(self.pool.loaded.is_empty(), "not asked for: {tail:#?}");
        }
    }
}
