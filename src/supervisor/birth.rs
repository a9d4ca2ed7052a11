//! One spawn, from the request to the adopted child.
//!
//! [`Birth::run`] prepares and clones on a spawner thread; [`Newborn::adopt`] registers the pipes and the
//! pidfd with the asking arbiter's driver, starts the child's actors there, queues `ConnectionMade`, arms
//! the reaping and answers. Each
//! stage owns what the stages before it made, and its drop undoes or hands over: nothing is lost
//! wherever the sequence ends.

use std::io;
use std::mem;
use std::sync::{Arc, mpsc};

use tokio::io::Interest;
use tokio::runtime::Handle;

use super::reap::DeathWatch;
use super::request::Reply;
use super::table::Entry;
use crate::child::{Child, Origin};
use crate::containment::Containment;
use crate::environment::Moment;
use crate::error::{SpawnError, SpawnStep};
use crate::handle::ProcessHandle;
use crate::home::Home;
use crate::id::ProcessId;
use crate::janitor;
use crate::ladder::Ladder;
use crate::lifecycle::Input;
use crate::moved::Moved;
use crate::opening::{ParentEnd, ParentEnds};
use crate::pipe::End;
use crate::prepare::Prepared;
use crate::process::{Piped, Process, Purpose};
use crate::protocol::Protocol;
use crate::spawner::{Desk, Kin};
use crate::spec::Spec;
use crate::sys;
use crate::sys::clone::{Born, Ticket};
use crate::tree::Leader;

/// A spawn on its way to a spawner thread.
pub(super) struct Birth {
    pub(super) id: ProcessId,
    pub(super) spec: Arc<Spec>,
    pub(super) moved: Moved,
    pub(super) asked: Moment,
    pub(super) protocol: Protocol,
    pub(super) home: Home,
    pub(super) ticket: Arc<Ticket>,
    pub(super) entry: Entry,
    pub(super) reply: Reply,
}

impl Birth {
    /// Runs on a spawner thread; may block. Without a thread there is no desk.
    pub(super) fn run(self, desk: io::Result<Desk<'_>>) {
        let Self {
            id,
            spec,
            moved,
            asked,
            protocol,
            home,
            ticket,
            entry,
            reply,
        } = self;
        let mut tie = None;
        let mut asker = Kin::default();
        let result = desk
            .map_err(|error| SpawnError::new(SpawnStep::Clone, "the spawner thread", error))
            .and_then(|Desk { stack, ties, kin }| {
                asker = kin;
                // What may be wanted of it later, when it could not be had, must not be lost.
                janitor::start().map_err(|error| {
                    SpawnError::new(SpawnStep::Register, "the janitor thread", error)
                })?;
                if ticket.is_cancelled() {
                    return Err(cancelled(&reply.program));
                }
                // The signal follows the thread that clones.
                tie = spec.parent_death_signal.map(|_| ties.tie());
                Prepared::new(&spec, moved, asked)?.spawn(&spec, &ticket, stack)
            });
        let (born, ends, cgroup) = match result {
            Ok(born) => born,
            Err(error) => {
                log::debug!("{error}");
                // Before the answer, so that whoever gets it finds the table without the spawn.
                drop(entry);
                return reply.answer(Err(error));
            }
        };
        let (outlet, inbox) = protocol.into_parts();
        let origin = Origin {
            id,
            program: Arc::clone(&reply.program),
            spawned_pid: born.pid,
            outlet,
            inbox,
            on_orphaned: spec.on_orphaned,
            on_leftovers: spec.on_leftovers.unwrap_or_default(),
            ended_timeout: spec.ended_timeout,
            readers: ends.purposes().filter(|(_, p)| p.is_output()).count(),
            recorder: None,
            containment: Containment::of(&spec, cgroup.is_some()),
        };
        let piped = ends.purposes().map(|(fd, _)| fd);
        let child = Child::new(origin, piped);
        let Born { pid, pidfd } = born;
        log::debug!("{child} is born");
        child.cell.fill(Leader {
            pid,
            pidfd,
            cgroup: cgroup.map(Arc::new),
        });
        child.keep_threads(tie, asker);
        let Home { arbiter, runtime } = home;
        let mut newborn = Newborn::new(child, ends, ticket, entry, reply);
        if let Err(error) = newborn.start_waiter() {
            return newborn.give_up(error);
        }
        arbiter.spawn_fn(move || newborn.adopt(&runtime));
    }
}

/// A child that nobody has adopted. Dropped so, it is killed and reaped, and then the answer says
/// so: whoever asked finds nothing left, unless it cannot be killed, which the answer waits two
/// seconds for.
#[derive(Debug)]
struct Newborn {
    /// Until they are registered.
    ends: ParentEnds,
    pipes: Vec<Piped>,
    watch: Option<DeathWatch>,
    child: Arc<Child>,
    ticket: Arc<Ticket>,
    entry: Option<Entry>,
    reply: Option<Reply>,
    error: Option<SpawnError>,
}

