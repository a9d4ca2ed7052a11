//! What a monitor decides: which service starts, stops, waits or is given up, and what follows from that. Plain data: no actor, no
//! clock, no process. Time is a `Duration` since some moment that the caller chose; chance is a number that the caller gives.

mod commands;
mod facts;
mod forgotten_waits;
mod instance;
mod leases;
mod look;
mod policy;
mod removal;
mod settle;
mod shutdown;
mod stops;
mod timers;
mod waiting;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub(in crate::monitor) use instance::Instance;
pub(in crate::monitor) use policy::{Kinship, Policy, Precondition};

use super::error::{MonitorError, StartFailure};
use super::exit::Exit;
use super::name::ServiceName;
use super::shutdown_report::ShutdownReport;
use super::state::ServiceState;
use crate::Bytes;
use crate::ExitStatus;
use crate::StoppedBy;
use policy::ServiceEntry;
use shutdown::ShutdownUnderWay;
use timers::Timers;

/// The place of an instance, as long as it is not forgotten.
pub(in crate::monitor) type Slot = usize;

/// Somebody who waits for an answer.
pub(in crate::monitor) type Ticket = u64;

/// One lease, from its request until its drop.
pub(in crate::monitor) type LeaseId = u64;

/// The time in which a stop by SIGKILL is answered: that of [`Ladder::kill`](crate::Ladder::kill), and one second for the answer.
pub(in crate::monitor) const AFTER_KILL: Duration = Duration::from_secs(3);

/// What somebody asks for.
#[derive(Debug)]
pub(in crate::monitor) enum Request {
    Start,
    /// Wait for readiness.
    Ready,
    Stop,
    Restart,
    /// A start that waits in backoff is made now.
    RestartNow,
    /// Stop, then forget. Without a key: the service with all its instances.
    Remove,
}

/// What happened to one start.
#[derive(Debug)]
pub(in crate::monitor) enum Fact {
    /// Its child runs.
    Spawned {
        pid: i32,
    },
    /// There is no child.
    NotStarted {
        failure: StartFailure,
        /// To try again cannot help.
        permanent: bool,
    },
    Ready,
    /// It says that it is ready no more (RELOADING).
    Unready,
    /// It will not be ready.
    NeverReady {
        problem: Arc<str>,
    },
    Unhealthy,
    /// Its watchdog message did not come.
    Missed,
    /// Its child was reaped; its group may live on.
    Exited,
    /// It cannot be killed.
    Unkillable,
    /// The child was reaped, all its output was taken, and nobody of its group is left, or nobody that can be killed.
    Over(RunEnd),
}

/// How a run was over.
#[derive(Debug, Clone)]
pub(in crate::monitor) struct RunEnd {
    pub(in crate::monitor) status: ExitStatus,
    /// The last step of its ladder that was taken.
    pub(in crate::monitor) by: StoppedBy,
    /// How many members of its group outlived the child.
    pub(in crate::monitor) leftovers: usize,
    pub(in crate::monitor) out_of_memory: bool,
    pub(in crate::monitor) tail: Bytes,
}

/// By which ladder a run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::monitor) enum How {
    /// The service's own.
    Ladder,
    /// SIGABRT first.
    Watchdog,
    /// SIGKILL.
    Kill,
}

/// What the caller is to do.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(in crate::monitor) enum Effect {
    /// Make the command and spawn it.
    Launch {
        slot: Slot,
        generation: u64,
        attempt: u32,
    },
    /// Give up a launch that is under way.
    Abandon {
        slot: Slot,
        generation: u64,
    },
    Stop {
        slot: Slot,
        generation: u64,
        how: How,
    },
    /// Look after its liveness.
    Watch {
        slot: Slot,
        generation: u64,
    },
    /// Tell of a change of its state.
    Changed {
        slot: Slot,
        generation: u64,
        pid: Option<i32>,
        from: ServiceState,
        to: ServiceState,
        exit: Option<Exit>,
    },
    /// Tell that it cannot be killed.
    Unkillable {
        slot: Slot,
    },
    /// Tell how many of its group outlived its child.
    Leftovers {
        slot: Slot,
        count: usize,
    },
    Answer {
        ticket: Ticket,
        reply: Result<(), MonitorError>,
    },
    /// A new instance.
    Born {
        slot: Slot,
    },
    /// The instance is forgotten; its slot may be given anew.
    Forget {
        slot: Slot,
    },
    ShutdownBegan,
    ShutdownOver(ShutdownReport),
}

