//! The end of a child by its owner: terminated on demand, or by policy when the owner is gone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Child;
use crate::error::SignalError;
use crate::janitor;
use crate::port::FdCommand;
use crate::signal::Signal;
use crate::spec::OnOrphaned;
use crate::sys;

impl Child {
    /// SIGTERM now, SIGKILL after `grace` unless it is reaped by then.
    pub(crate) fn terminate(self: &Arc<Self>, grace: Duration) -> Result<(), SignalError> {
        self.cell.signal(Signal::TERM)?;
        let child = Arc::downgrade(self);
        janitor::after(grace, move || {
            // It may be dead, and its arbiter too busy to reap it.
            if let Some(child) = child.upgrade()
                && !child.try_reap()
                && child.cell.signal(Signal::KILL).is_ok()
            {
                log::warn!(
                    "process {} ({}) did not end on SIGTERM and was killed",
                    child.id,
                    child.program
                );
            }
        });
        Ok(())
    }

    /// The same for the process group that the child leads. After the child is reaped the group
    /// is out of reach: its number may be somebody else's.
    pub(crate) fn terminate_group(self: &Arc<Self>, grace: Duration) -> Result<(), SignalError> {
        self.cell.signal_group(Signal::TERM)?;
        let child = Arc::downgrade(self);
        janitor::after(grace, move || {
            if let Some(child) = child.upgrade()
                && !child.try_reap()
            {
                let _ = child.cell.signal_group(Signal::KILL);
            }
        });
        Ok(())
    }

    /// The owner is gone: applies the policy, once, without blocking, from any thread, and closes
    /// the pipes.
    pub(crate) fn orphan(self: &Arc<Self>, why: &str) {
        if sys::copy::is_copy() {
            return;
        }
        if self.outcome.is_ended() || self.orphaned.swap(true, Ordering::SeqCst) {
            return;
        }
        if !self.is_reaped_without_lock() {
            log::warn!(
                "process {} ({}) is orphaned, {why}: {:?}",
                self.id,
                self.program,
                self.on_orphaned
            );
            let sent = match self.on_orphaned {
                OnOrphaned::Leave => Ok(()),
                OnOrphaned::Kill => self.cell.signal(Signal::KILL),
                OnOrphaned::Terminate(grace) => self.terminate(grace),
            };
            if let Err(error @ (SignalError::NotPermitted | SignalError::Io(_))) = sent {
                log::warn!("process {} lives on: {error}", self.id);
            }
        }
        self.close_ports_of_orphan();
    }

    pub(super) fn close_ports_of_orphan(&self) {
        for port in self.ports() {
            port.send(FdCommand::Orphan);
        }
    }

    /// As far as the cell knows: this may run while the record is locked by this very thread.
    fn is_reaped_without_lock(&self) -> bool {
        self.cell.pid().is_none()
    }
}
