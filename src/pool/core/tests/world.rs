//! A driver that executes nothing by itself: a test says what becomes of each worker.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::super::{
    Answered, JobNumber, JobTerms, NoAnswer, PoolTerms, Refused, Scheduler, StopWorker, SubmitKind,
    WorkerAt, WorkerId,
};

/// What the driver has of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) spec: u64,
    pub(super) ready: bool,
    /// The job that it was given last, until it has answered that.
    pub(super) job: Option<JobNumber>,
    /// What it was sent ahead.
    pub(super) ahead: VecDeque<JobNumber>,
    pub(super) told: bool,
    pub(super) checked_out: bool,
    pub(super) stop: Option<StopWorker>,
    /// It was stopped while it lived.
    pub(super) lived_on: bool,
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
    /// Of what a worker was sent ahead, so many can be taken back at most.
    pub(super) unread: usize,
    /// Nothing can be sent ahead.
    pub(super) is_full: bool,
    pub(super) last_job: JobNumber,
    pub(super) open: BTreeMap<JobNumber, JobTerms>,
    pub(super) outcomes: BTreeMap<JobNumber, Outcome>,
    /// Jobs that a worker which was stopped had read and may have begun.
    pub(super) lost_ahead: BTreeMap<JobNumber, u32>,
    pub(super) workers: BTreeMap<WorkerId, Made>,
    /// Which jobs of a key were dispatched, in order, retries included.
    pub(super) key_order: BTreeMap<String, Vec<JobNumber>>,
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
            unread: usize::MAX,
            is_full: false,
            last_job: 0,
            open: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            lost_ahead: BTreeMap::new(),
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

    pub(super) fn try_submit(
        &mut self,
        terms: JobTerms,
        kind: SubmitKind,
    ) -> Result<JobNumber, Refused> {
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
    pub(super) fn submit(&mut self, terms: JobTerms) -> JobNumber {
        self.try_submit(terms, SubmitKind::Job).unwrap()
    }

    #[track_caller]
    pub(super) fn checkout(&mut self, terms: JobTerms) -> JobNumber {
        self.try_submit(terms, SubmitKind::Checkout).unwrap()
    }

    pub(super) fn input(&mut self, input: impl FnOnce(&mut Scheduler)) {
        self.pool.at(self.now, self.random);
        input(&mut self.pool);
        self.take();
    }

    pub(super) fn cancel(&mut self, job: JobNumber) {
        self.take_back_for(job);
        self.input(|pool| pool.cancel(job));
    }

    pub(super) fn withdraw(&mut self, job: JobNumber) {
        self.take_back_for(job);
        self.input(|pool| pool.withdraw(job));
    }

    fn take_back_for(&mut self, job: JobNumber) {
        if let Some(worker) = self.pool.is_ahead_at(job) {
            self.take_back(worker);
        }
    }

    pub(super) fn take_back(&mut self, worker: WorkerId) {
        // It may be gone.
        let Some(Made { ahead, .. }) = self.workers.get_mut(&worker) else {
            return;
        };
        let taken = ahead.split_off(ahead.len().saturating_sub(self.unread));
        self.pool.at(self.now, self.random);
        self.pool.taken_back(worker, taken.as_slices().0);
        self.pool.taken_back(worker, taken.as_slices().1);
    }

    /// The worker gives back the first job that it was sent ahead.
    pub(super) fn give_back(&mut self, worker: WorkerId) {
        let job = self.workers.get_mut(&worker).unwrap().ahead.pop_front();
        let job = job.unwrap();
        self.input(|pool| assert_ne!(pool.given_back(worker, job), Answered::OutOfTurn));
    }

    pub(super) fn ready(&mut self, worker: WorkerId) {
        if let Some(made) = self.workers.get_mut(&worker) {
            made.ready = true;
        }
        self.input(|pool| pool.worker_ready(worker, true));
    }

    pub(super) fn start_failed(&mut self, worker: WorkerId) {
        self.workers.remove(&worker);
        self.input(|pool| pool.start_failed(worker));
    }

    pub(super) fn gone(&mut self, worker: WorkerId) {
        let made = self.workers.remove(&worker).unwrap();
        for job in made.ahead.iter().filter(|_| made.lived_on) {
            *self.lost_ahead.entry(*job).or_default() += 1;
        }
        self.input(|pool| pool.worker_gone(worker));
    }

    pub(super) fn dying(&mut self, worker: WorkerId) {
        if let Some(made) = self.workers.get_mut(&worker) {
            made.dying = true;
        }
        self.input(|pool| pool.worker_dying(worker));
    }

    /// It is out of step: whatever it does from then on, it came to its end by itself.
    pub(super) fn broken(&mut self, worker: WorkerId) {
        if let Some(made) = self.workers.get_mut(&worker) {
            made.dying = true;
        }
        self.input(|pool| pool.broken(worker));
    }

    /// The worker answers this job, whether it has it or not.
    pub(super) fn answer_of(&mut self, worker: WorkerId, job: JobNumber) -> Answered {
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
            let goes_on = made.stop.is_none() && !made.dying;
            made.job = goes_on.then(|| made.ahead.pop_front()).flatten();
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

    /// What was logged since the last time.
    pub(super) fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    pub(super) fn none(&self, job: JobNumber) -> Option<NoAnswer> {
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

    /// Each start and each stop succeeds, and no job is answered.
    pub(super) fn quiesce_spares(&mut self) {
        loop {
            self.quiesce_starts();
            let stops = |(_, made): &(&WorkerId, &Made)| made.stop.is_some();
            let Some((worker, _)) = self.workers.iter().find(stops) else {
                return;
            };
            self.gone(*worker);
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

impl Scheduler {
    /// How many workers there are, in whatever state.
    pub(super) fn size(&self) -> usize {
        self.workers.len()
    }

    pub(super) const fn is_down(&self) -> bool {
        self.down
    }
}
