//! All that belongs to a child, and how it is signalled: the process alone, or with its group: the cgroup
//! that it is in, else the process group that it leads.
//!
//! While the child is unreaped, its number and that of its group are its own. After that the group is
//! held by the child's pidfd where the kernel finds a group by it (Linux 6.9); elsewhere by the zombie,
//! which is not reaped before the group is dealt with.

pub(crate) mod cgroup;
pub(crate) mod members;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::libc;

use crate::error::SignalError;
use crate::signal::Signal;
use crate::status::ExitStatus;
use crate::sys;
use crate::tree::cgroup::Cgroup;
use crate::tree::members::Group;

/// How much of what belongs to a child is meant.
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
    pub(crate) cgroup: Option<Arc<Cgroup>>,
}

/// What a child that has exited may have left: the other members of its cgroup or process group. The drop lets
/// go of the group, and reaps a zombie that was held.
#[derive(Debug)]
pub(crate) struct Remains {
    leader: Leader,
    /// `None`: nobody is in the process group.
    hold: Option<Hold>,
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

    /// Signals the cgroup of the child, else the process group that it has made, whether or not it is
    /// still in there.
    pub(crate) fn signal_group(&self, signal: Signal) -> Result<(), SignalError> {
        let Some(cgroup) = &self.cgroup else {
            return self.send_to_own_group(signal.number());
        };
        match cgroup.signal(signal) {
            Ok(()) => Ok(()),
            // Everybody has left it, or may not be signalled there.
            Err(error) => match self.send_to_own_group(signal.number()) {
                Err(SignalError::NotGroupLeader) if !is_missing(&error) => Err(signal_error(error)),
                result => result,
            },
        }
    }

    /// Whether there is such a group.
    pub(crate) fn look_for_group(&self) -> Result<(), SignalError> {
        match &self.cgroup {
            Some(cgroup) if cgroup.is_populated() => Ok(()),
            _ => self.send_to_own_group(0),
        }
    }

    /// The child's group, to look for its members.
    pub(crate) fn group(&self) -> Group {
        Group {
            number: Some(self.pid),
            cgroup: self.cgroup.clone(),
        }
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
                Err(error) if sys::is_refusal(&error) => {}
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
        // All in the group have the signal. A second SIGKILL does no harm, and a move into
        // another group in between no good.
        let in_group = group.is_ok()
            && match &self.cgroup {
                Some(cgroup) => cgroup.has(self.pid),
                None => sys::signal::leads_group(self.pid),
            };
        if in_group && signal != Signal::KILL {
            return group;
        }
        if self.cgroup.is_some() {
            // A process that has moved out of the cgroup may be in the process group.
            let _ = self.send_to_own_group(signal.number());
        }
        let child = self.signal(signal);
        if group.is_ok() { group } else { child }
    }

    /// Takes note of the child's death, if it is dead; reaps it unless it must be held. Never blocks.
    /// `known_dead`: its pidfd has told of the death.
    pub(crate) fn try_reap(&self, known_dead: bool) -> io::Result<Option<Death>> {
        let Some((status, hold)) = self.try_reap_but_hold(known_dead)? else {
            return Ok(None);
        };
        let in_cgroup = self.cgroup.as_ref().is_some_and(|cgroup| !cgroup.retire());
        let remains = (in_cgroup || hold.is_some()).then(|| {
            let mut leader = self.clone();
            if hold.is_none() {
                // It holds nothing.
                leader.pidfd = None;
            }
            Remains { leader, hold }
        });
        Ok(Some(Death { status, remains }))
    }

