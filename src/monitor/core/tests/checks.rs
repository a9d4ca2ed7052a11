//! What holds after every step, whatever a test does.

use std::sync::Arc;

use super::super::{Effect, How, Kinship, Slot};
use super::policies::not_started;
use super::world::{Run, World};
use crate::monitor::name::ServiceName;
use crate::monitor::service::When;
use crate::monitor::state::ServiceState;

impl World {
    fn note(&mut self, what: &str, slot: Slot) {
        let name = &self.names[&slot];
        self.log.push(format!("{what} {name}"));
    }

    /// Takes the effects, and holds each of them against what was before.
    pub(super) fn take(&mut self) {
        let mut given_up = Vec::new();
        for effect in self.core.effects() {
            match effect {
                Effect::Born { slot } => {
                    let name = self.core.get(slot).unwrap().name.clone();
                    assert_eq!(self.names.insert(slot, name), None);
                    self.states.insert(slot, ServiceState::Stopped);
                }
                Effect::Forget { slot } => {
                    assert_eq!(self.runs.get(&slot), None, "forgotten while it runs");
                    self.names.remove(&slot);
                    self.states.remove(&slot);
                }
                Effect::Launch {
                    slot,
                    generation,
                    attempt,
                } => {
                    self.note("launch", slot);
                    assert!(attempt > 0);
                    assert!(!self.began, "a launch in a shutdown");
                    assert!(generation > self.last_generation);
                    self.last_generation = generation;
                    let before = self.runs.insert(slot, (generation, Run::Launching));
                    assert_eq!(before, None, "two runs: {:#?}", self.log);
                    self.check_gate(slot);
                }
                Effect::Abandon { slot, generation } => {
                    self.note("abandon", slot);
                    let before = self.runs.remove(&slot);
                    assert_eq!(before, Some((generation, Run::Launching)));
                    if self.gives_up_slowly {
                        self.runs
                            .insert(slot, (generation, Run::Stopping(How::Kill)));
                    } else {
                        given_up.push((slot, generation));
                    }
                }
                Effect::Stop {
                    slot,
                    generation,
                    how,
                } => {
                    let what = match how {
                        How::Ladder => "stop",
                        How::Watchdog => "abort",
                        How::Kill => "kill",
                    };
                    self.note(what, slot);
                    let run = self.runs.insert(slot, (generation, Run::Stopping(how)));
                    let (before, run) = run.expect("a stop of what does not run");
                    assert_eq!(before, generation);
                    assert!(
                        run == Run::Up || how == How::Kill,
                        "{run:?}: {:#?}",
                        self.log
                    );
                }
                Effect::Watch { slot, generation } => {
                    let run = self.runs.get(&slot);
                    assert!(run.is_none_or(|run| *run == (generation, Run::Up)));
                }
                Effect::Changed { slot, from, to, .. } => {
                    assert_ne!(from, to);
                    let before = self.states.insert(slot, to);
                    assert_eq!(before, Some(from), "no chain: {:#?}", self.log);
                }
                Effect::Unkillable { slot } => self.note("unkillable", slot),
                Effect::Leftovers { slot, count } => self.note(&format!("left {count}"), slot),
                Effect::Answer { ticket, reply } => {
                    let before = self.tickets.insert(ticket, Some(reply));
                    assert!(matches!(before, Some(None)), "{ticket} again: {before:?}");
                }
                Effect::ShutdownBegan => {
                    assert!(!std::mem::replace(&mut self.began, true));
                }
                Effect::ShutdownOver(report) => {
                    assert_eq!(self.report.replace(report), None, "two ends");
                }
            }
        }
        // At once nothing is left of them.
        let some = !given_up.is_empty();
        for (slot, generation) in given_up {
            self.core.fact(slot, generation, not_started(false));
        }
        if some {
            return self.take();
        }
        self.check();
    }

    fn states_of(&self, id: &str) -> Vec<ServiceState> {
        let of = self.names.iter().filter(|(_, name)| &*name.id == id);
        of.map(|(slot, _)| self.states[slot]).collect()
    }

    /// What a service that is being launched comes after has got there, as far as was told.
    fn check_gate(&self, slot: Slot) {
        let Some(policy) = self.core.policy_of(slot) else {
            return;
        };
        for after in &policy.after {
            for state in self.states_of(&after.id) {
                let met = match after.when {
                    When::Ready => state == ServiceState::Running { ready: true },
                    When::Ended => matches!(state, ServiceState::Exited | ServiceState::Failed),
                    When::Succeeded => state == ServiceState::Exited,
                };
                assert!(
                    met,
                    "{} before {after:?}: {state}: {:#?}",
                    policy.id, self.log
                );
            }
        }
        let down = [
            ServiceState::Backoff,
            ServiceState::Stopping,
            ServiceState::Stopped,
        ];
        for id in &policy.with {
            assert!(self.states_of(id).iter().all(|state| !down.contains(state)));
        }
        if let Kinship::Keyed { at_most } = policy.kinship {
            let of = self.names.iter().filter(|(_, name)| name.id == policy.id);
            let alive = of.filter(|(slot, _)| self.runs.contains_key(slot)).count();
            assert!(
                alive <= at_most,
                "{alive} of {}: {:#?}",
                policy.id,
                self.log
            );
        }
    }

    /// What is decided and what the driver has agree.
    fn check(&self) {
        let mut instances = 0;
        for (slot, instance) in self.core.all() {
            instances += 1;
            let state = instance.state();
            assert_eq!(Some(&state), self.states.get(&slot), "an untold state");
            let run = self.runs.get(&slot).map(|(generation, run)| {
                assert_eq!(*generation, instance.generation);
                *run
            });
            let agree = match run {
                None => !instance.is_alive(),
                Some(Run::Launching) => state == ServiceState::Starting,
                Some(Run::Up) => matches!(state, ServiceState::Running { .. }),
                Some(Run::Stopping(_)) => state == ServiceState::Stopping,
            };
            assert!(
                agree,
                "{} is {state}, and runs: {run:?}: {:#?}",
                instance.name, self.log
            );
            let has_child = match run {
                Some(Run::Stopping(_)) => instance.since.is_some(),
                run => run == Some(Run::Up),
            };
            assert_eq!(instance.group.is_some(), has_child);
            assert!(instance.pid.is_none() || instance.pid == instance.group);
        }
        assert_eq!(instances, self.states.len());
    }

    /// What the core holds when all is removed: nothing.
    pub(super) fn assert_empty(&self) {
        let core = &self.core;
        assert_eq!(
            (core.leases.len(), core.by_id.len(), core.by_name.len()),
            (0, 0, 0)
        );
        assert!(core.entries.is_empty());
        assert!(
            core.instances
                .iter()
                .flatten()
                .all(|instance| instance.forgotten)
        );
        assert_eq!(core.deadline(), None);
        assert!(self.names.is_empty() && self.runs.is_empty());
    }

    pub(super) fn key(id: &str, key: &str) -> ServiceName {
        ServiceName {
            id: id.into(),
            key: Some(Arc::from(key)),
        }
    }
}
