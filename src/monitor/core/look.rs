//! What others may see of an instance, beside its fields.

use std::time::Duration;

use super::instance::InstancePhase;
use super::timers::TimerKind;
use super::{Core, Slot, StartFailure};

impl Core {
    /// Whether it was ready in this generation, and is not at the moment.
    pub(in crate::monitor) fn is_reloading(&self, slot: Slot) -> bool {
        let reloading = |instance: &super::Instance| {
            instance.was_ready && instance.phase == InstancePhase::Up { ready: false }
        };
        self.get(slot).is_some_and(reloading)
    }

    /// How long a start in backoff still waits.
    pub(in crate::monitor) fn next_try(&self, slot: Slot) -> Option<Duration> {
        let at = self.timers.get(slot, TimerKind::Backoff)?;
        Some(at.saturating_sub(self.now))
    }

    /// Why its last start failed, or its last run ended.
    pub(in crate::monitor) fn failure(&self, slot: Slot) -> Option<&StartFailure> {
        self.get(slot)?.failure.as_ref()
    }
}
