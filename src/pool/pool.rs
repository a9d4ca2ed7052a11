//! The pool: what it is made of, and its start.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, ArbiterHandle, AsyncContext, Context, WrapFuture};

use super::access::PoolAccess;
use super::actor::{OwnedEngine, PoolEngine, PoolSetup, PoolTold};
use super::error::PoolError;
use super::framing::{Framing, Noise};
use super::handle::PoolHandle;
use super::settings::PoolSettings;
use super::shared::PoolShared;
use crate::Command;
use crate::Ladder;
use crate::ToArbiterHandle;
use crate::host::guard::Guard;
use crate::host::home::ActorHome;
use crate::monitor::Backoff;

/// Gives jobs to worker processes. It is an actor on an arbiter of its own; [`start`](Self::start) gives a [`PoolHandle`] to it.
///
/// ```
/// use actix_process::Command;
/// use actix_process::pool::{Job, Pool};
///
/// # actix::System::new().block_on(async {
/// let pool = Pool::one_shot(Command::new("tr").args(["a-z", "A-Z"])).workers(1..=4).start()?;
/// let answer = pool.submit(Job::new("loud")).await?;
/// assert_eq!(answer, "LOUD");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[must_use = "a pool does nothing until it is started"]
pub struct Pool {
    settings: PoolSettings,
    arbiter: Option<ArbiterHandle>,
    guarded: bool,
    /// There while it runs.
    pub(super) engine: Option<OwnedEngine>,
}

impl Pool {
    /// A pool of workers that stay: each is a process of this command, and does one job after the other. They speak
    /// [`Framing::Frames`] unless [`framing`](Self::framing) says otherwise.
    pub fn new(command: impl Into<Command>) -> Self {
        Self::of(command.into(), Framing::Frames)
    }

    /// A pool of one-shot processes: this command runs once for each job, which is its standard input to the end. Its standard output to the end is
    /// the answer, if it exits with 0 ([`success_codes`](Self::success_codes)).
    pub fn one_shot(command: impl Into<Command>) -> Self {
        Self::of(command.into(), Framing::OneShot)
    }

    fn of(command: Command, framing: Framing) -> Self {
        Self {
            settings: PoolSettings::new(command, framing),
            arbiter: None,
            guarded: true,
            engine: None,
        }
    }

    /// How many workers there are: from the first number, which are kept running, to the second, which are started when work waits, a quarter of them at
    /// a time. From 1 to the number of CPUs unless set. A pool of one-shot processes has so many at a time at most, each started as its job comes, and the first
    /// number counts for nothing there ([`spare`](Self::spare) does).
    pub const fn workers(mut self, workers: RangeInclusive<usize>) -> Self {
        self.settings.min = *workers.start();
        self.settings.max = *workers.end();
        self
    }

    /// How many jobs may wait, beyond one for each worker that there may be: 1,024 unless set. One more is
    /// [`JobError::QueueFull`](super::JobError::QueueFull) at once.
    pub const fn queue(mut self, jobs: usize) -> Self {
        self.settings.queue = jobs;
        self
    }

    /// How jobs go to the workers. [`Framing::OneShot`] makes the pool one of [one-shot processes](Self::one_shot).
    pub const fn framing(mut self, framing: Framing) -> Self {
        self.settings.framing = framing;
        self
    }

    /// What becomes of lines of [`Framing::JsonLines`] workers that are no answers: [`Noise::Error`] unless set.
    pub const fn noise(mut self, noise: Noise) -> Self {
        self.settings.noise = noise;
        self
    }

    /// So many one-shot processes are started ahead of the jobs: none unless set. Jobs with [arguments of their own](super::Job::arg) cannot use them.
    pub const fn spare(mut self, processes: usize) -> Self {
        self.settings.spare = processes;
        self
    }

