//! All that belongs to a child, and how it is signalled: the process alone, or with the process
//! group that it leads.
//!
//! While the child is unreaped, its number and that of its group are its own. After that the group is
//! held by the child's pidfd where the kernel finds a group by it (Linux 6.9); elsewhere by the zombie,
//! which is not reaped before the group is dealt with.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::libc;

use crate::error::SignalError;
use crate::signal::Signal;
use crate::status::ExitStatus;
use crate::sys;

/// How much of it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The child alone.
    Child,
    /// The child and, if it leads a group, the group.
    Tree,
}

/// A child that was not reaped.
#[derive(Debug, Clone)]
pub(crate) struct Leader {
    pub(crate) pid: libc::pid_t,
    pub(crate) pidfd: Option<Arc<OwnedFd>>,
}

/// What a child that has exited may have left: the other members of its group. Dropped, it is let go,
/// and a zombie that was held is reaped.
#[derive(Debug)]
pub(crate) struct Remains {
    leader: Leader,
    hold: Hold,
}

/// What keeps the group from being taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Pidfd,
    Zombie,
}

/// A child that has exited.
#[derive(Debug)]
pub(crate) struct Death {
    pub(crate) status: ExitStatus,
    pub(crate) remains: Option<Remains>,
}

impl Leader {
    fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(|fd| fd.as_fd())
    }

    /// Signals the child alone.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        sys::signal::send(self.pid, self.pidfd(), signal.number()).map_err(signal_error)
    }

    /// Signals the group that the child has made, whether or not it is still in there.
    pub(crate) fn signal_group(&self, signal: Signal) -> Result<(), SignalError> {
        self.send_to_own_group(signal.number())
    }

    /// Whether there is such a group.
    pub(crate) fn look_for_group(&self) -> Result<(), SignalError> {
        self.send_to_own_group(0)
    }

    fn send_to_own_group(&self, signal: i32) -> Result<(), SignalError> {
        match self.send_to_group(signal) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                // Somebody else may have reaped it.
                Err(if sys::signal::is_reaped(self.pidfd()) {
                    SignalError::Exited
                } else {
                    SignalError::NotGroupLeader
                })
            }
            result => result.map_err(signal_error),
        }
    }

    fn send_to_group(&self, signal: i32) -> io::Result<()> {
        if let Some(pidfd) = self.pidfd() {
            match sys::signal::send_to_group_by_pidfd(pidfd, signal) {
                Err(error) if sys::signal::is_refusal(&error) => {}
                result => return result,
            }
            // Reaped by somebody else: then the number is another's.
            if sys::signal::is_reaped(Some(pidfd)) {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
        }
        sys::signal::send_to_group(self.pid, signal)
    }

    /// Signals all that belongs to the child: its group as far as there is one, and the child in any
    /// case, which may have moved into another.
    pub(crate) fn signal_tree(&self, signal: Signal) -> Result<(), SignalError> {
        let group = self.signal_group(signal);
        // Whoever is in the group has the signal. A second SIGKILL does no harm, and a move into
        // another group in between no good.
        let in_group = group.is_ok() && sys::signal::leads_group(self.pid);
        if in_group && signal != Signal::KILL {
            return group;
        }
        let child = self.signal(signal);
        if group.is_ok() { group } else { child }
    }

    /// Takes note of the child's death, if it is dead; reaps it unless it must be held. Never blocks.
    pub(crate) fn try_reap(&self) -> io::Result<Option<Death>> {
        if self.is_found_by_pidfd() {
            let Some(status) = sys::wait::try_reap(self.pid, self.pidfd())? else {
                return Ok(None);
            };
            let remains = Remains {
                leader: self.clone(),
                hold: Hold::Pidfd,
            };
            let remains = (!remains.is_gone()).then_some(remains);
            return Ok(Some(Death { status, remains }));
        }
        match sys::wait::peek(self.pid, self.pidfd()) {
            Ok(None) => return Ok(None),
            Ok(Some(status)) if has_members(sys::signal::send_to_group(self.pid, 0)) => {
                let remains = Some(Remains {
                    leader: self.clone(),
                    hold: Hold::Zombie,
                });
                return Ok(Some(Death { status, remains }));
            }
            // A sandbox that refuses to look without reaping gives up the group with the child.
            _ => {}
        }
        let status = sys::wait::try_reap(self.pid, self.pidfd())?;
        Ok(status.map(|status| Death {
            status,
            remains: None,
        }))
    }

    /// Whether the kernel finds the group by the pidfd. Asked while the child is unreaped.
    fn is_found_by_pidfd(&self) -> bool {
        let probed = self
            .pidfd()
            .map(|pidfd| sys::signal::send_to_group_by_pidfd(pidfd, 0));
        // A refusal may be about the members or the call: then the zombie is as good.
        probed.is_some_and(|probed| !probed.is_err_and(|e| sys::signal::is_refusal(&e)))
    }
}

impl Remains {
    /// The number of the group.
    pub(crate) const fn group(&self) -> libc::pid_t {
        self.leader.pid
    }

    /// Signals whoever is left. [`SignalError::Exited`] if nobody is.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        self.send(signal.number()).map_err(signal_error)
    }

    /// Whether its own number is held by a zombie, which costs the host a process.
    pub(crate) fn is_zombie(&self) -> bool {
        self.hold == Hold::Zombie
    }

    fn send(&self, signal: i32) -> io::Result<()> {
        match (self.hold, self.leader.pidfd()) {
            // Somebody else may have reaped it: then the number is another's.
            (Hold::Zombie, pidfd) => match sys::wait::peek(self.leader.pid, pidfd) {
                Ok(Some(_)) => sys::signal::send_to_group(self.leader.pid, signal),
                _ => Err(io::Error::from_raw_os_error(libc::ESRCH)),
            },
            (Hold::Pidfd, Some(pidfd)) => sys::signal::send_to_group_by_pidfd(pidfd, signal),
            (Hold::Pidfd, None) => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    }

    /// Whether nobody is left, not even a zombie; of a zombie that is held itself, false.
    pub(crate) fn is_gone(&self) -> bool {
        !has_members(self.send(0))
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        if self.hold == Hold::Zombie {
            let _ = sys::wait::try_reap(self.leader.pid, self.leader.pidfd());
        }
    }
}

/// What a signal 0 to a group says; members that may not be signalled are some.
fn has_members(probed: io::Result<()>) -> bool {
    !probed.is_err_and(|error| error.raw_os_error() == Some(libc::ESRCH))
}

fn signal_error(error: io::Error) -> SignalError {
    match error.raw_os_error() {
        // Somebody else has reaped it.
        Some(libc::ESRCH) => SignalError::Exited,
        Some(libc::EPERM) => SignalError::NotPermitted,
        _ => SignalError::Io(error),
    }
}
