//! The errors of the crate, and on what each step failed.

use std::error::Error;
use std::fmt;
use std::io;

pub use crate::spawn_error::{SpawnError, SpawnStep};

/// Why a signal was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum SignalError {
    /// The child has been reaped. Its pid, and its group's, may be somebody else's by now.
    Exited,
    /// The child runs as a user whom we may not signal.
    NotPermitted,
    /// The child leads no process group, so there is none that is surely its own.
    NotGroupLeader,
    /// What else the kernel said.
    Io(io::Error),
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited => f.write_str("the process has exited"),
            Self::NotPermitted => f.write_str("not permitted to signal the process"),
            Self::NotGroupLeader => f.write_str("the process leads no process group"),
            Self::Io(error) => write!(f, "cannot signal the process: {error}"),
        }
    }
}

impl Error for SignalError {
    /// What is below the kernel's error, which the text has.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            _ => None,
        }
    }
}

/// Why bytes were not taken for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// The child has no such descriptor that we write to.
    NotWritable {
        /// The child's descriptor.
        fd: i32,
    },
    /// It was closed before: by us, or because the child closed its end.
    Closed {
        /// The child's descriptor.
        fd: i32,
    },
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWritable { fd } => write!(f, "fd {fd} is not piped for writing"),
            Self::Closed { fd } => write!(f, "fd {fd} is closed"),
        }
    }
}

impl Error for WriteError {}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProducerError {
    /// The child has no such descriptor that we write to.
    NotWritable {
        /// The child's descriptor.
        fd: i32,
    },
    /// It was closed before: by us, or because the child closed its end.
    Closed {
        /// The child's descriptor.
        fd: i32,
    },
    /// It has a producer already.
    AlreadyRegistered {
        /// The child's descriptor.
        fd: i32,
    },
}

impl fmt::Display for ProducerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWritable { fd } => write!(f, "fd {fd} is not piped for writing"),
            Self::Closed { fd } => write!(f, "fd {fd} is closed"),
            Self::AlreadyRegistered { fd } => write!(f, "fd {fd} has a producer already"),
        }
    }
}

impl Error for ProducerError {}

/// Why there is no stream to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError {
    /// The child has no such descriptor, or it is no [`Fd::stream`](crate::Fd::stream) (a terminal: no
    /// [`Pty::stream`](crate::Pty::stream)).
    NotStream {
        /// The child's descriptor.
        fd: i32,
    },
    /// Somebody took it before.
    Taken {
        /// The child's descriptor.
        fd: i32,
    },
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStream { fd } => write!(f, "fd {fd} is not read as a stream"),
            Self::Taken { fd } => write!(f, "the stream of fd {fd} was taken before"),
        }
    }
}

impl Error for StreamError {}

/// Why a terminal has kept its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResizeError {
    /// The child was not spawned on a [`pty`](crate::Command::pty).
    NoTerminal,
    /// The terminal is closed: by us, or because the child closed its end.
    Closed,
    /// The kernel refused it.
    Failed {
        /// The kernel's error number.
        errno: i32,
    },
}

impl fmt::Display for ResizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTerminal => f.write_str("the child has no terminal"),
            Self::Closed => f.write_str("the terminal is closed"),
            Self::Failed { errno } => {
                let error = io::Error::from_raw_os_error(*errno);
                write!(f, "cannot set the terminal's size: {error}")
            }
        }
    }
}

impl Error for ResizeError {}

/// The end of the process will never be told: the [`TestProcess`](crate::testing::TestProcess) that
/// it stands for is gone, or this process is a copy, by fork, of the child's parent. There a real child's
/// end is always told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone(pub(crate) ());

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody is left to tell the end of the process")
    }
}

impl Error for Gone {}
