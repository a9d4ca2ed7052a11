//! One spawn, from the request to the adopted child.
//!
//! [`SpawnJob::run`] prepares and clones on a spawner thread; [`Unadopted::adopt`] registers the pipes and the
//! pidfd with the driver of the child's arbiter (see `home.rs`), starts the child's actors there, queues `ConnectionMade`, arms
//! the reaping and answers. Each
//! stage owns what the stages before it made, and its drop undoes or hands over: nothing is lost
//! wherever the sequence ends.

use std::io;
use std::mem;
use std::sync::{Arc, mpsc};

use tokio::io::Interest;
use tokio::runtime::Handle;

use super::exit_watch::ExitWatch;
use super::in_flight::InFlight;
use crate::actors::End;
use crate::actors::process::Process;
use crate::child::lifecycle::LifecycleInput;
use crate::child::live_process::LiveProcess;
use crate::child::{Child, Origin};
use crate::command::containment::Containment;
use crate::command::spec::Spec;
use crate::command::taken_fds::TakenFds;
use crate::error::{SpawnError, SpawnStep};
use crate::handle::ProcessHandle;
use crate::ladder::Ladder;
use crate::port::piped::Piped;
use crate::protocol::into::Protocol;
use crate::spawn::environment::EnvGeneration;
use crate::spawn::opening::ParentEnds;
use crate::spawn::prepare::Prepared;
use crate::sys;
use crate::sys::clone::Cloned;
use crate::text::Escaped;
use crate::threads::arbiter_ref::{ArbiterRef, run_on};
use crate::threads::janitor;
use crate::threads::spawners::{Desk, Kin};
use crate::tree::Leader;

/// A spawn on its way to a spawner thread.
pub(super) struct SpawnJob {
    pub(super) spec: Arc<Spec>,
    pub(super) taken: TakenFds,
    pub(super) asked: EnvGeneration,
    pub(super) protocol: Protocol,
    pub(super) in_flight: InFlight,
}

impl SpawnJob {
    /// Runs on a spawner thread; may block. Without a thread there is no desk.
    pub(super) fn run(self, arbiter_ref: &ArbiterRef, desk: io::Result<Desk<'_>>) {
        let Self {
            spec,
            taken,
            asked,
            protocol,
            in_flight,
        } = self;
        let mut tie = None;
        let mut asker = Kin::default();
        let result = desk
            .map_err(|error| SpawnError::new(SpawnStep::Clone, "the spawner thread", error))
            .and_then(|Desk { stack, ties, kin }| {
                asker = kin;
                protocol.check(&spec.fds, spec.pty.as_ref().is_some_and(|pty| pty.stream))?;
                // What may be wanted of it later, when it could not be had, must not be lost.
                janitor::start().map_err(|error| {
                    SpawnError::new(SpawnStep::Register, "the janitor thread", error)
                })?;
                if in_flight.ticket.is_cancelled() {
                    return Err(cancelled(&in_flight.program));
                }
                // The signal follows the thread that clones.
                tie = spec.parent_death_signal.map(|_| ties.tie());
                Prepared::new(&spec, taken, asked)?.spawn(&spec, &in_flight.ticket, stack)
            });
        let (cloned, ends, cgroup) = match result {
            Ok(cloned) => cloned,
            Err(error) => {
                let (id, name) = (in_flight.id, Escaped(in_flight.name()));
                log::debug!("process {id} ({name}) was not spawned: {error}");
                return in_flight.fail(error);
            }
        };
        let (event_sink, mailbox_turns) = protocol.into_parts();
        let origin = Origin {
            id: in_flight.id,
            program: Arc::clone(&in_flight.program),
            name: Arc::clone(in_flight.name()),
            spawned_pid: cloned.pid,
            event_sink,
            mailbox_turns,
            on_orphaned: spec.on_orphaned,
            is_quiet_orphan: spec.is_quiet_orphan,
            on_leftovers: spec.on_leftovers.unwrap_or_default(),
            ended_timeout: spec.ended_timeout,
            time_limit: spec.timeout.clone(),
            readers: ends.roles().filter(|(_, p)| p.is_output()).count(),
            live: LiveProcess::default(),
            containment: Containment::of(&spec, cgroup.is_some()),
        };
        let piped = ends.roles().map(|(fd, _)| fd);
        let child = Child::new(origin, piped);
        let Cloned { pid, pidfd, start } = cloned;
        log::debug!("{child} is born");
        child.live.fill(Leader {
            pid,
            pidfd,
            cgroup: cgroup.map(Arc::new),
        });
        child.keep_threads(tie, asker);
        if let Some(start) = start {
            let _ = child.start.set(start);
        }
        let ArbiterRef { arbiter, runtime } = arbiter_ref.clone();
        let mut unadopted = Unadopted {
            child,
            ends,
            pipes: Vec::new(),
            watch: None,
            in_flight: Some(in_flight),
        };
        if let Err(error) = unadopted.start_waiter() {
            return unadopted.abandon(error);
        }
        // Where the arbiter is gone it is abandoned.
        let adopt = move |unadopted: Unadopted| unadopted.adopt(&runtime);
        drop(run_on(&arbiter, unadopted, adopt));
    }
}

