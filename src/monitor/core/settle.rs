//! What follows from the state of others: which service may start, which one is wanted, which one is forgotten.

use super::instance::InstancePhase;
use super::policy::Kinship;
use super::timers::TimerKind;
use super::{Core, Effect, Slot};
use crate::monitor::error::MonitorError;
use crate::monitor::exit::ExitKind;
use crate::monitor::name::ServiceName;
use crate::monitor::service::When;
use crate::monitor::state::ServiceState;

/// Whether an instance may start.
enum Admission {
    Open,
    Closed,
    /// It waits for this one, which does not go where it should by itself.
    Stuck(ServiceName, ServiceState),
}

impl Core {
    /// Sets the phase, tells of it, and looks at those that depend on it.
    pub(super) fn set_phase(&mut self, slot: Slot, phase: InstancePhase) {
        let Some(instance) = self.instance(slot) else {
            return;
        };
        let from = instance.state();
        instance.phase = phase;
        let to = instance.state();
        if from == to {
            return;
        }
        let is_alive = instance.is_alive();
        let had_a_child = matches!(from, ServiceState::Running { .. } | ServiceState::Stopping);
        let ended = had_a_child && !is_alive;
        let exit = ended.then(|| instance.last_exit.clone()).flatten();
        let (generation, pid) = (instance.generation, instance.pid);
        self.effects.push(Effect::Changed {
            slot,
            generation,
            pid,
            from,
            to,
            exit,
        });
        let was_alive = had_a_child || from == ServiceState::Starting;
        self.alive = (self.alive + usize::from(is_alive)).saturating_sub(usize::from(was_alive));
        self.dirty.push_back(slot);
        let Some(entry) = self.entry_of(slot) else {
            return;
        };
        let others = entry.followers.iter().chain(&entry.companions);
        let before = entry.policy.after.iter();
        let before = before.filter_map(|after| self.by_id.get(&after.id));
        let slots: Vec<Slot> = others
            .chain(before)
            .filter_map(|service| self.entry(*service))
            .flat_map(|entry| entry.slots.iter().copied())
            .collect();
        self.dirty.extend(slots);
    }

    /// Looks at everything that may have changed, until nothing changes any more.
    pub(super) fn settle(&mut self) {
        while let Some(slot) = self.dirty.pop_front() {
            if self.get(slot).is_none_or(|instance| instance.forgotten) {
                continue;
            }
            self.look_at_the_demand(slot);
            self.look_at_what_it_needs(slot);
            let Some(instance) = self.get(slot) else {
                continue;
            };
            match instance.phase {
                InstancePhase::Waiting if !instance.wanted => {
                    self.set_phase(slot, InstancePhase::Down(ServiceState::Stopped));
                }
                InstancePhase::Waiting => match self.gate(slot) {
                    Admission::Open => self.launch(slot),
                    Admission::Closed => {}
                    Admission::Stuck(of, state) => self.tell_of_the_dependency(slot, &of, state),
                },
                InstancePhase::Down(_) => self.tell_that_it_is_down(slot),
                _ => {}
            }
            self.forget_if_unused(slot);
        }
    }

    /// What runs on demand, and is needed by one that is about to start, is wanted before the gate of that one is looked at.
    fn look_at_what_it_needs(&mut self, slot: Slot) {
        let (Some(entry), Some(instance)) = (self.entry_of(slot), self.get(slot)) else {
            return;
        };
        if instance.phase != InstancePhase::Waiting {
            return;
        }
        let after = entry.policy.after.iter();
        let needed = after.filter_map(|after| self.entry(*self.by_id.get(&after.id)?));
        let on_demand = needed.filter(|entry| entry.policy.kinship == Kinship::OnDemand);
        let slots: Vec<Slot> = on_demand.flat_map(|entry| entry.slots.clone()).collect();
        for slot in slots {
            self.look_at_the_demand(slot);
        }
    }

    /// Nobody waits for what does not come.
    fn tell_that_it_is_down(&mut self, slot: Slot) {
        let Some(instance) = self.instance(slot) else {
            return;
        };
        let waiters = std::mem::take(&mut instance.waiters);
        let error = instance.not_up();
        for waiter in waiters {
            self.end_lease(waiter.lease);
            self.answer(waiter.ticket, Err(error.clone()));
        }
    }

