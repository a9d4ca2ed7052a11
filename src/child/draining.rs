//! The end of a dead child's pipes: the clock of `ended_timeout`, and the cut.

use std::sync::Arc;
use std::time::Duration;

use super::Child;
use crate::clock::{DrainClock, Ring, RingAfter};
use crate::janitor;
use crate::port::{Direction, FdCommand};

impl Child {
    /// A reader waits for data, or has closed.
    pub(crate) fn reader_idle(self: &Arc<Self>) {
        self.tell_clock(DrainClock::reader_idle);
    }

    /// A reader has data, or is held up by the protocol.
    pub(crate) fn reader_busy(self: &Arc<Self>) {
        self.tell_clock(DrainClock::reader_busy);
    }

    pub(super) fn tell_clock(self: &Arc<Self>, what: impl FnOnce(&DrainClock) -> RingAfter) {
        if let Some(after) = self.clock.as_deref().and_then(what) {
            self.ring_clock_after(after);
        }
    }

    fn ring_clock_after(self: &Arc<Self>, after: Duration) {
        let child = Arc::downgrade(self);
        janitor::after(after, move || {
            if let Some(child) = child.upgrade() {
                child.ring_clock();
            }
        });
    }

    /// Takes what the pipes hold, then closes them.
    pub(crate) fn cut(&self) {
        for port in self.ports() {
            match port.direction() {
                Direction::Read => port.send(FdCommand::Cut),
                Direction::Write => port.close(FdCommand::Cut),
            }
        }
    }

    fn ring_clock(self: &Arc<Self>) {
        match self.clock.as_deref().map(DrainClock::ring) {
            Some(Ring::Again(after)) => self.ring_clock_after(after),
            Some(Ring::Cut) if !self.outcome.is_ended() => {
                let held = self.open_fds();
                log::warn!("{self} is dead, but somebody holds its pipes {held:?}: they are cut");
                self.cut();
            }
            Some(Ring::Cut | Ring::Nothing) | None => {}
        }
    }
}
