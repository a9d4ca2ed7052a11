//! Stops: one service with its companions, or many, in the reverse of the order in which they start.

use std::collections::{HashSet, VecDeque};

use super::instance::InstancePhase;
use super::timers::TimerKind;
use super::{Core, Effect, How, Slot};
use crate::monitor::error::MonitorError;
use crate::monitor::exit::ExitKind;
use crate::monitor::state::ServiceState;

impl Core {
    /// Stops this instance, and those of all services that are stopped with its service, last ones first.
    ///
    /// A companion that waits for its restart waits no longer: it comes back together with this one. One that has exited, failed or
    /// was stopped is left alone, as systemd leaves it: what is done is not done again.
    pub(super) fn stop_with_companions(&mut self, slot: Slot) {
        let mut wave = self.companions(slot);
        wave.retain(|other| {
            self.get(*other)
                .is_some_and(|other| !matches!(other.phase, InstancePhase::Down(_)))
        });
        wave.insert(0, slot);
        self.stop_all(&wave);
    }

    /// Stops the companions of a service that went down by itself. One that waits for its own restart goes on waiting.
    pub(super) fn stop_companions(&mut self, slot: Slot) {
        let mut wave = self.companions(slot);
        wave.retain(|other| self.get(*other).is_some_and(super::Instance::is_alive));
        self.stop_all(&wave);
    }

    /// Asks all of them first: who is to be stopped waits for those that come after it.
    pub(super) fn stop_all(&mut self, wave: &[Slot]) {
        for slot in wave {
            if let Some(instance) = self.instance(*slot) {
                instance.stop_asked = instance.is_alive();
            }
        }
        for slot in wave {
            self.try_stop(*slot);
        }
    }

    /// The instances of all services that are stopped with that of `slot`, directly or by others in between.
    fn companions(&self, slot: Slot) -> Vec<Slot> {
        let mut found = Vec::new();
        let mut seen = HashSet::from([slot]);
        let mut queue = VecDeque::from([slot]);
        while let Some(next) = queue.pop_front() {
            let Some(entry) = self.entry_of(next) else {
                continue;
            };
            let companions = entry.companions.iter();
            for other in companions.filter_map(|service| self.entry(*service)) {
                for other in &other.slots {
                    if seen.insert(*other) {
                        found.push(*other);
                        queue.push_back(*other);
                    }
                }
            }
        }
        found
    }

    /// Stops it if it is to be stopped and nothing that comes after it is still going down.
    pub(super) fn try_stop(&mut self, slot: Slot) {
        let Some(instance) = self.get(slot) else {
            return;
        };
        match instance.phase {
            InstancePhase::Down(_) | InstancePhase::Waiting | InstancePhase::Backoff => {
                self.stop_what_does_not_run(slot)
            }
            InstancePhase::Launching if instance.stop_asked => {
                self.abandon(slot, ExitKind::Stopped);
            }
            InstancePhase::Up { .. } if instance.stop_asked && !self.is_held_up(slot) => {
                self.stop_run(slot, ExitKind::Stopped, How::Ladder);
            }
            _ => {}
        }
    }

    /// Whether something that comes after it is going down.
    fn is_held_up(&self, slot: Slot) -> bool {
        let Some(entry) = self.entry_of(slot) else {
            return false;
        };
        let followers = entry.followers.iter();
        let slots = followers.filter_map(|service| self.entry(*service));
        let mut instances = slots.flat_map(|entry| &entry.slots);
        instances.any(|follower| {
            self.get(*follower)
                .is_some_and(|it| it.is_alive() && it.is_stopping() && !it.unkillable)
        })
    }

    fn stop_what_does_not_run(&mut self, slot: Slot) {
        self.timers.clear(slot, TimerKind::Backoff);
        let Some(instance) = self.instance(slot) else {
            return;
        };
        instance.stop_asked = false;
        instance.again = false;
        if instance.wanted {
            if instance.phase == InstancePhase::Backoff {
                self.set_phase(slot, InstancePhase::Waiting);
            }
            return;
        }
        let waiters = std::mem::take(&mut instance.stop_waiters);
        self.set_phase(slot, InstancePhase::Down(ServiceState::Stopped));
        for ticket in waiters {
            self.answer(ticket, Ok(()));
        }
    }

    /// Gives up a start that has no child yet. It is down when nothing of it is left.
    pub(super) fn abandon(&mut self, slot: Slot, cause: ExitKind) {
        self.timers.clear(slot, TimerKind::Launch);
        let Some(instance) = self.instance(slot) else {
            return;
        };
        instance.cause = Some(cause);
        let generation = instance.generation;
        self.set_phase(slot, InstancePhase::Stopping);
        self.effects.push(Effect::Abandon { slot, generation });
    }

    /// Ends the run of this generation.
    pub(super) fn stop_run(&mut self, slot: Slot, cause: ExitKind, how: How) {
        for kind in [TimerKind::Launch, TimerKind::Idle] {
            self.timers.clear(slot, kind);
        }
        let Some(instance) = self.instance(slot) else {
            return;
        };
        instance.cause = Some(cause);
        let generation = instance.generation;
        self.set_phase(slot, InstancePhase::Stopping);
        self.effects.push(Effect::Stop {
            slot,
            generation,
            how,
        });
    }

    /// Those who wait for its stop, or for the start that comes after it, hear that it cannot be killed. What it comes after need not
    /// wait for it any more.
    pub(super) fn cannot_be_killed(&mut self, slot: Slot) {
        let Some(instance) = self.instance(slot) else {
            return;
        };
        if std::mem::replace(&mut instance.unkillable, true) {
            return;
        }
        self.effects.push(Effect::Unkillable { slot });
        self.answer_that_it_lives(slot);
        self.stop_what_it_held_up(slot);
        self.look_at_the_ending();
    }

    pub(super) fn answer_that_it_lives(&mut self, slot: Slot) {
        let Some(instance) = self.instance(slot) else {
            return;
        };
        let name = instance.name.clone();
        let service = instance.service;
        let mut tickets = std::mem::take(&mut instance.stop_waiters);
        let waiters = std::mem::take(&mut instance.waiters);
        if let Some(entry) = self.entries.get_mut(&service) {
            tickets.append(&mut entry.removers);
        }
        for waiter in waiters {
            self.end_lease(waiter.lease);
            tickets.push(waiter.ticket);
        }
        for ticket in tickets {
            let name = name.clone();
            self.answer(ticket, Err(MonitorError::Unkillable { name }));
        }
    }

    /// What it comes after may be stopped now.
    pub(super) fn stop_what_it_held_up(&mut self, slot: Slot) {
        let Some(entry) = self.entry_of(slot) else {
            return;
        };
        let before: Vec<Slot> = entry
            .policy
            .after
            .iter()
            .filter_map(|after| self.entry(*self.by_id.get(&after.id)?))
            .flat_map(|entry| entry.slots.iter().copied())
            .collect();
        for slot in before {
            if self.get(slot).is_some_and(|instance| instance.stop_asked) {
                self.try_stop(slot);
            }
        }
    }
}