    fn launch(&mut self, slot: Slot) {
        self.last_generation += 1;
        let (generation, now) = (self.last_generation, self.now);
        let Some(entry) = self.entry_of(slot) else {
            return;
        };
        let within = entry.policy.launch_within;
        let Some(instance) = self.instance(slot) else {
            return;
        };
        instance.restarts += u64::from(instance.generation != 0);
        instance.generation = generation;
        instance.was_ready = false;
        instance.cause = None;
        instance.problem = None;
        let attempt = instance.history.attempt();
        self.timers
            .set(slot, TimerKind::Launch, now.saturating_add(within));
        self.set_phase(slot, InstancePhase::Launching);
        self.effects.push(Effect::Launch {
            slot,
            generation,
            attempt,
        });
    }

    fn gate(&self, slot: Slot) -> Admission {
        let Some(entry) = self.entry_of(slot) else {
            return Admission::Closed;
        };
        if let Kinship::Keyed { at_most } = entry.policy.kinship {
            let alive = entry.slots.iter().filter_map(|slot| self.get(*slot));
            if alive.filter(|other| other.is_alive()).count() >= at_most {
                return Admission::Closed;
            }
        }
        let mut gate = Admission::Open;
        for after in &entry.policy.after {
            match self.condition(&after.id, after.when) {
                Admission::Open => {}
                Admission::Closed => gate = Admission::Closed,
                stuck => return stuck,
            }
        }
        for id in &entry.policy.with {
            match self.companionship(id) {
                Admission::Open => {}
                Admission::Closed => gate = Admission::Closed,
                stuck => return stuck,
            }
        }
        gate
    }

    /// Whether what `after` waits for has come, in the present incarnation of the other service.
    fn condition(&self, id: &str, when: When) -> Admission {
        let Some(other) = self.only(id) else {
            return Admission::Closed;
        };
        let state = other.state();
        let succeeded = || {
            let exit = other.last_exit.as_ref();
            exit.is_some_and(|exit| exit.kind == ExitKind::Ok)
        };
        let stuck = || Admission::Stuck(other.name.clone(), state);
        match (when, state) {
            (When::Ready, ServiceState::Running { ready: true }) if !other.stop_asked => {
                Admission::Open
            }
            (When::Ended, ServiceState::Exited | ServiceState::Failed) => Admission::Open,
            (When::Succeeded, ServiceState::Exited) if succeeded() => Admission::Open,
            (_, ServiceState::Exited | ServiceState::Failed) => stuck(),
            (_, ServiceState::Stopped) if other.barred || !other.wanted => stuck(),
            _ => Admission::Closed,
        }
    }

    /// Whether a service that this one is stopped and restarted with is up, or comes up.
    fn companionship(&self, id: &str) -> Admission {
        let Some(other) = self.only(id) else {
            return Admission::Closed;
        };
        let state = other.state();
        match state {
            _ if other.stop_asked => Admission::Closed,
            ServiceState::Backoff | ServiceState::Stopping => Admission::Closed,
            ServiceState::Stopped | ServiceState::Failed => {
                Admission::Stuck(other.name.clone(), state)
            }
            _ => Admission::Open,
        }
    }

    /// The one instance of a service that is not keyed.
    fn only(&self, id: &str) -> Option<&super::Instance> {
        let entry = self.entry(*self.by_id.get(id)?)?;
        self.get(*entry.slots.first()?)
    }

    fn tell_of_the_dependency(&mut self, slot: Slot, of: &ServiceName, state: ServiceState) {
        let Some(instance) = self.instance(slot) else {
            return;
        };
        let name = instance.name.clone();
        for waiter in std::mem::take(&mut instance.waiters) {
            self.end_lease(waiter.lease);
            let error = MonitorError::Dependency {
                name: name.clone(),
                of: of.clone(),
                state,
            };
            self.answer(waiter.ticket, Err(error));
        }
    }
}
