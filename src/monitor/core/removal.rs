//! Services that come, and services that go.

use super::instance::InstancePhase;
use super::policy::{Kinship, Policy, ServiceEntry};
use super::timers::TimerKind;
use super::{Core, Effect, Slot, Ticket};
use crate::monitor::error::MonitorError;
use crate::monitor::name::ServiceName;

impl Core {
    /// Adds services that [`check`](crate::monitor::graph::check) has accepted. Those that are always wanted begin to start.
    pub(in crate::monitor) fn add(&mut self, policies: Vec<Policy>) {
        let first = self.entries.len();
        for policy in policies {
            self.by_id.insert(policy.id.clone(), self.entries.len());
            self.entries.push(Some(ServiceEntry {
                policy,
                slots: Vec::new(),
                followers: Vec::new(),
                companions: Vec::new(),
                removed: false,
            }));
        }
        for service in first..self.entries.len() {
            self.link(service);
        }
        for service in first..self.entries.len() {
            let Some(entry) = self.entry(service) else {
                continue;
            };
            let (id, kinship) = (entry.policy.id.clone(), entry.policy.kinship);
            if matches!(kinship, Kinship::Keyed { .. }) {
                continue;
            }
            let slot = self.make(service, ServiceName { id, key: None });
            if let Some(instance) = self.instance(slot) {
                instance.wanted = kinship == Kinship::Always;
            }
        }
        let wanted: Vec<Slot> = self
            .all()
            .filter(|(_, instance)| instance.service >= first && instance.wanted)
            .map(|(slot, _)| slot)
            .collect();
        for slot in wanted {
            self.set_phase(slot, InstancePhase::Waiting);
        }
    }

    fn link(&mut self, service: usize) {
        let Some(entry) = self.entry(service) else {
            return;
        };
        let find = |id| self.by_id.get(id).copied();
        let after = entry
            .policy
            .after
            .iter()
            .filter_map(|after| find(&after.id));
        let with = entry.policy.with.iter().filter_map(find);
        let (after, with): (Vec<_>, Vec<_>) = (after.collect(), with.collect());
        for other in after {
            if let Some(Some(other)) = self.entries.get_mut(other) {
                other.followers.push(service);
            }
        }
        for other in with {
            if let Some(Some(other)) = self.entries.get_mut(other) {
                other.companions.push(service);
            }
        }
    }

    /// All services, as far as decisions depend on them.
    pub(in crate::monitor) fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.entries.iter().flatten().map(|entry| &entry.policy)
    }

    pub(in crate::monitor) fn policy_of(&self, slot: Slot) -> Option<&Policy> {
        Some(&self.entry_of(slot)?.policy)
    }

    /// Stops an instance of a keyed service, or a service with all its instances, and forgets them.
    pub(super) fn remove(&mut self, name: &ServiceName, ticket: Ticket) {
        let not_found = || MonitorError::NotFound { name: name.clone() };
        let Some(service) = self.by_id.get(&name.id).copied() else {
            return self.answer(ticket, Err(not_found()));
        };
        let Some(entry) = self.entry(service) else {
            return self.answer(ticket, Err(not_found()));
        };
        let mut others = entry.followers.iter().chain(&entry.companions);
        let needed = others.find_map(|other| self.entry(*other));
        if let (None, Some(by)) = (&name.key, needed) {
            let error = MonitorError::Needed {
                name: name.clone(),
                by: by.policy.id.clone(),
            };
            return self.answer(ticket, Err(error));
        }
        let slots: Vec<Slot> = match &name.key {
            None => entry.slots.clone(),
            Some(_) => self.slot(name).into_iter().collect(),
        };
        if name.key.is_some() && slots.is_empty() {
            return self.answer(ticket, Err(not_found()));
        }
        if name.key.is_none()
            && let Some(Some(entry)) = self.entries.get_mut(service)
        {
            entry.removed = true;
        }
        if slots.is_empty() {
            self.forget_service(service);
            return self.answer(ticket, Ok(()));
        }
        for slot in &slots {
            self.overtake_starts(*slot, "remove");
            self.overtake_stops(*slot, "remove");
            let ended = self.leases.extract_if(.., |_, leased| leased == slot);
            ended.for_each(drop);
            if let Some(instance) = self.instance(*slot) {
                instance.leases = 0;
                instance.wanted = false;
                instance.held = false;
                instance.again = false;
                instance.barred = true;
                instance.evicted = true;
            }
        }
        // The last one that is gone answers.
        if let Some(instance) = slots.last().and_then(|slot| self.instance(*slot)) {
            instance.stop_waiters.push(ticket);
        }
        for slot in slots {
            self.stop_with_companions(slot);
            self.dirty.push_back(slot);
        }
    }

    /// Forgets an instance that is down, and its service if that was to be removed and this was the last one.
    pub(super) fn forget(&mut self, slot: Slot) {
        let Some(Some(instance)) = self.instances.get_mut(slot).map(Option::take) else {
            return;
        };
        for kind in [TimerKind::Ready, TimerKind::Backoff, TimerKind::Idle] {
            self.timers.clear(slot, kind);
        }
        self.by_name.remove(&instance.name);
        self.free.push(slot);
        self.dirty.retain(|dirty| *dirty != slot);
        let mut last = false;
        if let Some(Some(entry)) = self.entries.get_mut(instance.service) {
            entry.slots.retain(|other| *other != slot);
            last = entry.removed && entry.slots.is_empty();
            // One that waits for room.
            self.dirty.extend(entry.slots.iter().copied());
        }
        self.effects.push(Effect::Forget { slot });
        if last {
            self.forget_service(instance.service);
        }
    }

    fn forget_service(&mut self, service: usize) {
        let Some(entry) = self.entries.get_mut(service).and_then(Option::take) else {
            return;
        };
        self.by_id.remove(&entry.policy.id);
        for other in self.entries.iter_mut().flatten() {
            other.followers.retain(|follower| *follower != service);
            other.companions.retain(|companion| *companion != service);
        }
    }
}
