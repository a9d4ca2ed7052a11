//! The pool as an actor: it has the scheduler and the jobs, tells the scheduler what happens, and does what follows.

mod ahead;
mod asked;
mod checkouts;
mod ending;
mod jobs;
mod memory;
mod outlet;
mod shared_engine;
mod told;
mod workers;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(super) use asked::PoolAsk;
pub(super) use outlet::{CheckedOut, Outlet, Submission};
pub(super) use shared_engine::{EngineRef, OwnedEngine, submit_here};
pub(super) use told::{PoolTold, WorkerEnd, WorkerTold};

use super::core::{JobNumber, PoolEffect, Scheduler, WorkerId};
use super::error::PoolError;
use super::event::{PoolEvent, PoolEventKind};
use super::ids::IdMap;
use super::report::PoolReport;
use super::settings::PoolSettings;
use super::shared::PoolShared;
use super::stats::PoolCounters;
use crate::Command;
use crate::host::guard::Guard;
use crate::host::home::ActorHome;
use ending::{ShutdownStage, ShutdownTimers};
use jobs::JobEntry;
use memory::MemoryWatch;
use workers::{WaitingStarts, WorkerPlace};

/// What a pool needs to run, made before it has an arbiter.
pub(super) struct PoolSetup {
    pub(super) settings: PoolSettings,
    pub(super) home: ActorHome,
    pub(super) shared: Arc<PoolShared>,
    pub(super) guarded: bool,
}

/// A running pool.
pub(super) struct PoolEngine {
    scheduler: Scheduler,
    /// Empty, and has room.
    effects: Vec<PoolEffect>,
    began: Instant,
    /// When this was entered.
    now: Instant,
    /// The same, since the begin.
    time: Duration,
    settings: Rc<PoolSettings>,
    /// The commands of workers by the number of their reload; the first one is 0.
    commands: HashMap<u64, Command>,
    last_command: u64,
    jobs: IdMap<JobEntry>,
    workers: IdMap<WorkerPlace>,
    /// Started in this turn of the arbiter. They begin at its end.
    starting: WaitingStarts,
    /// What was wrong with the last start that failed.
    last_problem: Arc<str>,
    /// Who waits for a reload, and of which command.
    reload: Option<(u64, oneshot::Sender<Result<(), PoolError>>)>,
    counters: PoolCounters,
    memory: MemoryWatch,
    /// The timer that is armed, and for when.
    timer: Option<(Duration, JoinHandle<()>)>,
    guard: PoolGuard,
    shared: Arc<PoolShared>,
    stage: ShutdownStage,
    /// There from the first call of an end on.
    shutdown: Option<ShutdownTimers>,
    home: ActorHome,
    myself: EngineRef,
}

/// The guard of the groups.
enum PoolGuard {
    /// It is being started; these starts wait for it.
    Coming(Vec<(WorkerId, u64, Option<JobNumber>)>),
    /// It is there, or it is tried again and again.
    There(Rc<Guard>),
    /// None is wanted, or the pool has ended.
    None,
}

impl PoolEngine {
    fn new(setup: PoolSetup, myself: EngineRef) -> Self {
        let (settings, now) = (setup.settings, Instant::now());
        let command = settings.worker_command(settings.command.clone());
        Self {
            scheduler: Scheduler::new(settings.terms()),
            effects: Vec::new(),
            began: now,
            now,
            time: Duration::ZERO,
            commands: HashMap::from([(0, command)]),
            last_command: 0,
            memory: MemoryWatch::new(&settings),
            settings: Rc::new(settings),
            jobs: IdMap::default(),
            workers: IdMap::default(),
            starting: WaitingStarts::default(),
            last_problem: "".into(),
            reload: None,
            counters: PoolCounters::default(),
            timer: None,
            guard: match setup.guarded {
                true => PoolGuard::Coming(Vec::new()),
                false => PoolGuard::None,
            },
            shared: setup.shared,
            stage: ShutdownStage::No,
            shutdown: None,
            home: setup.home,
            myself,
        }
    }

    pub(super) const fn wants_guard(&self) -> bool {
        matches!(self.guard, PoolGuard::Coming(_))
    }

