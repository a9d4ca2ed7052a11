//! Services that come, and services that go.

use super::instance::InstancePhase;
use super::policy::{Kinship, Policy, ServiceEntry};
use super::timers::TimerKind;
use super::{Core, Effect, Slot, Ticket};
use crate::monitor::error::MonitorError;
use crate::monitor::graph::check;
use crate::monitor::name::ServiceName;
use crate::monitor::spec_error::{SpecError, SpecProblem};

impl Core {
    /// Adds services that [`check`](crate::monitor::graph::check) has accepted. Those that are always wanted begin to start.
    pub(in crate::monitor) fn add(&mut self, policies: Vec<Policy>) {
        let first = self.next_service;
        let ending = self.is_shutting_down();
        for policy in policies {
            let service = self.next_service;
            self.next_service += 1;
            self.by_id.insert(policy.id.clone(), service);
            let entry = ServiceEntry {
                policy,
                slots: Vec::new(),
                followers: Vec::new(),
                companions: Vec::new(),
                removed: false,
                removers: Vec::new(),
            };
            self.entries.insert(service, entry);
        }
        for service in first..self.next_service {
            self.link(service);
        }
        let mut wanted = Vec::new();
        for service in first..self.next_service {
            let Some(entry) = self.entry(service) else {
                continue;
            };
            let (id, kinship) = (entry.policy.id.clone(), entry.policy.kinship);
            if matches!(kinship, Kinship::Keyed { .. }) {
                continue;
            }
            let slot = self.make(service, ServiceName { id, key: None });
            if let (Kinship::Always, false, Some(instance)) = (kinship, ending, self.instance(slot))
            {
                instance.wanted = true;
                wanted.push(slot);
            }
        }
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
            if let Some(other) = self.entries.get_mut(&other) {
                other.followers.push(service);
            }
        }
        for other in with {
            if let Some(other) = self.entries.get_mut(&other) {
                other.companions.push(service);
            }
        }
    }

    /// Whether these can be added: as [`check`](crate::monitor::graph::check) says, and none of them names a service that is being
    /// removed.
    pub(in crate::monitor) fn check(&self, new: &[Policy]) -> Result<(), SpecError> {
        check(self.policies(), new)?;
        for policy in new {
            let after = policy.after.iter().map(|after| ("after", &after.id));
            let with = policy.with.iter().map(|id| ("with", id));
            for (field, id) in after.chain(with) {
                let other = self.by_id.get(id).and_then(|other| self.entry(*other));
                if other.is_some_and(|other| other.removed) {
                    let problem = format!("{id:?} is being removed");
                    return Err(SpecProblem::new(field, problem).of(&policy.id));
                }
            }
        }
        Ok(())
    }

    /// All services, as far as decisions depend on them.
    pub(in crate::monitor) fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.entries.values().map(|entry| &entry.policy)
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
        let needed = entry.followers.iter().find_map(|other| self.entry(*other));
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
        if let (None, Some(entry)) = (&name.key, self.entries.get_mut(&service)) {
            entry.removed = true;
            entry.removers.push(ticket);
        }
        if slots.is_empty() {
            return self.forget_service(service);
        }
        for slot in &slots {
            self.overtake_starts(*slot, "remove");
            // An instance that goes already: whoever waits for that may go on.
            if name.key.is_none() || !self.is_evicted(*slot) {
                self.overtake_stops(*slot, "remove");
            }
            self.leases.retain(|_, leased| leased != slot);
            if let Some(instance) = self.instance(*slot) {
                instance.leases = 0;
                instance.wanted = false;
                instance.held = false;
                instance.again = false;
                instance.barred = true;
                instance.evicted = true;
                if name.key.is_some() {
                    instance.stop_waiters.push(ticket);
                }
            }
        }
        for slot in &slots {
            if self.get(*slot).is_some_and(|instance| instance.unkillable) {
                self.answer_that_it_lives(*slot);
            }
        }
        for slot in slots {
            self.stop_with_companions(slot);
            self.dirty.push_back(slot);
        }
    }

    /// Forgets an instance that is down, and its service if that was to be removed and this was the last one.
    pub(super) fn forget(&mut self, slot: Slot) {
        let Some(instance) = self.instance(slot) else {
            return;
        };
        instance.forgotten = true;
        let (name, service) = (instance.name.clone(), instance.service);
        for kind in [TimerKind::Launch, TimerKind::Backoff, TimerKind::Idle] {
            self.timers.clear(slot, kind);
        }
        self.by_name.remove(&name);
        self.freed.push(slot);
        let mut last = false;
        if let Some(entry) = self.entries.get_mut(&service) {
            entry.slots.retain(|other| *other != slot);
            last = entry.removed && entry.slots.is_empty();
            // One that waits for room.
            self.dirty.extend(entry.slots.iter().copied());
        }
        self.effects.push(Effect::Forget { slot });
        if last {
            self.forget_service(service);
        }
    }

    fn forget_service(&mut self, service: usize) {
        let Some(entry) = self.entries.remove(&service) else {
            return;
        };
        self.by_id.remove(&entry.policy.id);
        let after = entry.policy.after.iter().map(|after| &after.id);
        for id in after.chain(&entry.policy.with) {
            let other = self.by_id.get(id);
            if let Some(other) = other.and_then(|other| self.entries.get_mut(other)) {
                other.followers.retain(|follower| *follower != service);
                other.companions.retain(|companion| *companion != service);
            }
        }
        // Those that were stopped and restarted with it go on without it: two that name each other could never go.
        for companion in &entry.companions {
            if let Some(other) = self.entries.get_mut(companion) {
                other.policy.with.retain(|id| *id != entry.policy.id);
                self.dirty.extend(other.slots.iter().copied());
            }
        }
        for ticket in entry.removers {
            self.answer(ticket, Ok(()));
        }
    }
}
