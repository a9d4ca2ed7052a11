//! The errors of the crate, and on what each step failed.

use std::io;

pub use crate::spawn_error::{SpawnError, SpawnStep};

/// Why a signal was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignalError {
    /// The child has been reaped. Another process may have its pid, and its group's number, by now.
    #[error("the process has exited")]
    Exited,
    /// The child runs as a user whose processes this program may not signal.
    #[error("not permitted to signal the process")]
    NotPermitted,
    /// The child leads no process group, so no group is surely its own.
    #[error("the process leads no process group")]
    NotGroupLeader,
    /// The kernel refused the signal for another reason, which the text gives.
    #[error("cannot signal the process: {0}")]
    Io(io::Error),
}

/// Why this program cannot write to a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The child has no such descriptor, or it is not one that this program writes.
    #[error("fd {fd} is not piped for writing")]
    NotWritable {
        /// The child's descriptor.
        fd: i32,
    },
    /// The descriptor is closed: this side closed it, or the child closed its end.
    #[error("fd {fd} is closed")]
    Closed {
        /// The child's descriptor.
        fd: i32,
    },
}

impl From<WriteError> for io::Error {
    /// `BrokenPipe` for [`WriteError::Closed`], `InvalidInput` for [`WriteError::NotWritable`].
    fn from(error: WriteError) -> Self {
        let kind = match error {
            WriteError::NotWritable { .. } => io::ErrorKind::InvalidInput,
            WriteError::Closed { .. } => io::ErrorKind::BrokenPipe,
        };
        Self::new(kind, error)
    }
}

/// Why a producer was not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProducerError {
    /// This program cannot write to the descriptor.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The descriptor has a producer already.
    #[error("fd {fd} has a producer already")]
    AlreadyRegistered {
        /// The child's descriptor.
        fd: i32,
    },
}

/// Why there is no stream to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The child has no such descriptor, or it is no [`Fd::stream`](crate::Fd::stream) (a terminal: no
    /// [`Pty::stream`](crate::Pty::stream)).
    #[error("fd {fd} is not read as a stream")]
    NotStream {
        /// The child's descriptor.
        fd: i32,
    },
    /// The stream was taken before.
    #[error("the stream of fd {fd} was taken before")]
    Taken {
        /// The child's descriptor.
        fd: i32,
    },
}

/// Why a terminal has kept its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResizeError {
    /// The child was not spawned on a [`pty`](crate::Command::pty).
    #[error("the child has no terminal")]
    NoTerminal,
    /// The terminal is closed: this side closed it, or the child closed its end.
    #[error("the terminal is closed")]
    Closed,
    /// The kernel refused the new size.
    #[error("cannot set the terminal's size: {}", io::Error::from_raw_os_error(*errno))]
    Failed {
        /// The kernel's error number.
        errno: i32,
    },
}
