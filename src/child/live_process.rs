//! The one place where a child is signalled and reaped.
//!
//! The handle and the reaper share a `LiveProcess`. A signal is sent under its lock, and only to an unreaped child, or to
//! remains that are still held; the reap empties it under the same lock. So no signal, not
//! even one to a group, reaches a pid that another process has got.

use std::fmt;
use std::os::fd::OwnedFd;
#[cfg(feature = "monitor")]
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::libc;

use crate::error::SignalError;
use crate::ladder::Ladder;
use crate::signal::Signal;
use crate::status::ExitStatus;
use crate::sync::lock;
use crate::sys;
use crate::tree::members::Group;
use crate::tree::{Death, Extent, Leader, Remains};

/// A child until it is reaped, and what it leaves until that is gone.
#[derive(Debug, Default)]
pub(crate) struct LiveProcess {
    state: Mutex<LiveState>,
}

#[derive(Debug, Default)]
enum LiveState {
    /// Not born, or nothing is left.
    #[default]
    Empty,
    Running(Leader),
    /// The child has exited, and that was told.
    Left(Remains),
    /// There is no child: what would be done to it is written down, in tests of protocols.
    Recorded(Record),
}

/// What a handle does to the process itself.
#[derive(Debug)]
pub(crate) enum ProcessCommand {
    Signal(Signal),
    SignalGroup(Signal),
    SignalTree(Signal),
    Terminate(Extent, Duration),
    Stop(Ladder),
}

struct Record(Box<dyn Fn(ProcessCommand) + Send>);

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Record")
    }
}

/// Whether a reap found the child dead.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reap {
    /// The child lives.
    Alive,
    /// This call took note of the child's death.
    Now(ExitStatus),
    /// An earlier call took note of the child's death.
    Before,
}

impl LiveProcess {
    /// In place of a child: `record` is told what would be done to one. It must not call back.
    pub(crate) fn recorded_by(record: impl Fn(ProcessCommand) + Send + 'static) -> Self {
        Self {
            state: Mutex::new(LiveState::Recorded(Record(Box::new(record)))),
        }
    }

    /// Writes down what would be done by more than one signal. False if there is, or was, a child.
    pub(crate) fn record(&self, command: impl FnOnce() -> ProcessCommand) -> bool {
        match &*lock(&self.state) {
            LiveState::Recorded(record) => {
                (record.0)(command());
                true
            }
            _ => false,
        }
    }

    /// Puts an unadopted child in.
    pub(crate) fn fill(&self, leader: Leader) {
        *lock(&self.state) = LiveState::Running(leader);
    }

    /// The pid, while it is surely the child's.
    pub(crate) fn pid(&self) -> Option<libc::pid_t> {
        if sys::copy::is_copy() {
            return None;
        }
        match &*lock(&self.state) {
            LiveState::Running(leader) => Some(leader.pid),
            _ => None,
        }
    }

    /// The pidfd, until the child has exited.
    pub(crate) fn pidfd(&self) -> Option<Arc<OwnedFd>> {
        if sys::copy::is_copy() {
            return None;
        }
        match &*lock(&self.state) {
            LiveState::Running(leader) => leader.pidfd.clone(),
            _ => None,
        }
    }