    /// Which exit codes of a one-shot process are a success: 0 unless set. Others are [`JobError::Failed`](super::JobError::Failed).
    pub fn success_codes(mut self, codes: impl IntoIterator<Item = i32>) -> Self {
        self.settings.success_codes = codes.into_iter().collect();
        self
    }

    /// How long a worker has from its spawn until it is ready: 30 seconds unless set. It is apart from the time of a job. A worker that says that it
    /// goes on (a `progress` frame) has its whole time again.
    pub const fn ready_within(mut self, time: Duration) -> Self {
        self.settings.ready_within = time;
        self
    }

    /// How long a job may run, from the moment when a worker gets it, or has answered the one before: for ever unless set. [`Job::timeout`](super::Job::timeout) is for one job.
    pub const fn job_timeout(mut self, time: Duration) -> Self {
        self.settings.job_timeout = Some(time);
        self
    }

    /// A worker that is more than the least number of them, and has had nothing to do for so long, is stopped: 60 seconds unless set.
    pub const fn idle_timeout(mut self, time: Duration) -> Self {
        self.settings.idle_timeout = time;
        self
    }

    /// How long a worker that was told of a cancel has to say that it heard: 1 second unless set. Then it is stopped. Only for
    /// [`Framing::Frames`]: workers of the other kinds cannot be told, and are stopped at once.
    pub const fn soft(mut self, time: Duration) -> Self {
        self.settings.soft = time;
        self
    }

    /// How many jobs a worker whose last jobs were short is sent before it has answered the one that it does: 7 at most unless set, and none with 0.
    /// Its pipe holds 16. Only for [`Framing::Frames`], and workers that say that they keep to it, as [`worker::serve`](super::worker::serve) does: promise
    /// P3.
    pub const fn ahead(mut self, jobs: usize) -> Self {
        self.settings.ahead = jobs;
        self
    }

    /// How workers are stopped that do not go by themselves: SIGTERM to the group, SIGKILL after a second, unless set. The last step must be SIGKILL.
    pub fn stop(mut self, ladder: Ladder) -> Self {
        self.settings.ladder = ladder;
        self
    }

    /// A worker is replaced after about so many jobs: never unless set. Each worker has a number of its own, 10 % more or less, lest all of them
    /// are replaced at once.
    pub const fn max_jobs(mut self, jobs: u32) -> Self {
        self.settings.max_jobs = Some(jobs);
        self
    }

