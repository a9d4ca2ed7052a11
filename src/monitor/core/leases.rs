//! Leases: services that run while somebody has a lease of them, and one instance for each key.

use super::instance::{Instance, InstancePhase};
use super::policy::Kinship;
use super::timers::TimerKind;
use super::{Core, Effect, LeaseId, Slot, Ticket};
use crate::monitor::error::MonitorError;
use crate::monitor::name::ServiceName;
use crate::monitor::state::ServiceState;

impl Core {
    /// A lease begins here, and ends by [`release`](Self::release), or by an answer that is an error.
    pub(in crate::monitor) fn lease(&mut self, name: &ServiceName, lease: LeaseId, ticket: Ticket) {
        if self.is_shutting_down() {
            return self.answer(ticket, Err(MonitorError::ShuttingDown));
        }
        let slot = match self.leased_slot(name) {
            Ok(slot) => slot,
            Err(error) => return self.answer(ticket, Err(*error)),
        };
        let entry = self.entry_of(slot);
        let always = entry.is_some_and(|entry| entry.policy.kinship == Kinship::Always);
        let now = self.now;
        let Some(instance) = self.instance(slot) else {
            return;
        };
        if instance.phase == InstancePhase::Down(ServiceState::Failed)
            && now < instance.not_before
            && let Some(failure) = instance.failure.clone()
        {
            let name = name.clone();
            return self.answer(ticket, Err(MonitorError::StartFailed { name, failure }));
        }
        if instance.unkillable {
            let name = name.clone();
            return self.answer(ticket, Err(MonitorError::Unkillable { name }));
        }
        if matches!(instance.phase, InstancePhase::Down(_)) {
            if always {
                // A lease starts no service that is started by hand.
                let error = instance.not_up();
                return self.answer(ticket, Err(error));
            }
            // Whoever has a lease of the run that is over started that one, not the next one.
            instance.wanted = false;
        }
        instance.leases += 1;
        instance.barred = instance.barred && always;
        self.leases.insert(lease, slot);
        self.timers.clear(slot, TimerKind::Idle);
        if self.is_up(slot) {
            return self.answer(ticket, Ok(()));
        }
        self.push_waiter(slot, ticket, Some(lease), true);
    }

    /// The lease is dropped. One that is not known, or was dropped before, does nothing.
    pub(in crate::monitor) fn release(&mut self, lease: LeaseId) {
        self.end_lease(Some(lease));
    }

    /// The instance of a lease that has not ended.
    pub(in crate::monitor) fn leased(&self, lease: LeaseId) -> Option<Slot> {
        self.leases.get(&lease).copied()
    }

    pub(super) fn end_lease(&mut self, lease: Option<LeaseId>) {
        let Some(slot) = lease.and_then(|lease| self.leases.remove(&lease)) else {
            return;
        };
        let now = self.now;
        let Some(instance) = self.instance(slot) else {
            return;
        };
        instance.leases = instance.leases.saturating_sub(1);
        let dropped = instance
            .waiters
            .extract_if(.., |waiter| waiter.lease == lease);
        let dropped: Vec<_> = dropped.collect();
        let name = instance.name.clone();
        if instance.leases == 0 {
            instance.idle_since = now;
            self.dirty.push_back(slot);
        }
        for waiter in dropped {
            let (name, by) = (name.clone(), "release");
            self.answer(waiter.ticket, Err(MonitorError::Overtaken { name, by }));
        }
    }

    fn is_up(&self, slot: Slot) -> bool {
        let up = |instance: &Instance| {
            instance.phase == InstancePhase::Up { ready: true } && !instance.stop_asked
        };
        self.get(slot).is_some_and(up)
    }

    fn leased_slot(&mut self, name: &ServiceName) -> Result<Slot, Box<MonitorError>> {
        let not_found = || Box::new(MonitorError::NotFound { name: name.clone() });
        let service = *self.by_id.get(&name.id).ok_or_else(not_found)?;
        let entry = self.entry(service).ok_or_else(not_found)?;
        if entry.removed {
            return Err(not_found());
        }
        if let Some(slot) = self.slot(name) {
            if self.is_evicted(slot) {
                self.make_room_for(slot)?;
            }
            return Ok(slot);
        }
        if name.key.is_none() {
            return Err(not_found());
        }
        self.make_room(service, name)?;
        Ok(self.make(service, name.clone()))
    }

    pub(super) fn is_evicted(&self, slot: Slot) -> bool {
        self.get(slot).is_some_and(|instance| instance.evicted)
    }

    /// Takes an eviction back, if there is room.
    pub(super) fn make_room_for(&mut self, slot: Slot) -> Result<(), Box<MonitorError>> {
        let Some(instance) = self.get(slot) else {
            return Ok(());
        };
        let (service, name) = (instance.service, instance.name.clone());
        self.make_room(service, &name)?;
        if let Some(instance) = self.instance(slot) {
            instance.evicted = false;
        }
        Ok(())
    }

