//! Random pools and random sequences of what may happen, against a model of what each job's outcome may be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::super::{
    AheadTerms, Answered, JobNumber, JobTerms, NoAnswer, PoolTerms, Refused, SubmitKind, WorkerAt,
    WorkerId,
};
use super::world::{Made, Outcome, World};
use super::{ms, secs};

#[derive(Debug, Clone)]
enum Happening {
    Submit(JobTerms),
    Checkout(JobTerms),
    Cancel(usize),
    Withdraw(usize),
    Ready(usize),
    Progress(usize),
    StartFailed(usize),
    Answer(usize),
    AnswerOf(usize, u64),
    OverLimit(usize),
    CheckIn(usize, bool),
    Gone(usize),
    Dying(usize),
    Broken(usize),
    TooLarge(usize, bool),
    GiveBack(usize),
    Reload,
    Pass(u64),
    Quiesce,
    Drain,
    ShutDown,
}

fn job() -> impl Strategy<Value = JobTerms> {
    (
        prop::bool::weighted(0.2),
        prop::option::weighted(0.4, 0..3_u8),
        // Since the start of the pool: some are too late when they come.
        prop::option::weighted(0.2, 0..40_000_u64),
        prop::option::weighted(0.2, 1..5_000_u64),
        prop_oneof![3 => Just(0), 1 => 0..5_u32],
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.7),
    )
        .prop_map(
            |(urgent, key, expires, timeout, retries, own_args, light)| JobTerms {
                light,
                urgent,
                key: key.map(|key| format!("k{key}").into()),
                expires: expires.map(ms),
                timeout: timeout.map(ms),
                retries,
                own_args,
            },
        )
}

fn happening() -> impl Strategy<Value = Happening> {
    let n = || 0..100_usize;
    prop_oneof![
        8 => job().prop_map(Happening::Submit),
        1 => job().prop_map(Happening::Checkout),
        2 => n().prop_map(Happening::Cancel),
        1 => n().prop_map(Happening::Withdraw),
        6 => n().prop_map(Happening::Ready),
        1 => n().prop_map(Happening::Progress),
        2 => n().prop_map(Happening::StartFailed),
        8 => n().prop_map(Happening::Answer),
        1 => (n(), 0..40_u64).prop_map(|(n, job)| Happening::AnswerOf(n, job)),
        1 => n().prop_map(Happening::OverLimit),
        1 => (n(), any::<bool>()).prop_map(|(n, unharmed)| Happening::CheckIn(n, unharmed)),
        3 => n().prop_map(Happening::Gone),
        2 => n().prop_map(Happening::Dying),
        1 => n().prop_map(Happening::Broken),
        1 => (n(), any::<bool>()).prop_map(|(n, at_once)| Happening::TooLarge(n, at_once)),
        1 => n().prop_map(Happening::GiveBack),
        1 => Just(Happening::Reload),
        4 => prop_oneof![0..2_000_u64, 0..70_000_u64].prop_map(Happening::Pass),
        1 => Just(Happening::Quiesce),
    ]
}

fn terms() -> impl Strategy<Value = PoolTerms> {
    (
        (0..4_usize, 0..9_usize),
        prop::bool::weighted(0.3),
        prop::option::of(1..4_000_u64),
        prop::option::weighted(0.7, Just(secs(1))),
        prop::option::weighted(0.4, 1..4_u32),
        prop::option::weighted(0.3, 1_000..100_000_u64),
        (0..4_usize, 0..3_u32),
    )
        .prop_map(
            |((min, more), one_shot, job_timeout, soft, max_jobs, age, (most, after))| {
                let max = (min + more).max(1);
                PoolTerms {
                    one_shot,
                    job_timeout: job_timeout.map(ms),
                    soft: soft.filter(|_| !one_shot),
                    max_jobs: max_jobs.filter(|_| !one_shot),
                    max_age: age.map(ms).filter(|_| !one_shot),
                    ahead: AheadTerms {
                        most: if one_shot { 0 } else { most },
                        short: ms(500),
                        after,
                    },
                    ..super::terms(min, max)
                }
            },
        )
}

struct Play {
    world: World,
    cancelled: BTreeSet<JobNumber>,
    losses: BTreeMap<JobNumber, u32>,
    /// As they were submitted.
    terms: BTreeMap<JobNumber, JobTerms>,
    checked: BTreeSet<JobNumber>,
    shutting_down: bool,
    last_spec: u64,
}

impl Play {
    fn new(terms: PoolTerms) -> Self {
        Self {
            world: World::new(terms),
            cancelled: BTreeSet::new(),
            losses: BTreeMap::new(),
            terms: BTreeMap::new(),
            checked: BTreeSet::new(),
            shutting_down: false,
            last_spec: 0,
        }
    }

