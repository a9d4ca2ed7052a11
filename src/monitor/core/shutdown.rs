//! The end of all services at once.

use std::time::Duration;

use super::instance::InstancePhase;
use super::timers::TimerKind;
use super::{AFTER_KILL, Core, Effect, How, Slot};
use crate::monitor::error::MonitorError;
use crate::monitor::exit::ExitKind;
use crate::monitor::shutdown_report::ShutdownReport;

/// Of no instance: the shutdown's timer.
const NO_SLOT: Slot = Slot::MAX;

/// A shutdown that has begun.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct ShutdownUnderWay {
    began: Duration,
    deadline: Duration,
    killed: bool,
    over: bool,
    report: ShutdownReport,
}

impl Core {
    /// Stops all services, in the reverse of their order, and kills what is left after `within`. A later call can only make the time
    /// shorter. [`Effect::ShutdownOver`] comes once, at the latest [`AFTER_KILL`] after the deadline.
    pub(in crate::monitor) fn shut_down(&mut self, within: Duration) {
        let deadline = self.now.saturating_add(within);
        if let Some(ending) = &mut self.ending {
            if !ending.over && !ending.killed && deadline < ending.deadline {
                ending.deadline = deadline;
                self.timers.set(NO_SLOT, TimerKind::Shutdown, deadline);
            }
            return;
        }
        self.ending = Some(ShutdownUnderWay {
            began: self.now,
            deadline,
            killed: false,
            over: false,
            report: ShutdownReport::default(),
        });
        self.timers.set(NO_SLOT, TimerKind::Shutdown, deadline);
        self.effects.push(Effect::ShutdownBegan);
        let slots: Vec<Slot> = self.all().map(|(slot, _)| slot).collect();
        for slot in &slots {
            let Some(instance) = self.instance(*slot) else {
                continue;
            };
            instance.wanted = false;
            instance.held = false;
            instance.again = false;
            let waiters = std::mem::take(&mut instance.waiters);
            for waiter in waiters {
                self.end_lease(waiter.lease);
                self.answer(waiter.ticket, Err(MonitorError::ShuttingDown));
            }
        }
        // How the others ended stays to be seen.
        let up = |slot: &Slot| {
            self.get(*slot)
                .is_some_and(|instance| !matches!(instance.phase, InstancePhase::Down(_)))
        };
        let up: Vec<Slot> = slots.into_iter().filter(up).collect();
        self.stop_all(&up);
        self.look_at_the_ending();
    }

    /// An essential service has ended for good.
    pub(super) fn look_at_the_essential(&mut self, slot: Slot) {
        let Some(entry) = self.entry_of(slot) else {
            return;
        };
        if entry.policy.essential && self.ending.is_none() {
            self.shut_down(self.shutdown_within);
        }
    }

    pub(super) fn shutdown_is_due(&mut self) {
        let Some(ending) = &mut self.ending else {
            return;
        };
        if std::mem::replace(&mut ending.killed, true) {
            return self.end_it();
        }
        let last = self.now.saturating_add(AFTER_KILL);
        self.timers.set(NO_SLOT, TimerKind::Shutdown, last);
        let alive = self.all().filter(|(_, instance)| instance.is_alive());
        let alive: Vec<_> = alive
            .map(|(slot, instance)| (slot, instance.phase, instance.generation))
            .collect();
        for (slot, phase, generation) in alive {
            if phase == InstancePhase::Launching {
                self.abandon(slot, ExitKind::Stopped);
                continue;
            }
            if let Some(instance) = self.instance(slot) {
                instance.cause.get_or_insert(ExitKind::Stopped);
            }
            self.set_phase(slot, InstancePhase::Stopping);
            self.effects.push(Effect::Stop {
                slot,
                generation,
                how: How::Kill,
            });
        }
        self.look_at_the_ending();
    }

    pub(super) fn count_in_the_ending(&mut self, slot: Slot, killed: bool, leftovers: usize) {
        let Some(name) = self.get(slot).map(|instance| instance.name.to_string()) else {
            return;
        };
        let Some(ending) = self.ending.as_mut().filter(|ending| !ending.over) else {
            return;
        };
        ending.report.leftovers += leftovers;
        let list = if killed {
            &mut ending.report.killed
        } else {
            &mut ending.report.clean
        };
        list.push(name);
    }

    /// Ends the shutdown if nothing is left but what cannot be killed.
    pub(super) fn look_at_the_ending(&mut self) {
        let Some(ending) = self.ending.as_ref() else {
            return;
        };
        let lost =
            |(_, instance): (_, &super::Instance)| !instance.is_alive() || instance.unkillable;
        if self.alive == 0 || (ending.killed && self.all().all(lost)) {
            self.end_it();
        }
    }

    fn end_it(&mut self) {
        let alive = self.all().filter(|(_, instance)| instance.is_alive());
        let (alive, slots): (Vec<String>, Vec<Slot>) = alive
            .map(|(slot, instance)| (instance.name.to_string(), slot))
            .unzip();
        let now = self.now;
        let Some(ending) = self.ending.as_mut().filter(|ending| !ending.over) else {
            return;
        };
        ending.over = true;
        let mut report = std::mem::take(&mut ending.report);
        report.unkillable = alive;
        report.took = now.saturating_sub(ending.began);
        self.timers.clear(NO_SLOT, TimerKind::Shutdown);
        for slot in slots {
            self.answer_that_it_lives(slot);
        }
        self.effects.push(Effect::ShutdownOver(report));
    }
}