    /// Makes room for one more instance: the longest idle one goes.
    fn make_room(&mut self, service: usize, name: &ServiceName) -> Result<(), Box<MonitorError>> {
        let not_found = || Box::new(MonitorError::NotFound { name: name.clone() });
        let entry = self.entry(service).ok_or_else(not_found)?;
        let Kinship::Keyed { at_most } = entry.policy.kinship else {
            return Err(not_found());
        };
        let staying = entry.slots.iter().filter_map(|slot| {
            let instance = self.get(*slot).filter(|instance| !instance.evicted)?;
            Some((*slot, instance))
        });
        let staying: Vec<_> = staying.collect();
        if staying.len() >= at_most {
            let unused = staying.iter().filter(|(_, instance)| {
                instance.leases == 0 && !instance.held && instance.waiters.is_empty()
            });
            let Some((victim, _)) = unused.min_by_key(|(_, instance)| instance.idle_since) else {
                return Err(Box::new(MonitorError::AllLeased {
                    name: name.clone(),
                    limit: at_most,
                }));
            };
            self.evict(*victim);
        }
        Ok(())
    }

    /// A new instance, which nobody wants yet.
    pub(super) fn make(&mut self, service: usize, name: ServiceName) -> Slot {
        let instance = Instance::new(name.clone(), service);
        let slot = self.free.pop().unwrap_or(self.instances.len());
        match self.instances.get_mut(slot) {
            Some(place) => *place = Some(instance),
            None => self.instances.push(Some(instance)),
        }
        self.by_name.insert(name, slot);
        if let Some(entry) = self.entries.get_mut(&service) {
            entry.slots.push(slot);
        }
        self.effects.push(Effect::Born { slot });
        self.dirty.push_back(slot);
        slot
    }

    fn evict(&mut self, slot: Slot) {
        if let Some(instance) = self.instance(slot) {
            instance.evicted = true;
            instance.wanted = false;
            instance.stop_asked = instance.is_alive();
        }
        self.try_stop(slot);
        self.dirty.push_back(slot);
    }

    /// Whether this is an instance that runs on demand, and nobody wants it.
    pub(super) fn is_idle(&self, slot: Slot) -> bool {
        let (Some(entry), Some(instance)) = (self.entry_of(slot), self.get(slot)) else {
            return false;
        };
        if entry.policy.kinship == Kinship::Always || instance.held || instance.leases > 0 {
            return false;
        }
        let followers = entry.followers.iter();
        let mut instances = followers
            .filter_map(|service| self.entry(*service))
            .flat_map(|entry| &entry.slots)
            .filter_map(|slot| self.get(*slot));
        !instances
            .any(|follower| follower.wanted && !matches!(follower.phase, InstancePhase::Down(_)))
    }

    /// Starts what is wanted by now, and lets the idle time of what is not wanted run.
    pub(super) fn look_at_the_demand(&mut self, slot: Slot) {
        let idle = self.is_idle(slot);
        let (now, ending) = (self.now, self.is_shutting_down());
        let Some(entry) = self.entry_of(slot) else {
            return;
        };
        let (always, idle_stop) = (
            entry.policy.kinship == Kinship::Always,
            entry.policy.idle_stop,
        );
        let Some(instance) = self.instance(slot) else {
            return;
        };
        if always || ending {
            return;
        }
        if !idle {
            let revive = !instance.wanted && !instance.barred;
            instance.in_demand = true;
            self.timers.clear(slot, TimerKind::Idle);
            if revive {
                self.revive(slot);
            }
            return;
        }
        if std::mem::take(&mut instance.in_demand) {
            instance.idle_since = now;
        }
        let until = instance.idle_since.saturating_add(idle_stop);
        match instance.phase {
            InstancePhase::Down(_) => instance.wanted = false,
            InstancePhase::Waiting | InstancePhase::Backoff => {
                instance.wanted = false;
                self.try_stop(slot);
            }
            InstancePhase::Launching | InstancePhase::Up { .. } if until <= now => {
                instance.wanted = false;
                self.stop_with_companions(slot);
            }
            InstancePhase::Launching | InstancePhase::Up { .. } => {
                self.timers.set(slot, TimerKind::Idle, until)
            }
            InstancePhase::Stopping => {}
        }
    }

    /// Starts it when its delay is over.
    pub(super) fn revive(&mut self, slot: Slot) {
        let now = self.now;
        let Some(instance) = self.instance(slot) else {
            return;
        };
        instance.wanted = true;
        let not_before = instance.not_before;
        if !matches!(instance.phase, InstancePhase::Down(_)) {
            return;
        }
        if now < not_before {
            self.set_phase(slot, InstancePhase::Backoff);
            self.timers.set(slot, TimerKind::Backoff, not_before);
        } else {
            self.set_phase(slot, InstancePhase::Waiting);
        }
    }

    /// Forgets an instance of a keyed service that nobody uses, when its failures need not be remembered any more.
    pub(super) fn forget_if_unused(&mut self, slot: Slot) {
        let (Some(entry), Some(instance)) = (self.entry_of(slot), self.get(slot)) else {
            return;
        };
        let keyed = matches!(entry.policy.kinship, Kinship::Keyed { .. });
        let down = matches!(instance.phase, InstancePhase::Down(_));
        if !down || !(keyed || entry.removed) || instance.leases > 0 || instance.wanted {
            return;
        }
        let removed = entry.removed || instance.evicted || self.is_shutting_down();
        if !removed && self.now < instance.not_before {
            let at = instance.not_before;
            return self.timers.set(slot, TimerKind::Idle, at);
        }
        self.forget(slot);
    }
}