    fn a_worker(&self, n: usize, fits: impl Fn(&Made) -> bool) -> Option<WorkerId> {
        let fits = self.world.workers.iter().filter(|(_, made)| fits(made));
        let fits: Vec<_> = fits.map(|(worker, _)| *worker).collect();
        (!fits.is_empty()).then(|| fits[n % fits.len()])
    }

    /// One of those without an outcome, which may be cancelled from then on.
    fn unwanted(&mut self, n: usize) -> Option<JobNumber> {
        let count = self.world.open.len().max(1);
        let job = *self.world.open.keys().nth(n % count)?;
        self.cancelled.insert(job);
        Some(job)
    }

    /// If the worker has a job for somebody, it is lost.
    fn loses(&mut self, worker: WorkerId) {
        if let Some(WorkerAt::Busy(job) | WorkerAt::CheckedOut(job)) =
            self.world.pool.worker_state(worker)
        {
            *self.losses.entry(job).or_default() += 1;
        }
    }

    fn submit(&mut self, terms: JobTerms, kind: SubmitKind) {
        let down = self.world.pool.is_down();
        match self.world.try_submit(terms.clone(), kind) {
            Ok(job) => drop(self.terms.insert(job, terms)),
            Err(Refused::Down) => assert!(down),
            Err(Refused::ShuttingDown) => panic!("it is not closed yet"),
        }
    }

    fn play(&mut self, happening: &Happening) {
        let any = |_: &Made| true;
        match *happening {
            Happening::Submit(ref terms) => self.submit(terms.clone(), SubmitKind::Job),
            Happening::Checkout(ref terms) if !self.world.terms.one_shot => {
                self.submit(terms.clone(), SubmitKind::Checkout);
            }
            Happening::Checkout(_) => {}
            Happening::Cancel(n) => {
                if let Some(job) = self.unwanted(n) {
                    self.world.cancel(job);
                }
            }
            Happening::Withdraw(n) => {
                if let Some(job) = self.unwanted(n) {
                    self.world.withdraw(job);
                }
            }
            Happening::Ready(n) => {
                if let Some(worker) = self.a_worker(n, |made| !made.ready && !made.dying) {
                    self.world.ready(worker);
                }
            }
            Happening::Progress(n) => {
                if let Some(worker) = self.a_worker(n, any) {
                    self.world.input(|pool| pool.worker_progress(worker));
                }
            }
            Happening::StartFailed(n) => {
                if let Some(worker) = self.a_worker(n, |made| !made.ready) {
                    self.world.start_failed(worker);
                }
            }
            Happening::Answer(n) => {
                let has = |made: &Made| made.ready && made.job.is_some() && !made.checked_out;
                if let Some(worker) = self.a_worker(n, has) {
                    self.world.answer(worker);
                }
            }
            Happening::AnswerOf(n, job) => {
                let ready = |made: &Made| made.ready;
                if let Some(worker) = self.a_worker(n, ready)
                    && self.world.answer_of(worker, job) == Answered::OutOfTurn
                {
                    self.loses(worker);
                    self.world.broken(worker);
                }
            }
            Happening::OverLimit(n) => {
                let has = |made: &Made| made.ready && made.job.is_some() && !made.checked_out;
                if let Some(worker) = self.a_worker(n, has) {
                    self.world.over_limit(worker);
                }
            }
            Happening::CheckIn(n, unharmed) => {
                if let Some(worker) = self.a_worker(n, |made| made.checked_out) {
                    self.world.check_in(worker, unharmed);
                }
            }
            Happening::Gone(n) => {
                if let Some(worker) = self.a_worker(n, any) {
                    self.loses(worker);
                    self.world.gone(worker);
                }
            }
            Happening::Dying(n) => {
                if let Some(worker) = self.a_worker(n, any) {
                    self.loses(worker);
                    self.world.dying(worker);
                }
            }
            Happening::Broken(n) => {
                if let Some(worker) = self.a_worker(n, any) {
                    self.loses(worker);
                    self.world.broken(worker);
                }
            }
            Happening::TooLarge(n, at_once) => {
                if let Some(worker) = self.a_worker(n, any) {
                    if at_once {
                        self.loses(worker);
                    }
                    self.world.input(|pool| pool.too_large(worker, at_once));
                }
            }
            Happening::GiveBack(n) => {
                if let Some(worker) = self.a_worker(n, |made| !made.ahead.is_empty()) {
                    self.world.give_back(worker);
                }
            }
            Happening::Reload => {
                self.last_spec += 1;
                self.world.reload(self.last_spec);
            }
            Happening::Pass(millis) => self.world.pass(ms(millis)),
            Happening::Quiesce => self.world.quiesce(),
            Happening::Drain => self.world.drain(),
            Happening::ShutDown => {
                self.shutting_down = true;
                self.world.shut_down();
            }
        }
        self.outcomes_may_be();
    }

