//! The errors of the crate: which step failed, and on what.

use std::error::Error;
use std::fmt;
use std::io;

use crate::text::Escaped;

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
/// Its text has everything that is for everybody's eyes, the kernel's words included, in one line:
/// what does not print is escaped. So [`source`](Error::source) has nothing of it again. Neither it
/// nor `Debug` shows arguments, values of the environment, or PATH; where PATH was searched,
/// [`detail`](Self::detail) tells of it.
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
pub struct SpawnError {
    step: SpawnStep,
    errno: Option<i32>,
    subject: String,
    detail: String,
    /// In place of a detail that not everybody shall see.
    shown: Option<String>,
    source: Option<io::Error>,
}

impl SpawnError {
    pub(crate) fn invalid(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            step: SpawnStep::Invalid,
            errno: None,
            subject: subject.into(),
            detail: detail.into(),
            shown: None,
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
            shown: None,
            source: Some(source),
        }
    }

    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// A detail that is only for who asks for it; everybody sees `shown`.
    pub(crate) fn with_private_detail(self, detail: String, shown: String) -> Self {
        Self {
            shown: Some(shown),
            ..self.with_detail(detail)
        }
    }

    /// The detail that everybody may see.
    fn shown(&self) -> &str {
        self.shown.as_deref().unwrap_or(&self.detail)
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

    /// On what the step failed: a path, "fd 7", an environment variable's name. As it was given:
    /// a name may hold what does not print.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What more is known, or the empty string: "/x is a directory", "the interpreter of /x,
    /// /bin/y, is missing". What a search for a bare name found is told with the paths, PATH among
    /// them, for which the error's text has "element 2 of PATH".
    ///
    /// It is what this program saw when it looked after the failure. A child that was to be another
    /// user may have seen something else, so nothing is said of its files.
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
        write!(f, "{step}: {}", Escaped(&self.subject))?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        match self.shown() {
            "" => Ok(()),
            shown => write!(f, ": {}", Escaped(shown)),
        }
    }
}

impl fmt::Debug for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnError")
            .field("step", &self.step)
            .field("errno", &self.errno)
            .field("subject", &self.subject)
            .field("detail", &self.shown())
            .field("source", &self.source)
            .finish()
    }
}

impl Error for SpawnError {
    /// What is below the kernel's error, which the text has.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref()?.source()
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
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignalError {
    /// The child has been reaped. Its pid, and its group's, may be somebody else's by now.
    #[error("the process has exited")]
    Exited,
    /// The child runs as a user whom we may not signal.
    #[error("not permitted to signal the process")]
    NotPermitted,
    /// The child leads no process group, so there is none that is surely its own.
    #[error("the process leads no process group")]
    NotGroupLeader,
    /// What else the kernel said, which the text has.
    #[error("cannot signal the process: {0}")]
    Io(io::Error),
}

/// That a descriptor is not, or no longer, ours to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The child has no such descriptor that we write to.
    #[error("fd {fd} is not piped for writing")]
    NotWritable {
        /// The child's descriptor.
        fd: i32,
    },
    /// It was closed before: by us, or because the child closed its end.
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
    /// The descriptor is not, or no longer, ours to write.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// It has a producer already.
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
    /// The child has no such descriptor, or it is no [`Fd::stream`](crate::Fd::stream).
    #[error("fd {fd} is not read as a stream")]
    NotStream {
        /// The child's descriptor.
        fd: i32,
    },
    /// Somebody took it before.
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
    /// The terminal is closed: by us, or because the child closed its end.
    #[error("the terminal is closed")]
    Closed,
    /// The kernel refused it.
    #[error("cannot set the terminal's size: {}", io::Error::from_raw_os_error(*errno))]
    Failed {
        /// The kernel's error number.
        errno: i32,
    },
}
