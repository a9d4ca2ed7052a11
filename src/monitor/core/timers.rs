//! The deadlines of all instances, in the order of their time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Slot;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum TimerKind {
    /// Its child must be there.
    Launch,
    /// The delay of a restart is over.
    Backoff,
    /// It was not leased for so long that it is stopped.
    Idle,
    /// The deadline of a shutdown, and the time after its SIGKILL.
    Shutdown,
}

/// At most one of each kind for each instance.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Timers {
    by_time: BTreeMap<(Duration, Slot, TimerKind), ()>,
    of: BTreeMap<(Slot, TimerKind), Duration>,
}

impl Timers {
    /// Sets or moves it.
    pub(super) fn set(&mut self, slot: Slot, kind: TimerKind, at: Duration) {
        self.clear(slot, kind);
        self.of.insert((slot, kind), at);
        self.by_time.insert((at, slot, kind), ());
    }

    pub(super) fn clear(&mut self, slot: Slot, kind: TimerKind) {
        if let Some(at) = self.of.remove(&(slot, kind)) {
            self.by_time.remove(&(at, slot, kind));
        }
    }

    pub(super) fn get(&self, slot: Slot, kind: TimerKind) -> Option<Duration> {
        self.of.get(&(slot, kind)).copied()
    }

    pub(super) fn first(&self) -> Option<Duration> {
        self.by_time.keys().next().map(|(at, ..)| *at)
    }

    /// Takes the first one that is due.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<(Slot, TimerKind)> {
        let (at, slot, kind) = *self.by_time.keys().next()?;
        if at > now {
            return None;
        }
        self.clear(slot, kind);
        Some((slot, kind))
    }
}
