//! The end of a child by its owner: terminated on demand, or by policy when the owner is gone; and what
//! becomes of those whom it leaves.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Child;
use crate::error::SignalError;
use crate::ladder::Ladder;
use crate::port::FdCommand;
use crate::signal::Signal;
use crate::spec::{OnLeftovers, OnOrphaned};
use crate::sync::lock;
use crate::sys;
use crate::tree::Extent;

impl Child {
    /// SIGTERM now, SIGKILL after `grace` unless it is reaped by then.
    pub(crate) fn terminate(self: &Arc<Self>, grace: Duration) -> Result<(), SignalError> {
        self.insist(Extent::Child, grace)
    }

    /// The same for the process group that the child leads, to its last member.
    pub(crate) fn terminate_group(self: &Arc<Self>, grace: Duration) -> Result<(), SignalError> {
        self.cell.look_for_group()?;
        self.insist(Extent::Tree, grace)
    }

    /// SIGKILL to all that belongs to the child. Nobody survives it but who may not be signalled, so
    /// there is nothing to wait for.
    pub(crate) fn kill_all(&self) -> Result<(), SignalError> {
        self.cell.signal_all(Extent::Tree, Signal::KILL)
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
        // As far as the cell knows: this may run while the record is locked by this very thread.
        if self.cell.pid().is_some() || self.cell.group_left().is_some() {
            log::warn!("{self} is orphaned, {why}: {:?}", self.on_orphaned);
            match self.on_orphaned {
                OnOrphaned::Leave => {}
                OnOrphaned::Kill => self.note(self.kill_all()),
                OnOrphaned::Terminate(grace) => self.escalate(Ladder::terminate(grace), |_| {}),
            }
        }
        self.close_ports_of_orphan();
    }

    fn note(&self, sent: Result<(), SignalError>) {
        if let Err(error @ (SignalError::NotPermitted | SignalError::Io(_))) = sent {
            log::warn!("{self} lives on: {error}");
        }
    }

    pub(super) fn close_ports_of_orphan(&self) {
        for port in self.ports() {
            port.send(FdCommand::Orphan);
        }
    }

    /// The child has exited, or an escalation is over. When there is none left the rest of the group
    /// follows the policy, once; and nothing is held for a child that has ended.
    pub(super) fn settle(self: &Arc<Self>) {
        if self.cell.pid().is_some() || !lock(&self.escalations).is_empty() {
            return;
        }
        if self.on_leftovers != OnLeftovers::Leave
            && !self.settled.swap(true, Ordering::SeqCst)
            && self.cell.group_left().is_some()
        {
            match self.on_leftovers {
                OnLeftovers::Leave => {}
                OnLeftovers::Kill => {
                    self.note(self.kill_all());
                    self.cell.let_go();
                }
                OnLeftovers::Terminate(grace) => {
                    return self.escalate(Ladder::terminate(grace), |_| {});
                }
            }
        }
        if self.outcome.is_ended() {
            self.cell.end();
        }
    }
}