    /// A worker is replaced when it is about so old and has no job: never unless set. 10 % more or less, as [`max_jobs`](Self::max_jobs).
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.settings.max_age = Some(age);
        self
    }

    /// A worker whose group has more than so many bytes of memory (RSS) after a job is replaced, without a loss: never unless set.
    ///
    /// The pool looks after jobs, on another thread, ten times a second at most. A worker goes on with jobs meanwhile: it is replaced after the one that it has
    /// when the look is over.
    pub const fn max_rss(mut self, bytes: u64) -> Self {
        self.settings.max_rss = Some(bytes);
        self
    }

    /// A worker whose group has more than so many bytes of memory while it has a job is stopped at once, and its job is lost
    /// ([`JobError::WorkerLost`](super::JobError::WorkerLost) says so: `over_max_rss`): never unless set. The pool looks every 5 seconds while jobs run.
    pub const fn max_rss_hard(mut self, bytes: u64) -> Self {
        self.settings.max_rss_hard = Some(bytes);
        self
    }

    /// How long the pool waits after a start that failed. As for [services](crate::monitor::Restart::backoff).
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// The longest body of a frame, or line of JSON, in bytes: 8 MiB unless set. A longer job is [`JobError::TooLarge`](super::JobError::TooLarge), a
    /// worker that sends a longer one is out of step. The jobs of one-shot processes have no limit.
    pub const fn max_frame(mut self, bytes: usize) -> Self {
        self.settings.max_frame = bytes;
        self
    }

    /// The longest whole answer of [`submit`](PoolHandle::submit), in bytes: 64 MiB unless set. A longer one is
    /// [`JobError::TooLarge`](super::JobError::TooLarge). Streamed answers have no limit.
    pub const fn max_answer(mut self, bytes: usize) -> Self {
        self.settings.max_answer = bytes;
        self
    }

    /// How many parts of a streamed answer wait for their reader before the worker is held up: 16 unless set.
    pub const fn window(mut self, parts: usize) -> Self {
        self.settings.window = parts;
        self
    }

    /// The name of the pool in the log, errors and events: `pool` unless set.
    pub fn name(mut self, name: impl AsRef<str>) -> Self {
        self.settings.name = name.as_ref().into();
        self
    }

    /// The arbiter where the pool and its workers' pipes live, in place of one of its own. What blocks that arbiter holds up all of them.
    pub fn on(mut self, arbiter: &impl ToArbiterHandle) -> Self {
        self.arbiter = Some(arbiter.to_arbiter_handle());
        self
    }

    /// Whether a guard kills the groups of the workers when this program dies: yes unless set. The guard is one `/bin/sh` for all. Without it the workers
    /// themselves die with this program, and what they have started does not.
    pub const fn guard(mut self, guard: bool) -> Self {
        self.guarded = guard;
        self
    }

    /// Starts the pool, and with it the workers that are kept running. This call waits for none of them, nor does a job need them to be ready.
    ///
    /// In a System the pool lives on a new arbiter of that System, and ends with it. A thread in no System (under `#[tokio::main]`, say) gets a thread for it that
    /// has a System of its own.
    ///
    /// # Errors
    ///
    /// [`PoolError::Spec`] if the description is not acceptable: nothing was spawned. [`PoolError::Arbiter`] if no thread can be started.
    pub fn start(self) -> Result<PoolHandle, PoolError> {
        let settings = self.settings;
        settings.checked()?;
        let home = match self.arbiter {
            Some(arbiter) => ActorHome::Given(arbiter),
            None => {
                ActorHome::start("pool").map_err(|error| PoolError::Arbiter(Arc::new(error)))?
            }
        };
        let shared = Arc::new(PoolShared::new(settings.clone()));
        let arbiter = home.arbiter();
        let unstarted = EndsUnstartedPool(Some(Arc::clone(&shared)));
        let setup = PoolSetup {
            settings: settings.clone(),
            home,
            shared: Arc::clone(&shared),
            guarded: self.guarded,
        };
        let address = Self::start_in_arbiter(&arbiter, move |ctx| {
            unstarted.has_started();
            Self {
                engine: Some(OwnedEngine::new(setup, ctx.address())),
                settings,
                arbiter: None,
                guarded: true,
            }
        });
        let access = PoolAccess { address, shared };
        access.clone().end_with_the_system();
        Ok(PoolHandle::new(access))
    }

    /// Does something with what runs, and what follows from that.
    pub(super) fn with<T: Default>(&self, act: impl FnOnce(&mut PoolEngine) -> T) -> T {
        self.engine
            .as_ref()
            .map(|engine| engine.with(act))
            .unwrap_or_default()
    }
}

/// Ends a pool whose arbiter has ended before the pool could start there.
struct EndsUnstartedPool(Option<Arc<PoolShared>>);

impl EndsUnstartedPool {
    fn has_started(mut self) {
        self.0 = None;
    }
}

impl Drop for EndsUnstartedPool {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.end(Default::default());
        }
    }
}

impl Actor for Pool {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.with(|engine| engine.wants_guard()) {
            let address = ctx.address();
            let starting = Guard::start(move |event| address.do_send(PoolTold::Guard(event)));
            let started = starting.into_actor(self).map(|guard, pool, _| {
                pool.with(|engine| engine.guard_started(guard));
            });
            ctx.spawn(started);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("settings", &self.settings)
            .field("runs", &self.engine.is_some())
            .finish_non_exhaustive()
    }
}
