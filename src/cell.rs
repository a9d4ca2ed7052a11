//! The one place where a child is signalled and reaped.
//!
//! The handle and the reaper share it. Whoever signals holds the lock and finds the child unreaped;
//! whoever reaps empties the cell under the same lock. So no signal, not even one to a group,
//! reaches a pid that has become somebody else's.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use nix::libc;

use crate::error::SignalError;
use crate::signal::Signal;
use crate::status::ExitStatus;
use crate::sync::lock;
use crate::sys;

/// A child until it is reaped.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    running: Mutex<Option<Running>>,
}

#[derive(Debug, Clone)]
struct Running {
    pid: libc::pid_t,
    pidfd: Option<Arc<OwnedFd>>,
}

/// Whether a reap found the child dead.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reap {
    /// It lives.
    Alive,
    /// This call reaped it.
    Now(ExitStatus),
    /// It was reaped before.
    Before,
}

impl Cell {
    /// Puts a newborn child in.
    pub(crate) fn fill(&self, pid: libc::pid_t, pidfd: Option<Arc<OwnedFd>>) {
        *lock(&self.running) = Some(Running { pid, pidfd });
    }

    /// The pid, while it is surely the child's.
    pub(crate) fn pid(&self) -> Option<libc::pid_t> {
        if sys::copy::is_copy() {
            return None;
        }
        lock(&self.running).as_ref().map(|running| running.pid)
    }

    /// The pidfd, while there is one.
    pub(crate) fn pidfd(&self) -> Option<Arc<OwnedFd>> {
        if sys::copy::is_copy() {
            return None;
        }
        lock(&self.running).as_ref()?.pidfd.clone()
    }

    /// Signals the child.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        self.send(|running| {
            let pidfd = running.pidfd.as_ref().map(|fd| fd.as_fd());
            sys::signal::send(running.pid, pidfd, signal.number()).map_err(signal_error)
        })
    }

    /// Signals the process group that the child leads.
    pub(crate) fn signal_group(&self, signal: Signal) -> Result<(), SignalError> {
        self.send(|running| {
            let pidfd = running.pidfd.as_ref().map(|fd| fd.as_fd());
            // Somebody else may have reaped it: then the numbers are another's.
            if sys::signal::is_reaped(pidfd) {
                return Err(SignalError::Exited);
            }
            if !sys::signal::leads_group(running.pid) {
                return Err(SignalError::NotGroupLeader);
            }
            sys::signal::send_to_group(running.pid, signal.number()).map_err(signal_error)
        })
    }

    fn send(
        &self,
        act: impl FnOnce(&Running) -> Result<(), SignalError>,
    ) -> Result<(), SignalError> {
        if sys::copy::is_copy() {
            let whose = "it is a child of the process that this one was forked from";
            return Err(SignalError::Io(io::Error::other(whose)));
        }
        match &*lock(&self.running) {
            Some(running) => act(running),
            None => Err(SignalError::Exited),
        }
    }

    /// Reaps the child if it is dead; never blocks.
    pub(crate) fn try_reap(&self) -> Reap {
        if sys::copy::is_copy() {
            return Reap::Before;
        }
        let mut running = lock(&self.running);
        let Some(child) = &*running else {
            return Reap::Before;
        };
        let pidfd = child.pidfd.as_ref().map(|fd| fd.as_fd());
        match sys::wait::try_reap(child.pid, pidfd) {
            Ok(None) => Reap::Alive,
            Ok(Some(status)) => {
                *running = None;
                Reap::Now(status)
            }
            Err(error) => {
                log::warn!("cannot tell how process {} ended: {error}", child.pid);
                *running = None;
                Reap::Now(ExitStatus::Unknown)
            }
        }
    }
}

fn signal_error(error: io::Error) -> SignalError {
    match error.raw_os_error() {
        // Somebody else has reaped it.
        Some(libc::ESRCH) => SignalError::Exited,
        Some(libc::EPERM) => SignalError::NotPermitted,
        _ => SignalError::Io(error),
    }
}
