//! The end of a child by its owner: on demand, or by policy when the owner is gone; and the policy for
//! its leftovers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Child;
use crate::command::spec::{OnLeftovers, OnOrphaned};
use crate::error::SignalError;
use crate::event::CloseReason;
use crate::ladder::{Act, Ladder};
use crate::port::mailbox_turns::Dependent;
use crate::signal::Signal;
use crate::sync::lock;
use crate::sys;
use crate::tree::Extent;

impl Child {
    /// SIGKILL to the child alone. False, with a warning unless it is dead, if it was not sent.
    pub(crate) fn kill(&self) -> bool {
        self.is_sent(self.live.signal(Signal::KILL))
    }

    /// SIGTERM now, SIGKILL after `grace` unless it is reaped by then. False if the SIGTERM was not sent.
    pub(crate) fn terminate(self: &Arc<Self>, grace: Duration) -> bool {
        // What else it may be was logged.
        self.insist(Extent::Child, grace).is_ok()
    }

    /// The same for the process group that the child leads, to its last member.
    pub(crate) fn terminate_group(self: &Arc<Self>, grace: Duration) -> bool {
        self.is_sent(self.live.look_for_group()) && self.insist(Extent::Tree, grace).is_ok()
    }

    fn is_sent(&self, sent: Result<(), SignalError>) -> bool {
        match sent {
            Ok(()) => return true,
            Err(SignalError::Exited) => {}
            // In a copy another thread may have held the logger's locks.
            Err(_) if sys::copy::is_copy() => {}
            Err(error) => log::warn!("{self} lives on: {error}"),
        }
        false
    }

    /// SIGKILL to all that belongs to the child. Only a process that may not be signalled survives it, so
    /// there is nothing to wait for.
    pub(crate) fn kill_all(&self) -> Result<(), SignalError> {
        self.live.signal_all(Extent::Tree, Signal::KILL)
    }

    /// The owner is gone: applies the policy, once, from any thread, and closes the pipes. When it
    /// returns the policy was applied, by this thread or by another one: a main that returns ends
    /// the process, and the other thread with it.
    pub(crate) fn orphan(self: &Arc<Self>, why: &str) {
        if sys::copy::is_copy() {
            return;
        }
        if self.progress.is_ended() || self.orphaned.is_completed() {
            return;
        }
        let mut by_this_call = false;
        let mut applied = false;
        self.orphaned.call_once_force(|_| {
            by_this_call = true;
            applied = self.apply_policy_of_orphan();
        });
        if by_this_call {
            self.close_ports_of_orphan();
        }
        if applied {
            let level = match self.is_quiet_orphan {
                true => log::Level::Debug,
                false => log::Level::Warn,
            };
            log::log!(level, "{self} is orphaned, {why}: {:?}", self.on_orphaned);
        }
    }

    fn apply_policy_of_orphan(self: &Arc<Self>) -> bool {
        if self.live.pid().is_none() && self.live.group_left().is_none() {
            return false;
        }
        match self.on_orphaned {
            OnOrphaned::Leave => {}
            OnOrphaned::Kill => {
                self.kill_by_policy();
            }
            OnOrphaned::Terminate(grace) => self.escalate(Ladder::terminate(grace), |_| {}),
        }
        true
    }

    /// As [`kill_all`](Self::kill_all). False if it goes on: another thread may be allowed what this
    /// one is not.
    pub(crate) fn kill_by_policy(self: &Arc<Self>) -> bool {
        if sys::copy::is_copy() {
            return true;
        }
        let sent = self.kill_all();
        let refused = matches!(sent, Err(SignalError::NotPermitted | SignalError::Io(_)));
        if refused {
            self.escalate(Ladder::new().kill(), |_| {});
        }
        !refused
    }

    /// Signals as much of what belongs to the child, so that it acts on it.
    pub(super) fn send(&self, extent: Extent, signal: Signal) -> Result<(), SignalError> {
        let sent = self.live.signal_all(extent, signal);
        if sent.is_ok() && Act::wants_continue(signal) {
            // A stopped process acts on nothing but SIGKILL before it is continued.
            let _ = self.live.signal_all(extent, Signal::CONT);
        }
        sent
    }

    /// The same, soon, on a thread like the one that asked for the child. False if there is none.
    pub(super) fn send_as_its_asker(self: &Arc<Self>, extent: Extent, signal: Signal) -> bool {
        let child = Arc::clone(self);
        let send = move || {
            child.is_sent(child.send(extent, signal));
        };
        self.asker.get().is_some_and(|asker| asker.run(send))
    }

    pub(super) fn close_ports_of_orphan(&self) {
        for port in self.ports() {
            port.close(CloseReason::Gone);
        }
    }

    /// The child has exited, or an escalation is over. When there is none left the rest of the group
    /// follows the policy, once; and nothing is held for a child that has ended.
    pub(super) fn settle(self: &Arc<Self>) {
        if self.live.pid().is_some() || !lock(&self.escalations).is_empty() {
            return;
        }
        let acts = !matches!(self.on_leftovers, OnLeftovers::Leave | OnLeftovers::Hold);
        if acts && !self.settled.swap(true, Ordering::SeqCst) && self.live.group_left().is_some() {
            match self.on_leftovers {
                OnLeftovers::Leave | OnLeftovers::Hold => {}
                OnLeftovers::Kill => {
                    if !self.kill_by_policy() {
                        return;
                    }
                    self.live.let_go();
                }
                OnLeftovers::Terminate(grace) => {
                    return self.escalate(Ladder::terminate(grace), |_| {});
                }
            }
        }
        if self.progress.is_ended() && self.on_leftovers != OnLeftovers::Hold {
            self.live.end();
        }
    }
}

impl Dependent for Child {
    fn has_ended(&self) -> bool {
        self.progress.is_ended()
    }

    fn protocol_gone(self: Arc<Self>) {
        self.orphan("its protocol is gone");
    }
}