    /// Signals the child.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        if sys::copy::is_copy() {
            return Err(of_another());
        }
        match &*lock(&self.state) {
            LiveState::Running(leader) => leader.signal(signal),
            LiveState::Recorded(record) => {
                (record.0)(ProcessCommand::Signal(signal));
                Ok(())
            }
            _ => Err(SignalError::Exited),
        }
    }

    /// Signals the process group that the child leads, until its last member is gone.
    pub(crate) fn signal_group(&self, signal: Signal) -> Result<(), SignalError> {
        let command = ProcessCommand::SignalGroup(signal);
        self.send(signal, Leader::signal_group, command)
    }

    /// Signals as much of what belongs to the child as `extent` says.
    pub(crate) fn signal_all(&self, extent: Extent, signal: Signal) -> Result<(), SignalError> {
        match extent {
            Extent::Child => self.signal(signal),
            Extent::Tree => self.send(
                signal,
                Leader::signal_tree,
                ProcessCommand::SignalTree(signal),
            ),
        }
    }

    fn send(
        &self,
        signal: Signal,
        to: impl FnOnce(&Leader, Signal) -> Result<(), SignalError>,
        command: ProcessCommand,
    ) -> Result<(), SignalError> {
        if sys::copy::is_copy() {
            return Err(of_another());
        }
        let mut state = lock(&self.state);
        match &*state {
            LiveState::Running(leader) => to(leader, signal),
            LiveState::Left(remains) => {
                let sent = remains.signal(signal);
                if let Err(SignalError::Exited) = sent {
                    *state = LiveState::Empty;
                }
                sent
            }
            LiveState::Empty => Err(SignalError::Exited),
            LiveState::Recorded(record) => {
                (record.0)(command);
                Ok(())
            }
        }
    }

    /// The group of a child that has not exited.
    pub(crate) fn group(&self) -> Option<Group> {
        if sys::copy::is_copy() {
            return None;
        }
        match &*lock(&self.state) {
            LiveState::Running(leader) => Some(leader.group()),
            _ => None,
        }
    }

    /// The group that the child has left behind, if anybody may still be in it.
    pub(crate) fn group_left(&self) -> Option<Group> {
        if sys::copy::is_copy() {
            return None;
        }
        let mut state = lock(&self.state);
        let LiveState::Left(remains) = &*state else {
            return None;
        };
        if remains.is_gone() {
            *state = LiveState::Empty;
            return None;
        }
        Some(remains.group())
    }

    /// The directory of the cgroup that was made for the child, while anybody may be in it.
    #[cfg(feature = "monitor")]
    pub(crate) fn own_cgroup(&self) -> Option<PathBuf> {
        let cgroup = match &*lock(&self.state) {
            LiveState::Running(leader) => leader.cgroup.clone(),
            LiveState::Left(remains) => remains.group().cgroup,
            LiveState::Empty | LiveState::Recorded(_) => None,
        };
        cgroup?.own_path()
    }

    /// Whether there is a group for [`signal_group`](Self::signal_group).
    pub(crate) fn look_for_group(&self) -> Result<(), SignalError> {
        if sys::copy::is_copy() {
            return Err(of_another());
        }
        match &*lock(&self.state) {
            LiveState::Running(leader) => leader.look_for_group(),
            LiveState::Left(_) | LiveState::Recorded(_) => Ok(()),
            LiveState::Empty => Err(SignalError::Exited),
        }
    }

    /// The child has ended: no zombie is held any longer.
    pub(crate) fn end(&self) {
        let mut state = lock(&self.state);
        if matches!(&*state, LiveState::Left(remains) if remains.is_zombie()) {
            *state = LiveState::Empty;
        }
    }

    /// Nobody is in the group any more, or nobody will signal it: lets go of it, and reaps a child
    /// that was held for it.
    pub(crate) fn let_go(&self) {
        let mut state = lock(&self.state);
        if let LiveState::Left(_) = &*state {
            *state = LiveState::Empty;
        }
    }

    /// Reaps the child if it is dead; never blocks. `known_dead`: its pidfd has told of the death.
    pub(crate) fn try_reap(&self, known_dead: bool) -> Reap {
        if sys::copy::is_copy() {
            return Reap::Before;
        }
        let mut state = lock(&self.state);
        let LiveState::Running(child) = &*state else {
            return Reap::Before;
        };
        match child.try_reap(known_dead) {
            Ok(None) => Reap::Alive,
            Ok(Some(Death { status, remains })) => {
                *state = remains.map_or(LiveState::Empty, LiveState::Left);
                Reap::Now(status)
            }
            Err(error) => {
                let pid = child.pid;
                *state = LiveState::Empty;
                // The logger is the user's.
                drop(state);
                log::warn!("cannot tell how process {pid} ended: {error}");
                Reap::Now(ExitStatus::Unknown)
            }
        }
    }
}

/// In a copy of the process, by fork.
pub(crate) fn of_another() -> SignalError {
    let whose = "it is a child of the process that this one was forked from";
    SignalError::Io(std::io::Error::other(whose))
}
