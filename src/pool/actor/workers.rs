//! The workers of a pool, as its actor sees them.

use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::{PoolEngine, PoolGuard};
use crate::Bytes;
use crate::Command;
use crate::ExitStatus;
use crate::ProcessHandle;
use crate::monitor::Exit;
use crate::monitor::ExitKind;
use crate::monitor::output::{OutputSource, OutputSpec, ServiceOutput};
use crate::pool::actor::WorkerEnd;
use crate::pool::core::{JobNumber, StopWorker, WorkerId};
use crate::pool::error::{JobError, PoolError};
use crate::pool::event::PoolEventKind;
use crate::pool::link::{self, LinkCommand, LinkSetup, WorkerDesk, WorkerLine};

/// A worker, from its start until it is gone.
pub(super) struct WorkerPlace {
    pub(super) line: WorkerLine,
    pub(super) process: Option<ProcessHandle>,
    began: Instant,
    pub(super) ready: bool,
    /// How many jobs it got.
    pub(super) jobs: u64,
    /// What was wrong with what it said.
    pub(super) wrong: Option<Arc<str>>,
    /// How it ended, if that is known.
    pub(super) status: Option<ExitStatus>,
    pub(super) tail: Bytes,
    /// It is stopped for its memory.
    pub(super) over_max_rss: bool,
    /// The pool wanted it to end.
    stopped: bool,
    /// The arguments of this job are in its command.
    job: Option<JobNumber>,
}

impl WorkerPlace {
    pub(super) fn pid(&self) -> Option<i32> {
        self.process.as_ref().map(ProcessHandle::spawned_pid)
    }

    /// Why it ended.
    pub(super) fn kind(&self) -> ExitKind {
        match self.status {
            _ if self.stopped => ExitKind::Stopped,
            None => ExitKind::Unhealthy,
            Some(_) if !self.ready => ExitKind::Unready,
            Some(status) if status.success() => ExitKind::Ok,
            Some(status) if status.code().is_some() => ExitKind::Code,
            Some(_) => ExitKind::Signal,
        }
    }
}

/// Workers that begin together.
#[derive(Default)]
pub(super) struct WaitingStarts(Vec<LinkSetup>);

impl PoolEngine {
    pub(super) fn start_worker(&mut self, worker: WorkerId, spec: u64, job: Option<JobNumber>) {
        if let PoolGuard::Coming(waiting) = &mut self.guard {
            return waiting.push((worker, spec, job));
        }
        // The shutdown comes, which gives this start up.
        if self.shared.kill_all.has_killed() {
            return;
        }
        let Some(command) = self.commands.get(&spec).cloned() else {
            self.start_failed(worker, "its command is used no more".into());
            return self.scheduler.start_failed(worker);
        };
        let command = self.with_args(command, job);
        let output = OutputSpec::default();
        let source = OutputSource::new(&output);
        self.shared.outputs().insert(worker, source.clone());
        let name = format!("{} worker {worker}", self.settings.name);
        let (link, commands) = link::commands();
        self.workers.insert(
            worker,
            WorkerPlace {
                line: WorkerLine::new(link),
                process: None,
                began: self.now,
                ready: false,
                jobs: 0,
                wrong: None,
                status: None,
                tail: Bytes::new(),
                over_max_rss: false,
                stopped: false,
                job,
            },
        );
        log::debug!("pool {}: worker {worker} starts", self.settings.name);
        if self.starting.0.is_empty() {
            let engine = self.myself.clone();
            actix_rt::spawn(async move { engine.with(Self::begin_starts) });
        }
        self.starting.0.push(LinkSetup {
            worker,
            command,
            settings: Rc::clone(&self.settings),
            shared: Arc::clone(&self.shared),
            guard: match &self.guard {
                PoolGuard::There(guard) => Some(Rc::clone(guard)),
                _ => None,
            },
            output: ServiceOutput::new(&output, source, name.into(), None),
            engine: self.myself.clone(),
            commands,
        });
        if let Some(job) = job {
            self.send_job(worker, job);
        }
    }

    /// What was started in this turn of the arbiter begins together, which is cheaper.
    fn begin_starts(&mut self) {
        for begun in link::begin(mem::take(&mut self.starting.0)) {
            actix_rt::spawn(link::run(begun));
        }
    }

    fn with_args(&self, command: Command, job: Option<JobNumber>) -> Command {
        let Some(job) = job.and_then(|job| self.jobs.get(&job)) else {
            return command;
        };
        let command = match job.args.is_empty() {
            true => command,
            false => command.args(&job.args),
        };
        match job.body.is_empty() {
            true => command.stdin(link::empty_input()),
            false => command,
        }
    }

    pub(super) fn spawned(
        &mut self,
        worker: WorkerId,
        process: ProcessHandle,
        desk: Rc<WorkerDesk>,
    ) {
        if let Some(place) = self.workers.get_mut(&worker) {
            place.process = Some(process);
            place.line.spawned(desk);
        }
        self.publish(Some(worker), PoolEventKind::Started);
    }

    pub(super) fn ready(&mut self, worker: WorkerId, name: Arc<str>, takes_ahead: bool) {
        if let Some(place) = self.workers.get_mut(&worker) {
            place.ready = true;
        }
        self.scheduler.worker_ready(worker, takes_ahead);
        self.publish(Some(worker), PoolEventKind::Ready { name });
    }

    pub(super) fn not_spawned(&mut self, worker: WorkerId, problem: Arc<str>, too_long: bool) {
        let Some(place) = self.workers.remove(&worker) else {
            return;
        };
        self.shared.outputs().remove(&worker);
        // What the arguments of one job do not allow is no fault of the command.
        if let Some(job) = place.job
            && self.jobs.get(&job).is_some_and(|job| !job.args.is_empty())
            && too_long
        {
            self.end_job(job, JobError::Protocol { what: problem });
            self.scheduler.worker_gone(worker);
            return;
        }
        if !place.stopped {
            self.start_failed(worker, problem);
        }
        self.scheduler.start_failed(worker);
    }