    /// Each outcome is one that this job may have, with what has happened to it.
    fn outcomes_may_be(&mut self) {
        let pool = &self.world.terms;
        for (job, outcome) in &self.world.outcomes {
            if !self.checked.insert(*job) {
                continue;
            }
            let Outcome::None(why) = outcome else {
                continue;
            };
            let terms = &self.terms[job];
            let losses = self.losses.get(job).copied().unwrap_or_default();
            let losses = losses + self.world.lost_ahead.get(job).copied().unwrap_or_default();
            let fits = match *why {
                NoAnswer::Expired => terms.expires.is_some_and(|at| at <= self.world.now),
                NoAnswer::Timeout { ran } => {
                    let times = [terms.timeout, pool.job_timeout];
                    times.into_iter().flatten().any(|time| time <= ran)
                }
                NoAnswer::Cancelled => self.cancelled.contains(job),
                NoAnswer::Lost { attempts, .. } => attempts == losses && losses < pool.poison,
                NoAnswer::Poisoned { attempts } => attempts == losses && losses == pool.poison,
                NoAnswer::Down => self.world.pool.is_down(),
                NoAnswer::ShuttingDown => self.shutting_down,
            };
            assert!(fits, "{job}, {terms:?}: {why:?}: {:#?}", self.world.log);
        }
        for order in self.world.key_order.values() {
            assert!(order.is_sorted(), "{order:?}: {:#?}", self.world.log);
        }
    }

    /// All that was told to the driver is done, whatever time that takes.
    fn settle(&mut self) {
        for _ in 0..200 {
            self.world.quiesce();
            self.outcomes_may_be();
            match self.world.pool.deadline() {
                Some(at) if at < self.world.now + secs(300) => self.world.to(at),
                _ => break,
            }
        }
        self.world.quiesce();
    }

    fn finish(mut self) {
        self.settle();
        let world = &self.world;
        assert_eq!(world.open.len(), 0, "{:#?}", world.log);
        let counts = world.pool.counts();
        let by = counts.workers;
        assert_eq!(by.stopping + by.spent + by.occupied(), 0);
        let kept = by.idle + by.starting;
        assert_eq!(kept, world.terms.min, "{:#?}", world.log);
        assert!(!counts.down || world.terms.one_shot && world.terms.min == 0);
        let open = world.reloads.values().filter(|reload| reload.is_none());
        assert_eq!(open.count(), 0, "{:#?}", world.log);
        let spec = world.reloads.iter().rev();
        let spec = spec.filter(|(_, reload)| **reload == Some(true));
        let spec = spec.map(|(spec, _)| *spec).next().unwrap_or_default();
        for made in world.workers.values() {
            assert!(
                made.spec == spec || self.last_spec > spec,
                "{:#?}",
                world.log
            );
        }
        assert!(world.pool.expiries.is_empty() && world.pool.with_bound.is_empty());
        assert_eq!(world.pool.ready.len() + world.pool.ready_own.len(), 0);
        let remembers = |worker| world.workers.contains_key(worker);
        assert!(world.pool.marked.iter().all(remembers));
        assert_eq!(world.pool.recycling, 0);
        assert_eq!(world.pool.sent_ahead + world.pool.loaded.len(), 0);
        self.play(&Happening::ShutDown);
        self.settle();
        assert!(self.world.drained, "{:#?}", self.world.log);
        assert_eq!(self.world.pool.deadline(), None::<Duration>);
        assert!(self.world.pool.keys.is_empty());
    }
}

proptest! {
    #[test]
    fn each_job_has_one_right_outcome_whatever_happens(
        terms in terms(),
        happenings in proptest::collection::vec((happening(), 0.0..1.0_f64), 0..120),
    ) {
        let mut play = Play::new(terms);
        for (happening, random) in &happenings {
            play.world.random = *random;
            play.world.unread = (random * 4.0) as usize;
            play.world.is_full = *random > 0.9;
            play.play(happening);
        }
        play.finish();
    }

    #[test]
    fn a_pool_that_drains_does_all_that_was_taken_and_ends(
        terms in terms(),
        before in proptest::collection::vec(happening(), 0..60),
        after in proptest::collection::vec(happening(), 0..40),
        ends_at_once in any::<bool>(),
    ) {
        let mut play = Play::new(terms);
        for happening in &before {
            play.play(happening);
        }
        play.play(&Happening::Drain);
        let submits = |happening: &Happening| matches!(happening, Happening::Submit(_) | Happening::Checkout(_));
        for happening in after.iter().filter(|happening| !submits(happening)) {
            play.play(happening);
        }
        if ends_at_once {
            play.play(&Happening::ShutDown);
            prop_assert!(play.world.open.is_empty());
        }
        play.settle();
        prop_assert!(play.world.open.is_empty());
        prop_assert!(play.world.drained, "{:#?}", play.world.log);
        prop_assert!(play.world.workers.is_empty());
        prop_assert!(play.world.reloads.values().all(Option::is_some));
    }
}
