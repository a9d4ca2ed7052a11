//! How far a child is, for any number of waiters on any runtime.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

use crate::status::ExitStatus;
use crate::sys;

/// What a waiter waits for. A running child's phase is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    Exited = 1,
    Ended = 2,
}

/// The exit status and the phase; both only ever advance.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    status: OnceLock<ExitStatus>,
    phase: AtomicU8,
    changed: Notify,
}

impl Progress {
    /// The status can be asked for; nobody is woken yet. The first counts.
    pub(crate) fn set_status(&self, status: ExitStatus) {
        let _ = self.status.set(status);
    }

    /// As far as this; nobody is woken yet.
    pub(crate) fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::SeqCst);
    }

    /// Wakes the waiters. Their wakers are foreign code: no lock may be held.
    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// The status, once the child was reaped.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        self.status.get().copied()
    }

    /// Whether its exit was told, or its end.
    pub(crate) fn has_exited(&self) -> bool {
        self.phase.load(Ordering::SeqCst) >= Phase::Exited as u8
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == Phase::Ended as u8
    }

    /// Waits until the child is as far as `phase`; gives its status. In a copy of the process nobody tells
    /// of it: what is not known there stays [`ExitStatus::Unknown`].
    pub(crate) async fn reached(&self, phase: Phase) -> ExitStatus {
        loop {
            let changed = self.changed.notified();
            let status = self.status();
            if sys::copy::is_copy() {
                return status.unwrap_or(ExitStatus::Unknown);
            }
            match status {
                Some(status) if self.phase.load(Ordering::SeqCst) >= phase as u8 => return status,
                _ => changed.await,
            }
        }
    }
}
