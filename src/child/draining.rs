//! The end of a dead child's pipes: the clock of `ended_timeout`, and the cut.

use std::sync::Arc;
use std::time::Duration;

use super::Child;
use crate::child::drain_clock::{DrainClock, Ring, RingAfter};
use crate::event::CloseReason;
use crate::port::FdCommand;
use crate::sync::lock;
use crate::sys;
use crate::threads::janitor;

impl Child {
    /// A reader holds the clock, or does no longer.
    pub(crate) fn reader_holds(self: &Arc<Self>, holds: bool) {
        if holds {
            self.tell_clock(DrainClock::hold);
        } else {
            self.tell_clock(DrainClock::release);
        }
    }

    /// The child is reaped: what its pipes hold now is its own, what comes later is of descendants.
    pub(super) fn start_draining(self: &Arc<Self>) {
        if self.clock.is_none() {
            return;
        }
        for port in self.ports() {
            if port.is_output() {
                port.send(FdCommand::Reaped);
            }
        }
        self.tell_clock(DrainClock::reaped);
    }

    fn tell_clock(self: &Arc<Self>, what: impl FnOnce(&DrainClock) -> RingAfter) {
        if sys::copy::is_copy() {
            return;
        }
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
        if self.progress.is_ended() {
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
            port.close(CloseReason::Cut);
        }
    }

    fn ring_clock(self: &Arc<Self>) {
        match self.clock.as_deref().map(DrainClock::ring) {
            Some(Ring::Again(after)) => self.ring_clock_after(after),
            Some(Ring::Cut) if !self.progress.is_ended() => {
                let held = self.open_fds();
                log::warn!("{self} is dead, but its pipes {held:?} are still open: they are cut");
                self.cut();
            }
            Some(Ring::Cut | Ring::Nothing) | None => {}
        }
    }
}