    /// How the child has died, and how its process group is held, if anybody is left in that. Whether the
    /// kernel finds the group by the pidfd is asked while the child is unreaped.
    fn try_reap_but_hold(
        &self,
        known_dead: bool,
    ) -> io::Result<Option<(ExitStatus, Option<Hold>)>> {
        let probed = self
            .pidfd()
            .map(|pidfd| sys::signal::send_to_group_by_pidfd(pidfd, 0));
        // A refusal may be about the members or the call: then the zombie is as good.
        if let Some(probed) = probed
            && !probed.as_ref().is_err_and(sys::is_refusal)
        {
            let Some(status) = sys::wait::try_reap(self.pid, self.pidfd())? else {
                return Ok(None);
            };
            // Nobody is in such a group, and the dead make no members: a process that lived at the probe may have.
            if known_dead && !has_members(probed) {
                return Ok(Some((status, None)));
            }
            let pidfd = self.pidfd();
            let has_members = pidfd
                .is_some_and(|pidfd| has_members(sys::signal::send_to_group_by_pidfd(pidfd, 0)));
            return Ok(Some((status, has_members.then_some(Hold::Pidfd))));
        }
        match sys::wait::peek(self.pid, self.pidfd()) {
            Ok(None) => return Ok(None),
            Ok(Some(status)) if has_members(sys::signal::send_to_group(self.pid, 0)) => {
                return Ok(Some((status, Some(Hold::Zombie))));
            }
            // A sandbox that refuses to look without reaping gives up the group with the child.
            _ => {}
        }
        let status = sys::wait::try_reap(self.pid, self.pidfd())?;
        Ok(status.map(|status| (status, None)))
    }
}

impl Remains {
    /// The group in which members may be left.
    pub(crate) fn group(&self) -> Group {
        Group {
            number: self.hold.map(|_| self.leader.pid),
            cgroup: self.leader.cgroup.clone(),
        }
    }

    /// Signals the members that are left. [`SignalError::Exited`] if there are none.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        let Some(cgroup) = &self.leader.cgroup else {
            return self.send(signal.number()).map_err(signal_error);
        };
        let in_cgroup = cgroup.signal(signal);
        if in_cgroup.is_ok() && signal != Signal::KILL {
            return Ok(());
        }
        // A process that has moved out of the cgroup may be in the process group.
        match (in_cgroup, self.send(signal.number())) {
            (Ok(()), _) | (_, Ok(())) => Ok(()),
            (Err(error), Err(other)) if is_missing(&error) => Err(signal_error(other)),
            (Err(error), Err(_)) => Err(signal_error(error)),
        }
    }

    /// Whether its own number is held by a zombie, which costs the host a process.
    pub(crate) fn is_zombie(&self) -> bool {
        self.hold == Some(Hold::Zombie)
    }

    /// To the process group.
    fn send(&self, signal: i32) -> io::Result<()> {
        match (self.hold, self.leader.pidfd()) {
            // Somebody else may have reaped it: then the number is another's.
            (Some(Hold::Zombie), pidfd) => match sys::wait::peek(self.leader.pid, pidfd) {
                Ok(Some(_)) => sys::signal::send_to_group(self.leader.pid, signal),
                _ => Err(io::Error::from_raw_os_error(libc::ESRCH)),
            },
            (Some(Hold::Pidfd), Some(pidfd)) => sys::signal::send_to_group_by_pidfd(pidfd, signal),
            (Some(Hold::Pidfd), None) | (None, _) => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    }

    /// Whether nobody is left, not even a zombie in the process group; of a zombie that is held itself,
    /// false.
    pub(crate) fn is_gone(&self) -> bool {
        let cgroup = self.leader.cgroup.as_ref();
        let in_cgroup = cgroup.is_some_and(|cgroup| cgroup.is_populated());
        !in_cgroup && !has_members(self.send(0))
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        if self.is_zombie() && !sys::copy::is_copy() {
            let _ = sys::wait::try_reap(self.leader.pid, self.leader.pidfd());
        }
    }
}

/// What a signal 0 to a group says; members that may not be signalled are some.
fn has_members(probed: io::Result<()>) -> bool {
    !probed.is_err_and(|error| error.raw_os_error() == Some(libc::ESRCH))
}

/// Nobody is there.
fn is_missing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ESRCH)
}

fn signal_error(error: io::Error) -> SignalError {
    match error.raw_os_error() {
        // Somebody else has reaped it.
        Some(libc::ESRCH) => SignalError::Exited,
        Some(libc::EPERM) => SignalError::NotPermitted,
        _ => SignalError::Io(error),
    }
}