/// All services of a monitor.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(in crate::monitor) struct Core {
    /// By a number that grows with each service, so this is the order in which they were added.
    entries: BTreeMap<usize, ServiceEntry>,
    next_service: usize,
    by_id: HashMap<Arc<str>, usize>,
    instances: Vec<Option<Instance>>,
    free: Vec<Slot>,
    /// Those that were forgotten in the effects that were taken last.
    freed: Vec<Slot>,
    /// How many instances may have a process.
    alive: usize,
    by_name: HashMap<ServiceName, Slot>,
    leases: BTreeMap<LeaseId, Slot>,
    timers: Timers,
    last_generation: u64,
    now: Duration,
    random: f64,
    effects: Vec<Effect>,
    /// Instances whose gates are to be looked at.
    dirty: VecDeque<Slot>,
    ending: Option<ShutdownUnderWay>,
    shutdown_within: Duration,
}

impl Core {
    pub(in crate::monitor) fn new(shutdown_within: Duration) -> Self {
        Self {
            shutdown_within,
            ..Self::default()
        }
    }

    /// Sets the time and a random number in 0..1 for what follows.
    pub(in crate::monitor) fn at(&mut self, now: Duration, random: f64) {
        self.now = self.now.max(now);
        self.random = random;
    }

    /// When [`tick`](Self::tick) is to be called.
    pub(in crate::monitor) fn deadline(&self) -> Option<Duration> {
        self.timers.first()
    }

    /// What follows from all that was told since the last time. An instance that is forgotten in these effects can be
    /// [got](Self::get) until the next call.
    pub(in crate::monitor) fn effects(&mut self) -> Vec<Effect> {
        for slot in std::mem::take(&mut self.freed) {
            if let Some(place) = self.instances.get_mut(slot) {
                *place = None;
            }
            self.free.push(slot);
        }
        self.settle();
        std::mem::take(&mut self.effects)
    }

    /// How much came for starts that were over.
    #[cfg(test)]
    fn stale(&self) -> u64 {
        let instances = self.instances.iter().flatten();
        instances.map(|instance| instance.stale).sum()
    }

    /// How many wait for a readiness or a stop.
    #[cfg(test)]
    pub(in crate::monitor) fn waiting(&self) -> usize {
        let instances = self.instances.iter().flatten();
        instances
            .map(|it| it.waiters.len() + it.stop_waiters.len())
            .sum()
    }

    pub(in crate::monitor) fn get(&self, slot: Slot) -> Option<&Instance> {
        self.instances.get(slot)?.as_ref()
    }

    pub(in crate::monitor) fn slot(&self, name: &ServiceName) -> Option<Slot> {
        self.by_name.get(name).copied()
    }

    /// All instances, in the order in which their services were added.
    pub(in crate::monitor) fn all(&self) -> impl Iterator<Item = (Slot, &Instance)> {
        let slots = self.entries.values().flat_map(|entry| &entry.slots);
        slots.filter_map(|slot| Some((*slot, self.get(*slot)?)))
    }

    pub(in crate::monitor) fn is_shutting_down(&self) -> bool {
        self.ending.is_some()
    }

    fn instance(&mut self, slot: Slot) -> Option<&mut Instance> {
        self.instances.get_mut(slot)?.as_mut()
    }

    fn entry(&self, service: usize) -> Option<&ServiceEntry> {
        self.entries.get(&service)
    }

    fn entry_of(&self, slot: Slot) -> Option<&ServiceEntry> {
        self.entry(self.get(slot)?.service)
    }

    fn answer(&mut self, ticket: Ticket, reply: Result<(), MonitorError>) {
        self.effects.push(Effect::Answer { ticket, reply });
    }
}
