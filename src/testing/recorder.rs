//! What a handle without a child was told.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use crate::child::live_process::ProcessCommand;
use crate::event::CloseReason;
use crate::ladder::Ladder;
use crate::port::{FdCommand, Route, Terminal};
use crate::signal::Signal;
use crate::sync::lock;
use crate::terminal_modes::TerminalModes;
use crate::tree::Extent;
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
    /// `resume_producing` (one for each descriptor that is read) or `resume_child_fd`.
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
    /// To the child and its group: what the drop of a [`KillOnDrop`](crate::KillOnDrop) sends.
    SignalTree(Signal),
    /// `terminate`.
    Terminate(Duration),
    /// `terminate_group`.
    TerminateGroup(Duration),
    /// `stop`.
    Stop(Ladder),
}

/// The commands so far. Bounded by the test that gives them.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    commands: Mutex<Vec<Recorded>>,
}

impl Recorder {
    pub(super) fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut lock(&self.commands))
    }

    pub(super) fn process_command(&self, command: ProcessCommand) {
        lock(&self.commands).push(match command {
            ProcessCommand::Signal(signal) => Recorded::Signal(signal),
            ProcessCommand::SignalGroup(signal) => Recorded::SignalGroup(signal),
            ProcessCommand::SignalTree(signal) => Recorded::SignalTree(signal),
            ProcessCommand::Terminate(Extent::Child, grace) => Recorded::Terminate(grace),
            ProcessCommand::Terminate(Extent::Tree, grace) => Recorded::TerminateGroup(grace),
            ProcessCommand::Stop(ladder) => Recorded::Stop(ladder),
        });
    }

    fn fd_command(&self, fd: i32, command: FdCommand) {
        let recorded = match command {
            FdCommand::Write(data) => Recorded::Write { fd, data },
            FdCommand::WriteSequence(pieces) => {
                let mut commands = lock(&self.commands);
                commands.extend(pieces.into_iter().map(|data| Recorded::Write { fd, data }));
                return;
            }
            FdCommand::Close(CloseReason::Aborted) => Recorded::Abort { fd },
            FdCommand::Close(CloseReason::Cut) => Recorded::Cut { fd },
            // The latter to the reading half of a terminal, in `lose_connection`.
            FdCommand::Close(CloseReason::ByParent) | FdCommand::Discard => Recorded::Close { fd },
            FdCommand::Pause(true) => Recorded::Pause { fd },
            FdCommand::Pause(false) => Recorded::Resume { fd },
            FdCommand::Close(_) | FdCommand::Reaped => return,
        };
        lock(&self.commands).push(recorded);
    }
}

/// The way from a handle to the record of one descriptor.
pub(super) struct RecordedFd {
    pub(super) fd: i32,
    pub(super) recorder: Arc<Recorder>,
}

/// The commands are shown by the recorder.
impl fmt::Debug for RecordedFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedFd")
            .field("fd", &self.fd)
            .finish_non_exhaustive()
    }
}

impl Route for RecordedFd {
    fn send(&self, command: FdCommand) {
        self.recorder.fd_command(self.fd, command);
    }

    fn keeps_a_queue(&self) -> bool {
        false
    }
}

impl Terminal for Recorder {
    fn set_size(&self, size: PtySize) -> io::Result<()> {
        lock(&self.commands).push(Recorded::Resize(size));
        Ok(())
    }

    fn end_of_input(&self) -> Option<u8> {
        None
    }

    fn modes(&self) -> io::Result<Option<TerminalModes>> {
        Ok(None)
    }
}
