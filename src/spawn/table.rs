//! The live table: the spawns in flight and the children that live. Shared with what must find the children when
//! the supervisor actor is dead: the guard, the spawner threads, the children's records.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use actix::ArbiterHandle;
use tokio::sync::Notify;

use crate::child::Child;
use crate::child::progress::Phase;
use crate::id::ProcessId;
use crate::ladder::Ladder;
use crate::sync::lock;
use crate::sys;
use crate::sys::clone::Ticket;
use crate::tree::members::Leftover;

/// A child as [`List`](crate::supervisor::List) shows it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProcessInfo {
    /// The number that no other child of this program has.
    pub id: ProcessId,
    /// The process id; `None` once the child was reaped.
    pub pid: Option<i32>,
    /// The process id that the child got at its spawn; see
    /// [`ProcessHandle::spawned_pid`](crate::ProcessHandle::spawned_pid).
    pub spawned_pid: i32,
    /// The program, as the command named it.
    pub program: String,
    /// What the child is called: by its command's [`name`](crate::Command::name), or as the program.
    pub name: String,
    /// Whether the child still runs.
    pub state: ProcessState,
    /// When the child was spawned.
    pub started_at: SystemTime,
    /// The child's piped descriptors that are still open.
    pub open_fds: Vec<i32>,
}

/// How far a child is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProcessState {
    /// Not reaped yet.
    Running,
    /// Reaped, but something holds its pipes.
    Exited,
}

/// What keeps the supervisor of a table alive: its address, which the table only drops.
pub(crate) type KeepAlive = Box<dyn Send>;

#[derive(Default)]
pub(crate) struct Table {
    inner: Mutex<Inner>,
    /// A spawn is no longer in flight.
    landed: Notify,
}

#[derive(Default)]
struct Inner {
    openness: Openness,
    in_flight: BTreeMap<ProcessId, Arc<Ticket>>,
    children: BTreeMap<ProcessId, Arc<Child>>,
    /// Keeps the supervisor alive while there is anything in the table, unless somebody else does.
    supervisor: Option<KeepAlive>,
    /// To be stopped when the supervisor is gone and the table empty.
    arbiter: Option<ArbiterHandle>,
}

/// Children on their way out by one shutdown.
#[derive(Debug, Default)]
pub(crate) struct Stopping {
    state: Mutex<(usize, Vec<Leftover>)>,
    /// One is gone, or was given up.
    changed: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Openness {
    #[default]
    Open,
    ShuttingDown,
    /// The supervisor is gone.
    Lost,
}

impl Table {
    /// A table whose supervisor has `arbiter` for itself.
    pub(crate) fn with_arbiter(arbiter: ArbiterHandle) -> Self {
        Self {
            inner: Mutex::new(Inner {
                arbiter: Some(arbiter),
                ..Inner::default()
            }),
            landed: Notify::new(),
        }
    }

    /// Enters a spawn, or says why not.
    pub(super) fn begin(
        &self,
        id: ProcessId,
        ticket: &Arc<Ticket>,
        supervisor: Option<KeepAlive>,
    ) -> Result<(), &'static str> {
        let mut inner = lock(&self.inner);
        match inner.openness {
            Openness::Open => {}
            Openness::ShuttingDown => return Err("its supervisor is shutting down"),
            Openness::Lost => return Err("its supervisor is gone"),
        }
        inner.in_flight.insert(id, Arc::clone(ticket));
        if inner.supervisor.is_none() {
            inner.supervisor = supervisor;
        }
        Ok(())
    }

    /// Commits the spawn and puts the child into its place, in one step: the thread that closes the table finds
    /// either a ticket to cancel or the child. False if it is cancelled or closed.
    pub(super) fn commit(&self, id: ProcessId, ticket: &Ticket, child: &Arc<Child>) -> bool {
        let mut inner = lock(&self.inner);
        let committed = inner.openness == Openness::Open && ticket.commit();
        if committed {
            inner.in_flight.remove(&id);
            inner.children.insert(id, Arc::clone(child));
            self.settle(inner);
        }
        committed
    }

    /// Takes a spawn out that was not committed.
    pub(super) fn give_up(&self, id: ProcessId) {
        let mut inner = lock(&self.inner);
        inner.in_flight.remove(&id);
        self.settle(inner);
    }

    /// Takes a child out after its end.
    pub(crate) fn remove(&self, id: ProcessId) {
        let mut inner = lock(&self.inner);
        inner.children.remove(&id);
        self.settle(inner);
    }

    /// Lets go of the supervisor, and of its arbiter, when nothing is left.
    fn settle(&self, mut inner: std::sync::MutexGuard<'_, Inner>) {
        let mut supervisor = None;
        if inner.children.is_empty() && inner.in_flight.is_empty() {
            supervisor = inner.supervisor.take();
            if let (Openness::Lost, Some(arbiter)) = (inner.openness, &inner.arbiter) {
                arbiter.stop();
            }
        }
        drop(inner);
        drop(supervisor);
        self.landed.notify_waiters();
    }

