//! The monitor as an actor: it has the core, tells it what happens, and does what follows.

mod asked;
mod children;
mod ending;
mod launch;
mod made;
mod place;
mod removed_files;
mod report;
#[cfg(test)]
mod tests;
mod told;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix::{Addr, AsyncContext, Context, SpawnHandle};
use tokio::sync::oneshot;

pub(super) use asked::{Ask, check_limits};
pub(super) use place::Current;
pub(super) use told::Told;

use super::Monitor;
use super::containment::ServiceCgroups;
use super::core::{Core, Effect, Slot, Ticket};
use super::error::MonitorError;
use super::event::{Event, EventKind};
use super::service::ServiceSpec;
use super::shared::MonitorShared;
use super::shutdown_report::ShutdownReport;
use crate::Command;
use crate::ProcessId;
use crate::host::guard::Guard;
use crate::host::home::ActorHome;
use place::ServicePlace;
use removed_files::RemovedFiles;

/// What a monitor needs to run, made before it has an arbiter.
pub(super) struct Setup {
    pub(super) services: Vec<ServiceSpec>,
    pub(super) cgroups: ServiceCgroups,
    pub(super) home: ActorHome,
    pub(super) shared: Arc<MonitorShared>,
    pub(super) guarded: bool,
    pub(super) shutdown_within: Duration,
}

/// A running monitor.
pub(super) struct Engine {
    core: Core,
    began: Instant,
    specs: HashMap<Arc<str>, Arc<ServiceSpec>>,
    places: Vec<Option<ServicePlace>>,
    removed_files: RemovedFiles,
    by_process: HashMap<ProcessId, (Slot, u64)>,
    tickets: HashMap<Ticket, oneshot::Sender<Result<(), MonitorError>>>,
    last_ticket: Ticket,
    /// How many tickets there are when it is time to look for those that were dropped.
    next_look: usize,
    /// The timer that is armed, and for when.
    timer: Option<(Duration, SpawnHandle)>,
    guard: GuardSlot,
    cgroups: ServiceCgroups,
    shared: Arc<MonitorShared>,
    over: Option<ShutdownReport>,
    is_over: bool,
    shutdown_waiters: Vec<oneshot::Sender<ShutdownReport>>,
    shutdown_within: Duration,
    home: ActorHome,
    address: Addr<Monitor>,
}

/// Fewer tickets than these are not worth a look.
const LEAST_LOOK: usize = 128;

/// The guard of the groups.
pub(super) enum GuardSlot {
    /// It is being started; these starts wait for it.
    Coming(Vec<(Slot, u64, u32)>),
    /// It is there, or it is tried again and again.
    There(Guard),
    /// None is wanted, or the monitor has ended.
    None,
}

impl Engine {
    pub(super) fn new(setup: Setup, address: Addr<Monitor>) -> Self {
        let mut engine = Self {
            core: Core::new(setup.shutdown_within),
            began: Instant::now(),
            specs: HashMap::new(),
            places: Vec::new(),
            removed_files: RemovedFiles::default(),
            by_process: HashMap::new(),
            tickets: HashMap::new(),
            last_ticket: 0,
            next_look: LEAST_LOOK,
            timer: None,
            guard: GuardSlot::None,
            cgroups: setup.cgroups,
            shared: setup.shared,
            over: None,
            is_over: false,
            shutdown_waiters: Vec::new(),
            shutdown_within: setup.shutdown_within,
            home: setup.home,
            address,
        };
        if setup.guarded {
            engine.guard = GuardSlot::Coming(Vec::new());
        }
        engine.add(setup.services);
        engine
    }

    /// Adds services that were checked.
    fn add(&mut self, services: Vec<ServiceSpec>) {
        let policies = services.iter().map(|spec| spec.policy.clone()).collect();
        for spec in services {
            let id = Arc::clone(&spec.policy.id);
            self.specs.insert(id, Arc::new(spec));
        }
        self.tick();
        self.core.add(policies);
    }

    /// Tells the core the time.
    fn tick(&mut self) {
        self.core.at(self.began.elapsed(), fastrand::f64());
        self.core.tick();
    }

