//! Those who wait for a start or a stop, when a run is over.

use super::instance::InstancePhase;
use super::{Core, Slot, StartFailure};
use crate::monitor::error::MonitorError;

impl Core {
    /// A start that was asked for while the last run was dying comes, whatever the policy says of that run.
    pub(super) fn start_again_for_those_who_wait(&mut self, slot: Slot) {
        let Some(instance) = self.instance(slot) else {
            return;
        };
        if !matches!(instance.phase, InstancePhase::Down(_)) || !instance.wanted {
            return;
        }
        let mut starts = instance.waiters.iter().filter(|waiter| waiter.starts);
        if let Some(first) = starts.next() {
            if first.lease.is_none() || starts.any(|waiter| waiter.lease.is_none()) {
                instance.forgive();
            }
            self.revive(slot);
        }
    }

    /// Those who wait for this start, or an earlier one, hear why there is none.
    pub(super) fn fail_waiters(&mut self, slot: Slot, failure: &StartFailure) {
        let Some(instance) = self.instance(slot) else {
            return;
        };
        let (name, generation) = (instance.name.clone(), instance.generation);
        let failure = match &instance.failure {
            Some(limit @ StartFailure::Limit { .. }) => limit.clone(),
            _ => failure.clone(),
        };
        let waiters = std::mem::take(&mut instance.waiters);
        let (failed, later): (Vec<_>, Vec<_>) = waiters
            .into_iter()
            .partition(|waiter| waiter.beyond < generation);
        instance.waiters = later;
        for waiter in failed {
            self.end_lease(waiter.lease);
            let error = MonitorError::StartFailed {
                name: name.clone(),
                failure: failure.clone(),
            };
            self.answer(waiter.ticket, Err(error));
        }
    }

    pub(super) fn answer_stops(&mut self, slot: Slot) {
        let Some(instance) = self.instance(slot) else {
            return;
        };
        for ticket in std::mem::take(&mut instance.stop_waiters) {
            self.answer(ticket, Ok(()));
        }
    }
}