    /// Refuses spawns from now on, kills those in flight, terminates the children and their groups.
    pub(crate) fn shut_down(&self, grace: Duration) -> Arc<Stopping> {
        let stopping = Arc::<Stopping>::default();
        if sys::copy::is_copy() {
            return stopping;
        }
        let (tickets, children) = self.close(Openness::ShuttingDown);
        for ticket in tickets {
            ticket.cancel();
        }
        lock(&stopping.state).0 = children.len();
        for child in children {
            let stopping = Arc::clone(&stopping);
            child.escalate(Ladder::terminate(grace), move |report| {
                let mut state = lock(&stopping.state);
                state.0 -= 1;
                state.1.extend(report.leftovers);
                drop(state);
                stopping.changed.notify_waiters();
            });
        }
        stopping
    }

    /// The supervisor, or its System, is gone: every child follows its policy. Synchronous, from
    /// any thread, any number of times.
    pub(crate) fn owner_lost(&self, why: &str) {
        if sys::copy::is_copy() {
            return;
        }
        let (tickets, children) = self.close(Openness::Lost);
        for ticket in tickets {
            ticket.cancel();
        }
        for child in &children {
            child.orphan(why);
        }
        self.settle(lock(&self.inner));
    }

    /// Whether its supervisor, or its System, is gone.
    pub(crate) fn is_lost(&self) -> bool {
        lock(&self.inner).openness == Openness::Lost
    }

    /// Stops the supervisor's own arbiter, which nothing else stops once its System is gone.
    pub(crate) fn stop_arbiter(&self) {
        if let Some(arbiter) = &lock(&self.inner).arbiter {
            arbiter.stop();
        }
    }

    fn close(&self, to: Openness) -> (Vec<Arc<Ticket>>, Vec<Arc<Child>>) {
        let mut inner = lock(&self.inner);
        if inner.openness != Openness::Lost {
            inner.openness = to;
        }
        if to == Openness::Lost {
            inner.supervisor = None;
        }
        (
            inner.in_flight.values().cloned().collect(),
            inner.children.values().cloned().collect(),
        )
    }

    /// Resolves when no spawn is in flight and the exit of every child was told. Only for a table that is closed:
    /// no spawn that is in flight becomes a child then. Looks at each child once.
    pub(crate) async fn drained(&self) {
        // Nobody would tell of it in a copy.
        while !sys::copy::is_copy() {
            let landed = self.landed.notified();
            if lock(&self.inner).in_flight.is_empty() {
                break;
            }
            landed.await;
        }
        for child in self.children() {
            child.progress.reached(Phase::Exited).await;
        }
    }

    fn children(&self) -> Vec<Arc<Child>> {
        if sys::copy::is_copy() {
            return Vec::new();
        }
        lock(&self.inner).children.values().cloned().collect()
    }

    pub(crate) fn list(&self) -> Vec<ProcessInfo> {
        let children = self.children();
        let mut listed: Vec<_> = children.iter().map(|child| (info(child), child)).collect();
        // A child's end is told under the lock that `info` took, and the child leaves the table after that. So a
        // child whose end was told is not listed.
        listed.retain(|(_, child)| !child.progress.is_ended());
        listed.into_iter().map(|(info, _)| info).collect()
    }

    pub(crate) fn unreaped_infos(&self) -> Vec<ProcessInfo> {
        for child in self.children() {
            // Dead ones whose arbiter is too busy to reap them.
            child.try_reap();
        }
        let mut infos = self.list();
        infos.retain(|info| info.state == ProcessState::Running);
        infos
    }
}

fn info(child: &Child) -> ProcessInfo {
    let pid = child.live.pid();
    ProcessInfo {
        id: child.id,
        pid,
        spawned_pid: child.spawned_pid,
        program: child.program.to_string(),
        name: child.name.to_string(),
        // What is still to be reaped has a pid.
        state: match pid {
            Some(_) => ProcessState::Running,
            None => ProcessState::Exited,
        },
        started_at: child.started_at,
        open_fds: child.open_fds(),
    }
}

impl Stopping {
    /// Resolves when every child is gone, or was given up; gives the members of their groups that are left.
    pub(crate) async fn over(&self) -> Vec<Leftover> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = lock(&self.state);
                if state.0 == 0 {
                    return std::mem::take(&mut state.1);
                }
            }
            changed.await;
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = lock(&self.inner);
        f.debug_struct("Table")
            .field("openness", &inner.openness)
            .field("in_flight", &inner.in_flight.len())
            .field("children", &inner.children.len())
            .finish_non_exhaustive()
    }
}
