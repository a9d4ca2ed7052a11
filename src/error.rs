//! The errors of the crate: which step failed, and on what.

use std::fmt;
use std::io;

/// The step of a spawn that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpawnStep {
    /// The command itself makes no sense: a NUL byte, an empty program, a descriptor named twice.
    Invalid,
    /// Making, checking or placing descriptors.
    Fds,
    /// Opening or setting up a terminal, or making it the child's own.
    Pty,
    /// Taking on a session, a process group, a user, groups, or a tie to the parent's life.
    Identity,
    /// Setting a limit, a priority, the umask or the cgroup.
    Limits,
    /// Changing to the working directory.
    Cwd,
    /// The kernel made no process: too many of them, or no memory.
    Clone,
    /// Executing the program.
    Exec,
    /// Everything in this process: no System, a supervisor, arbiter or protocol that is gone or
    /// shuts down, a cancelled spawn, or a descriptor that epoll refused.
    Register,
}

/// Why there is no child.
///
/// Nothing is left of the attempt: no descriptor, no process, no zombie, no thread, and no event
/// was or will be sent.
///
/// ```
/// use actix_process::{Command, NoProtocol, SpawnStep};
///
/// # actix::System::new().block_on(async {
/// let error = Command::new("no-such-program").spawn(NoProtocol).await.unwrap_err();
/// assert_eq!(error.step(), SpawnStep::Exec);
/// assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::NotFound);
/// # });
/// ```
#[derive(Debug)]
pub struct SpawnError {
    step: SpawnStep,
    errno: Option<i32>,
    subject: String,
    detail: String,
    source: Option<io::Error>,
}

impl SpawnError {
    pub(crate) fn invalid(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            step: SpawnStep::Invalid,
            errno: None,
            subject: subject.into(),
            detail: detail.into(),
            source: None,
        }
    }

    pub(crate) fn identity(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            step: SpawnStep::Identity,
            ..Self::invalid(subject, detail)
        }
    }

    pub(crate) fn pty(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            step: SpawnStep::Pty,
            ..Self::invalid(subject, detail)
        }
    }

    pub(crate) fn limits(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            step: SpawnStep::Limits,
            ..Self::invalid(subject, detail)
        }
    }

    pub(crate) fn register(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            step: SpawnStep::Register,
            ..Self::invalid(subject, detail)
        }
    }

    pub(crate) fn new(step: SpawnStep, subject: impl Into<String>, source: io::Error) -> Self {
        Self {
            step,
            errno: source.raw_os_error(),
            subject: subject.into(),
            detail: String::new(),
            source: Some(source),
        }
    }

    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The step that failed.
    #[must_use]
    pub const fn step(&self) -> SpawnStep {
        self.step
    }

    /// The kernel's error number, where the kernel said no.
    #[must_use]
    pub const fn errno(&self) -> Option<i32> {
        self.errno
    }

    /// On what the step failed: a path, "fd 7", an environment variable's name.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What more is known, or the empty string: "is a directory", "its interpreter /bin/x is
    /// missing".
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            SpawnStep::Invalid => "invalid command",
            SpawnStep::Fds => "cannot set up descriptors",
            SpawnStep::Pty => "cannot set up a terminal",
            SpawnStep::Identity => "cannot take on identity",
            SpawnStep::Limits => "cannot set limit",
            SpawnStep::Cwd => "cannot change directory",
            SpawnStep::Clone => "cannot make a process",
            SpawnStep::Exec => "cannot execute",
            SpawnStep::Register => "cannot register",
        };
        write!(f, "{step}: {}", self.subject)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}

impl From<SpawnError> for io::Error {
    /// Keeps the kind: that of the errno, `InvalidInput` for [`SpawnStep::Invalid`].
    fn from(error: SpawnError) -> Self {
        let kind = match (&error.source, error.step) {
            (Some(source), _) => source.kind(),
            (None, SpawnStep::Invalid) => io::ErrorKind::InvalidInput,
            (None, _) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

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
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SignalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
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

impl std::error::Error for WriteError {}

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

impl std::error::Error for ProducerError {}

/// Why there is no stream to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError {
    /// The child has no such descriptor, or it is no [`Fd::stream`](crate::Fd::stream).
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

impl std::error::Error for StreamError {}

/// Why a terminal has kept its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResizeError {
    /// The child was not spawned on a [`pty`](crate::Command::pty).
    NoTerminal,
    /// The terminal is closed: by us, or because the child closed its end.
    Closed,
}

impl fmt::Display for ResizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTerminal => "the child has no terminal",
            Self::Closed => "the terminal is closed",
        })
    }
}

impl std::error::Error for ResizeError {}

/// The end of the process will never be told: the [`TestProcess`](crate::testing::TestProcess) that
/// it stands for is gone. A real child's end is always told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone(pub(crate) ());

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody is left to tell the end of the process")
    }
}

impl std::error::Error for Gone {}