    pub(super) fn guard_started(&mut self, guard: Guard) {
        let there = PoolGuard::There(Rc::new(guard));
        if let PoolGuard::Coming(waiting) = std::mem::replace(&mut self.guard, there) {
            for (worker, command, job) in waiting {
                self.start_worker(worker, command, job);
            }
        }
    }

    /// What follows happens now.
    fn enter(&mut self, now: Instant) {
        self.now = now.max(self.now);
        self.time = self.now.saturating_duration_since(self.began);
    }

    /// Tells the scheduler the time.
    fn tick(&mut self) {
        self.scheduler.at(self.time, fastrand::f64());
        self.scheduler.tick();
    }

    /// Does what follows from all that the scheduler was told, and arms the timer.
    fn settle(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        loop {
            self.scheduler.effects(&mut effects);
            let mut again = false;
            for effect in effects.drain(..) {
                again |= self.carry_out(effect);
            }
            if !again {
                break;
            }
        }
        self.effects = effects;
        self.leave();
        self.watch_memory();
        // One that fires too early looks again: each job moves the end of its worker's idle time, and a timer is dear.
        if let Some(at) = self.scheduler.deadline()
            && self.timer.as_ref().is_none_or(|(armed, _)| at < *armed)
        {
            if let Some((_, timer)) = self.timer.take() {
                timer.abort();
            }
            let left = at.saturating_sub(self.began.elapsed());
            let timer = self.myself.later(left, |engine| {
                engine.timer = None;
                engine.tick();
            });
            self.timer = Some((at, timer));
        }
    }

    /// Does it. Whether the scheduler may have been told something by that.
    fn carry_out(&mut self, effect: PoolEffect) -> bool {
        match effect {
            PoolEffect::Start { worker, spec, job } => self.start_worker(worker, spec, job),
            PoolEffect::Send { worker, job } => {
                self.send_job(worker, job);
                return false;
            }
            PoolEffect::SendAhead { worker, job } => return !self.send_ahead(worker, job),
            PoolEffect::Begun { worker, job } => {
                self.begun(worker, job);
                return false;
            }
            PoolEffect::TakeBack { worker } => self.take_back(worker),
            PoolEffect::TellCancel { worker, job } => self.tell_cancel(worker, job),
            PoolEffect::NotReady { worker } => self.not_ready(worker),
            PoolEffect::Stop { worker, how } => self.stop_worker(worker, how),
            PoolEffect::NoAnswer { job, why } => self.no_answer(job, why),
            PoolEffect::Recycled { worker, why } => {
                self.counters.recycled(why);
                self.publish(Some(worker), PoolEventKind::Recycled { why });
            }
            PoolEffect::CheckedOut { worker, job } => self.checked_out(worker, job),
            PoolEffect::WentDown => {
                log::warn!(
                    "pool {}: no worker can be started: {}",
                    self.settings.name,
                    self.last_problem
                );
                self.publish(None, PoolEventKind::Down);
            }
            PoolEffect::CameUp => self.publish(None, PoolEventKind::Up),
            PoolEffect::Reloaded { spec } => self.reloaded(spec, true),
            PoolEffect::ReloadFailed { spec } => self.reloaded(spec, false),
            PoolEffect::Drained => self.drained(),
        }
        true
    }

    fn publish(&self, worker: Option<WorkerId>, what: PoolEventKind) {
        let pid = worker.and_then(|worker| self.workers.get(&worker)?.pid());
        self.shared.events.publish(PoolEvent {
            pool: Arc::clone(&self.settings.name),
            worker,
            pid,
            at: SystemTime::now(),
            what,
        });
    }
}

/// Whoever finds that the pool is gone, with its arbiter or by a panic, finds that its workers are, too.
impl Drop for PoolEngine {
    fn drop(&mut self) {
        // A given arbiter lives on.
        if let Some((_, timer)) = self.timer.take() {
            timer.abort();
        }
        if !matches!(self.stage, ShutdownStage::Over) {
            self.shared.kill_all.kill("a pool is gone");
            self.shared.end(PoolReport {
                killed: self.workers.len(),
                ended: self.jobs.len(),
                ..PoolReport::default()
            });
            self.home.end();
        }
    }
}
