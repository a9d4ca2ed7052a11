//! Stands in for a child when a protocol is tested by itself.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;

use crate::error::SignalError;
use crate::ladder::Ladder;
use crate::port::FdCommand;
use crate::signal::Signal;
use crate::sync::lock;
use crate::winsize::PtySize;

/// A command that a protocol gave to a recorded handle. `Debug` shows what was written: it is for the
/// test that asserts it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recorded {
    /// `write`, `write_to_child`, and each piece of `write_sequence`.
    Write {
        /// The child's descriptor.
        fd: i32,
        /// The bytes.
        data: Bytes,
    },
    /// `close_stdin` and its like; for `lose_connection` one for each descriptor.
    Close {
        /// The child's descriptor.
        fd: i32,
    },
    /// `abort`.
    Abort {
        /// The child's descriptor.
        fd: i32,
    },
    /// `cut_connection`, one for each descriptor.
    Cut {
        /// The child's descriptor.
        fd: i32,
    },
    /// `pause_producing` (one for each descriptor that is read) or `pause_child_fd`.
    Pause {
        /// The child's descriptor.
        fd: i32,
    },
    /// The same for resuming.
    Resume {
        /// The child's descriptor.
        fd: i32,
    },
    /// `resize`.
    Resize(PtySize),
    /// `signal` and `kill`.
    Signal(Signal),
    /// `signal_group`.
    SignalGroup(Signal),
    /// `terminate`.
    Terminate(Duration),
    /// `terminate_group`.
    TerminateGroup(Duration),
    /// `stop`.
    Stop(Ladder),
}

/// The commands so far. Bounded by the test that gives them.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    commands: Mutex<Vec<Recorded>>,
}

impl Recorder {
    pub(crate) fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut lock(&self.commands))
    }

    pub(crate) fn fd_command(&self, fd: i32, command: FdCommand) {
        let recorded = match command {
            FdCommand::Write(data) => Recorded::Write { fd, data },
            FdCommand::WriteSequence(pieces) => {
                let mut commands = lock(&self.commands);
                commands.extend(pieces.into_iter().map(|data| Recorded::Write { fd, data }));
                return;
            }
            FdCommand::Close => Recorded::Close { fd },
            FdCommand::Abort => Recorded::Abort { fd },
            FdCommand::Pause => Recorded::Pause { fd },
            FdCommand::Resume => Recorded::Resume { fd },
            FdCommand::Cut => Recorded::Cut { fd },
            FdCommand::Resize(size) => Recorded::Resize(size),
            // The reading half of a terminal, in `lose_connection`.
            FdCommand::Discard => Recorded::Close { fd },
            FdCommand::Reaped | FdCommand::Orphan => return,
        };
        lock(&self.commands).push(recorded);
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        self.record(Recorded::Signal(signal))
    }

    pub(crate) fn signal_group(&self, signal: Signal) -> Result<(), SignalError> {
        self.record(Recorded::SignalGroup(signal))
    }

    pub(crate) fn terminate(&self, grace: Duration) -> Result<(), SignalError> {
        self.record(Recorded::Terminate(grace))
    }

    pub(crate) fn terminate_group(&self, grace: Duration) -> Result<(), SignalError> {
        self.record(Recorded::TerminateGroup(grace))
    }

    pub(crate) fn stop(&self, ladder: Ladder) {
        lock(&self.commands).push(Recorded::Stop(ladder));
    }

    fn record(&self, command: Recorded) -> Result<(), SignalError> {
        lock(&self.commands).push(command);
        Ok(())
    }
}