    /// What is told of it.
    pub(super) fn start_failed(&mut self, worker: WorkerId, problem: Arc<str>) {
        log::debug!(
            "pool {}: worker {worker} was not started: {problem}",
            self.settings.name
        );
        self.last_problem = Arc::clone(&problem);
        self.publish(Some(worker), PoolEventKind::StartFailed { problem });
    }

    /// It says no more: whoever waits for it hears that now.
    pub(super) fn dying(&mut self, worker: WorkerId, status: Option<ExitStatus>, tail: Bytes) {
        if let Some(place) = self.workers.get_mut(&worker) {
            place.status = status;
            place.tail = tail;
            if !place.ready && !place.stopped {
                let problem: Arc<str> = match status {
                    Some(status) => format!("it ended before it was ready: {status}").into(),
                    None => "it closed its channel before it was ready".into(),
                };
                place.wrong = Some(Arc::clone(&problem));
                self.start_failed(worker, problem);
            }
        }
        self.scheduler.worker_dying(worker);
    }

    pub(super) fn wrong(&mut self, worker: WorkerId, what: Arc<str>) {
        log::debug!(
            "pool {}: worker {worker} is out of step: {what}",
            self.settings.name
        );
        if let Some(place) = self.workers.get_mut(&worker) {
            place.wrong = Some(Arc::clone(&what));
            if !place.ready {
                self.start_failed(worker, Arc::clone(&what));
            }
        }
        self.publish(Some(worker), PoolEventKind::OutOfStep { what });
        self.scheduler.broken(worker);
    }

    /// Its time is over. It is stopped next.
    pub(super) fn not_ready(&mut self, worker: WorkerId) {
        let within = self.settings.ready_within;
        let problem: Arc<str> = format!("it was not ready within {within:?}").into();
        if let Some(place) = self.workers.get_mut(&worker) {
            place.wrong = Some(Arc::clone(&problem));
        }
        self.start_failed(worker, problem);
    }

    pub(super) fn stop_worker(&mut self, worker: WorkerId, how: StopWorker) {
        let Some(place) = self.workers.get_mut(&worker) else {
            return self.never_began(worker);
        };
        place.stopped |= place.wrong.is_none() && place.status.is_none();
        place.line.send(LinkCommand::Stop(how));
    }

    /// A start that waits for the guard, or that came when all were killed already, is over with its stop.
    fn never_began(&mut self, worker: WorkerId) {
        if let PoolGuard::Coming(waiting) = &mut self.guard {
            waiting.retain(|(waits, ..)| *waits != worker);
        }
        self.scheduler.worker_gone(worker);
    }

    pub(super) fn gone(&mut self, worker: WorkerId, end: WorkerEnd) {
        let WorkerEnd {
            status,
            killed,
            leftovers,
            tail,
        } = end;
        if let Some(place) = self.workers.get_mut(&worker) {
            place.status = Some(status);
            place.tail = tail;
            let kind = match place.kind() {
                ExitKind::Stopped if killed => ExitKind::Escalated,
                kind => kind,
            };
            let exit = Exit::of(status, kind, place.began.elapsed(), place.tail.clone());
            if self.stage.has_begun() {
                self.counters.ended_in_shutdown(killed, leftovers);
            }
            self.publish(Some(worker), PoolEventKind::Ended { exit, leftovers });
        }
        self.scheduler.worker_gone(worker);
        self.workers.remove(&worker);
        self.shared.outputs().remove(&worker);
    }

    /// A command for all workers from now on. Who waits is told when it is proven.
    pub(super) fn reload(
        &mut self,
        command: Command,
        tell: tokio::sync::oneshot::Sender<Result<(), PoolError>>,
    ) {
        if self.stage.has_begun() {
            return drop(tell.send(Err(PoolError::Ended)));
        }
        if let Some((_, before)) = self.reload.take() {
            let _ = before.send(Err(PoolError::Overtaken));
        }
        self.last_command += 1;
        let command = self.settings.worker_command(command);
        self.commands.insert(self.last_command, command);
        self.reload = Some((self.last_command, tell));
        self.scheduler.reload(self.last_command);
    }

    pub(super) fn reloaded(&mut self, spec: u64, done: bool) {
        let (what, answer) = match done {
            true => (PoolEventKind::Reloaded, Ok(())),
            false => {
                let problem = Arc::clone(&self.last_problem);
                (
                    PoolEventKind::ReloadFailed,
                    Err(PoolError::Reload { problem }),
                )
            }
        };
        self.forget_commands((!done).then_some(spec));
        self.publish(None, what);
        if let Some((_, tell)) = self.reload.take_if(|(of, _)| *of == spec) {
            let _ = tell.send(answer);
        }
    }

    /// Keeps the commands that workers may be started of: the one that was proven last, those of reloads since, but for one that has `failed`, and
    /// those of starts that wait for the guard. A reload that fails as another one takes its place may be the one that was proven.
    fn forget_commands(&mut self, failed: Option<u64>) {
        let current = self.scheduler.current_spec();
        let waiting: &[(WorkerId, u64, Option<JobNumber>)] = match &self.guard {
            PoolGuard::Coming(waiting) => waiting,
            PoolGuard::There(_) | PoolGuard::None => &[],
        };
        self.commands.retain(|of, _| {
            *of == current
                || *of > current && failed != Some(*of)
                || waiting.iter().any(|(_, spec, _)| spec == of)
        });
    }
}