/// A child that nobody has adopted. Dropped so, it is abandoned.
#[derive(Debug)]
struct Unadopted {
    child: Arc<Child>,
    /// Until they are registered.
    ends: ParentEnds,
    pipes: Vec<Piped<End>>,
    /// From the registration on, or where there is no pidfd from the start.
    watch: Option<ExitWatch>,
    /// Until the child is adopted or abandoned.
    in_flight: Option<InFlight>,
}

impl Unadopted {
    /// Where there is no pidfd: on the spawner thread, since a thread is as its maker.
    fn start_waiter(&mut self) -> Result<(), SpawnError> {
        if self.child.live.pidfd().is_none() {
            let (go, wait) = mpsc::channel();
            let started = janitor::watch_in_thread(self.child.clone(), Some(wait));
            started.map_err(|error| {
                SpawnError::new(SpawnStep::Register, &*self.child.program, error)
            })?;
            self.watch = Some(ExitWatch::Thread(go));
        }
        Ok(())
    }

    /// Makes the pipes and the child's death known to the driver of the child's arbiter, on its thread: what is
    /// allocated there is freed there. All that can fail has failed before `ConnectionMade`.
    fn register(&mut self, runtime: &Handle) -> Result<(), SpawnError> {
        let program = &self.child.program;
        let failed = |error| SpawnError::new(SpawnStep::Register, &**program, error);
        if let Some(pidfd) = self.child.live.pidfd() {
            let pidfd = sys::io::register(pidfd, Interest::READABLE, runtime).map_err(failed)?;
            self.watch = Some(ExitWatch::Pidfd(pidfd));
        }
        let ends = mem::take(&mut self.ends);
        let register = |fd: i32, end, interest| {
            sys::io::register(end, interest, runtime)
                .map_err(|error| failed(error).with_detail(format!("fd {fd}")))
        };
        if let Some(terminal) = ends.terminal {
            let both = Interest::READABLE | Interest::WRITABLE;
            let halves = terminal.halves();
            let master = Arc::new(register(0, terminal.master, both)?);
            self.child.keep_terminal(Arc::clone(&master));
            for (fd, role) in halves {
                let end = End::Terminal(Arc::clone(&master));
                self.pipes.push(Piped { fd, role, end });
            }
        }
        self.pipes.reserve_exact(ends.pipes.len());
        for Piped { fd, role, end } in ends.pipes {
            let interest = if role.is_output() {
                Interest::READABLE
            } else {
                // The child's close; see `End::report_room`.
                Interest::ERROR
            };
            let end = End::Pipe(register(fd, end, interest)?);
            self.pipes.push(Piped { fd, role, end });
        }
        Ok(())
    }

    /// Runs on the child's arbiter: registers, and commits, unless the spawn was cancelled.
    fn adopt(mut self, runtime: &Handle) {
        // The driver's epoll instance is the parent's.
        if sys::copy::is_copy() {
            return;
        }
        if let Err(error) = self.register(runtime) {
            return self.abandon(error);
        }
        let child = Arc::clone(&self.child);
        let committed = |in_flight: &mut InFlight| in_flight.commit(&child);
        // Refused, it keeps its place until the child is reaped.
        let Some(in_flight) = self.in_flight.take_if(committed) else {
            return self.abandon(cancelled(&child.program));
        };
        let (process, readers) = Process::start_with(&child, mem::take(&mut self.pipes));
        let (id, table) = (child.id, Arc::clone(&in_flight.table));
        child.on_ended(move || {
            drop(process);
            table.remove(id);
        });
        child.apply(LifecycleInput::Made);
        child.start_time_limit();
        readers.start();
        // Nobody reaps it before this.
        if let Some(watch) = self.watch.take() {
            watch.arm(&child);
        }
        in_flight.answer(ProcessHandle::new(child));
    }

    /// Kills the child, has it reaped, and answers then, so that the asker finds nothing left. If the child
    /// cannot be killed, the answer comes two seconds later.
    fn abandon(&mut self, error: SpawnError) {
        // In a copy of the process it is the parent's to give up.
        if sys::copy::is_copy() {
            return;
        }
        let Some(in_flight) = self.in_flight.take() else {
            return;
        };
        let child = &self.child;
        log::debug!("{child} is given up: {error}");
        self.ends = ParentEnds::default();
        self.pipes.clear();
        in_flight.ticket.forget();
        // It may have run for a moment, and have started others.
        child.escalate(Ladder::new().kill(), move |report| {
            in_flight.fail(if report.exited {
                error
            } else {
                error.with_detail("and the process cannot be killed: it lives on")
            });
        });
        match self.watch.take() {
            // Its thread reaps, whether it is told to go or the sender drops.
            Some(ExitWatch::Thread(_)) => {}
            watch => {
                drop(watch);
                janitor::watch(child.clone());
            }
        }
    }
}

impl Drop for Unadopted {
    fn drop(&mut self) {
        if self.in_flight.is_some() {
            let error = SpawnError::register(&*self.child.program, "its arbiter is gone");
            self.abandon(error);
        }
    }
}

fn cancelled(program: &str) -> SpawnError {
    SpawnError::register(program, "the spawn was cancelled")
}