    fn ticket(&mut self, tell: oneshot::Sender<Result<(), MonitorError>>) -> Ticket {
        self.forget_dropped_waits();
        self.last_ticket += 1;
        self.tickets.insert(self.last_ticket, tell);
        self.last_ticket
    }

    /// Forgets those whose answer nobody takes any more, when there are twice as many as after the last look.
    fn forget_dropped_waits(&mut self) {
        if self.tickets.len() < self.next_look {
            return;
        }
        self.tickets.retain(|_, tell| !tell.is_closed());
        self.next_look = (2 * self.tickets.len()).max(LEAST_LOOK);
        let tickets = &self.tickets;
        self.core
            .forget_waits(|ticket| !tickets.contains_key(&ticket));
    }

    /// Does what follows from all that the core was told, and arms the timer.
    pub(super) fn settle(&mut self, ctx: &mut Context<Monitor>) {
        loop {
            let effects = self.core.effects();
            if effects.is_empty() {
                break;
            }
            // Many services may start at once.
            Command::spawning_together(|| {
                for effect in effects {
                    self.carry_out(effect);
                }
            });
        }
        self.tell_guard();
        self.leave(ctx);
        let due = self.core.deadline();
        if due == self.timer.map(|(at, _)| at) {
            return;
        }
        if let Some((_, timer)) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        if let Some(at) = due {
            let left = at.saturating_sub(self.began.elapsed());
            let timer = ctx.run_later(left, |monitor, ctx| {
                monitor.with(ctx, |engine| {
                    engine.timer = None;
                    engine.tick();
                });
            });
            self.timer = Some((at, timer));
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Launch {
                slot,
                generation,
                attempt,
            } => self.launch(slot, generation, attempt),
            Effect::Abandon { slot, generation } => self.abandon(slot, generation),
            Effect::Stop {
                slot,
                generation,
                how,
            } => self.stop(slot, generation, how),
            Effect::Watch { slot, generation } => self.watch(slot, generation),
            Effect::Changed {
                slot,
                generation,
                pid,
                from,
                to,
                exit,
            } => self.changed(slot, (generation, pid), (from, to), exit),
            Effect::Unkillable { slot } => self.publish(slot, EventKind::Unkillable),
            Effect::Leftovers { slot, count } => self.publish(slot, EventKind::Leftovers { count }),
            Effect::Answer { ticket, reply } => {
                if let Some(tell) = self.tickets.remove(&ticket) {
                    let _ = tell.send(reply);
                }
            }
            Effect::Born { slot } => self.born(slot),
            Effect::Forget { slot } => self.forget(slot),
            Effect::ShutdownBegan => {
                for place in self.places.iter().flatten() {
                    place.output.end_follows();
                }
                self.shared.begin_closing();
                let event = Event::of_the_monitor(SystemTime::now(), EventKind::ShutdownBegan);
                self.shared.events.publish(event);
                log::debug!("a monitor shuts down");
            }
            Effect::ShutdownOver(report) => self.end(report),
        }
    }

    pub(super) const fn shared(&self) -> &Arc<MonitorShared> {
        &self.shared
    }

    pub(super) const fn wants_guard(&self) -> bool {
        matches!(self.guard, GuardSlot::Coming(_))
    }

    fn place(&mut self, slot: Slot) -> Option<&mut ServicePlace> {
        self.places.get_mut(slot)?.as_mut()
    }

    fn place_at(&self, slot: Slot) -> Option<&ServicePlace> {
        self.places.get(slot)?.as_ref()
    }
}

/// Whoever finds that the monitor is gone, with its arbiter or by a panic, finds that its services are, too.
impl Drop for Engine {
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.kill_all.kill("a monitor is gone");
            let alive = self.core.all().filter(|(_, instance)| instance.is_alive());
            self.shared.end(ShutdownReport {
                killed: alive
                    .map(|(_, instance)| instance.name.to_string())
                    .collect(),
                ..ShutdownReport::default()
            });
            self.home.end();
        }
    }
}
