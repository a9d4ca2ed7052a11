//! The reap of a child, by the thread that learns of its death first.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::Child;
use crate::child::lifecycle::LifecycleInput;
use crate::child::live_process::Reap;
use crate::status::ExitStatus;
use crate::sys;
use crate::threads::janitor::Reapable;

impl Child {
    /// Reaps the child if it is dead and tells so. True if there is nothing more to reap.
    pub(crate) fn try_reap(self: &Arc<Self>) -> bool {
        self.reap_by(false)
    }

    /// The same of a child whose pidfd has told of its death.
    pub(crate) fn reap_dead(self: &Arc<Self>) -> bool {
        self.reap_by(true)
    }

    fn reap_by(self: &Arc<Self>, known_dead: bool) -> bool {
        match self.live.try_reap(known_dead) {
            Reap::Alive => false,
            Reap::Before => true,
            Reap::Now(status) => {
                self.reaped(status);
                true
            }
        }
    }

    fn reaped(self: &Arc<Self>, status: ExitStatus) {
        // Before the exit is told: its receiver asks for the status.
        self.progress.set_status(status);
        self.settle();
        self.apply(LifecycleInput::Reaped);
    }
}

impl Reapable for Child {
    fn pidfd(&self) -> Option<Arc<OwnedFd>> {
        self.live.pidfd()
    }

    fn wait_until_dead(&self) {
        if let Some(pid) = self.live.pid() {
            sys::wait::wait_until_exited(pid);
        }
    }

    fn is_child(&self) -> bool {
        true
    }

    fn reap(self: Arc<Self>) -> bool {
        self.try_reap()
    }
}