impl Newborn {
    fn new(
        child: Arc<Child>,
        ends: ParentEnds,
        ticket: Arc<Ticket>,
        entry: Entry,
        reply: Reply,
    ) -> Self {
        Self {
            ends,
            pipes: Vec::new(),
            watch: None,
            child,
            ticket,
            entry: Some(entry),
            reply: Some(reply),
            error: None,
        }
    }

    /// Where there is no pidfd: on the spawner thread, since a thread is as its maker.
    fn start_waiter(&mut self) -> Result<(), SpawnError> {
        if self.child.cell.pidfd().is_none() {
            let (go, wait) = mpsc::channel();
            let started = janitor::watch_in_thread(self.child.watched(), Some(wait));
            started.map_err(|error| {
                SpawnError::new(SpawnStep::Register, &*self.child.program, error)
            })?;
            self.watch = Some(DeathWatch::Thread(go));
        }
        Ok(())
    }

    /// Makes the pipes and the child's death known to the asking arbiter's driver, on its thread: what is
    /// allocated there is freed there. All that can fail has failed before `ConnectionMade`.
    fn register(&mut self, runtime: &Handle) -> Result<(), SpawnError> {
        let program = &self.child.program;
        let failed = |error| SpawnError::new(SpawnStep::Register, &**program, error);
        if let Some(pidfd) = self.child.cell.pidfd() {
            let pidfd = sys::io::register(pidfd, Interest::READABLE, runtime).map_err(failed)?;
            self.watch = Some(DeathWatch::Pidfd(pidfd));
        }
        let ends = mem::take(&mut self.ends);
        let register = |fd: i32, end, interest| {
            sys::io::register(end, interest, runtime)
                .map_err(|error| failed(error).with_detail(format!("fd {fd}")))
        };
        if let Some((master, window)) = ends.terminal {
            let both = Interest::READABLE | Interest::WRITABLE;
            let master = Arc::new(register(0, master, both)?);
            self.child.keep_terminal(Arc::clone(&master));
            let stream = false;
            for (fd, purpose) in [(0, Purpose::Input), (1, Purpose::Output { window, stream })] {
                let end = End::Terminal(Arc::clone(&master));
                self.pipes.push(Piped { fd, purpose, end });
            }
        }
        self.pipes.reserve_exact(ends.pipes.len());
        for ParentEnd { fd, purpose, end } in ends.pipes {
            let interest = if purpose.is_output() {
                Interest::READABLE
            } else {
                // The child's close; see `End::report_room`.
                Interest::ERROR
            };
            let end = End::Pipe(register(fd, end, interest)?);
            self.pipes.push(Piped { fd, purpose, end });
        }
        Ok(())
    }

    fn give_up(mut self, error: SpawnError) {
        self.error = Some(error);
    }

    /// Runs on the asking arbiter: registers, and commits, unless the spawn was cancelled.
    fn adopt(mut self, runtime: &Handle) {
        // The driver's epoll instance is the parent's.
        if sys::copy::is_copy() {
            return;
        }
        if let Err(error) = self.register(runtime) {
            return self.give_up(error);
        }
        let child = Arc::clone(&self.child);
        let committed = |entry: &mut Entry| entry.commit(&self.ticket, &child);
        // Refused, the entry stays until the child is reaped.
        let Some(entry) = self.entry.take_if(committed) else {
            let error = cancelled(&child.program);
            return self.give_up(error);
        };
        let (Some(reply), Some(watch)) = (self.reply.take(), self.watch.take()) else {
            return;
        };
        let (process, readers) = Process::start_with(&child, mem::take(&mut self.pipes));
        let id = child.id;
        let table = entry.into_table();
        child.on_ended(move || {
            drop(process);
            table.remove(id);
        });
        child.apply(Input::Made);
        readers.start();
        // Nobody reaps it before this.
        watch.arm(&child);
        reply.answer(Ok(ProcessHandle::new(child)));
    }
}

impl Drop for Newborn {
    fn drop(&mut self) {
        // In a copy of the process it is the parent's to give up.
        if sys::copy::is_copy() {
            return;
        }
        let Some(reply) = self.reply.take() else {
            return;
        };
        let child = &self.child;
        let error = self
            .error
            .take()
            .unwrap_or_else(|| SpawnError::register(&*child.program, "its arbiter is gone"));
        log::debug!("{child} is given up: {error}");
        self.ends = ParentEnds::default();
        self.pipes.clear();
        let entry = self.entry.take();
        self.ticket.forget();
        // It may have run for a moment, and have started others.
        child.escalate(Ladder::new().kill(), move |report| {
            drop(entry);
            let error = if report.exited {
                error
            } else {
                error.with_detail("and the process cannot be killed: it lives on")
            };
            reply.answer(Err(error));
        });
        match self.watch.take() {
            // Its thread reaps, whether it is told to go or the sender drops.
            Some(DeathWatch::Thread(_)) => {}
            watch => {
                drop(watch);
                janitor::watch(child.watched());
            }
        }
    }
}

fn cancelled(program: &str) -> SpawnError {
    SpawnError::register(program, "the spawn was cancelled")
}
