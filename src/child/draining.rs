//! The end of a dead child's pipes: the clock of `ended_timeout`, and the cut.

use std::sync::Arc;
use std::time::Duration;

use super::Child;
use crate::clock::{DrainClock, Ring, RingAfter};
use crate::janitor;
use crate::port::{Direction, FdCommand};
use crate::sync::lock;

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
        let ring = janitor::after(after, move || {
            if let Some(child) = child.upgrade() {
                child.ring_clock();
            }
        });
        let before = lock(&self.ring).replace(ring);
        drop(before);
        if self.outcome.is_ended() {
            self.stop_clock();
        }
    }

    /// The child has ended: nothing of it is kept until the clock would ring.
    pub(super) fn stop_clock(&self) {
        let ring = lock(&self.ring).take();
        drop(ring);
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
                log::warn!(
                    "process {} ({}) is dead, but somebody holds its pipes {:?}: they are cut",
                    self.id,
                    self.program,
                    self.open_fds()
                );
                self.cut();
            }
            Some(Ring::Cut | Ring::Nothing) | None => {}
        }
    }
}
