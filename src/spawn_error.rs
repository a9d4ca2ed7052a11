//! Why there is no child: which step of its spawn failed, and on what.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::id::ProcessId;
use crate::text::Escaped;

/// The step of a spawn that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpawnStep {
    /// The command cannot be carried out as it is: a NUL byte, an empty program, a descriptor named twice.
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
    /// Something in this process: a System, supervisor, arbiter or protocol that is gone or shuts
    /// down, an arbiter that cannot be started, a cancelled spawn, or a descriptor that epoll refused.
    Register,
}

/// Why there is no child.
///
/// Nothing is left of the attempt: no descriptor, no process, no zombie, no thread, and no event
/// was or will be sent.
///
/// The text is one line, with the kernel's words; characters that do not print are escaped. It holds all that may be shown to
/// anybody, so [`source`](Error::source) does not repeat it. Neither the text
/// nor `Debug` shows arguments, values of the environment, or PATH. Where PATH was searched,
/// [`detail`](Self::detail) shows it.
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
    /// In the text, in place of a detail that is not for every reader.
    shown: Option<String>,
    source: Option<io::Error>,
    /// The number that the child would have had.
    id: Option<ProcessId>,
    name: Option<Arc<str>>,
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
            id: None,
            name: None,
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
            source: Some(source),
            ..Self::invalid(subject, "")
        }
    }

    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// A detail for a caller of [`detail`](Self::detail); the text has `shown` instead.
    pub(crate) fn with_private_detail(self, detail: String, shown: String) -> Self {
        Self {
            shown: Some(shown),
            ..self.with_detail(detail)
        }
    }

    /// Says to which spawn the error belongs.
    pub(crate) fn of(self, id: Option<ProcessId>, name: Option<Arc<str>>) -> Self {
        Self { id, name, ..self }
    }

    /// The detail for the text.
    fn shown(&self) -> &str {
        self.shown.as_deref().unwrap_or(&self.detail)
    }

    /// The step that failed.
    #[must_use]
    pub const fn step(&self) -> SpawnStep {
        self.step
    }

    /// The kernel's error number, if the kernel refused the step.
    #[must_use]
    pub const fn errno(&self) -> Option<i32> {
        self.errno
    }

    /// The [`name`](crate::Command::name) that the command gave the child; `None` if it gave none.
    /// The error's text begins with it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The number that the child would have had, which [`Spawning::id`](crate::Spawning::id) and
    /// [`Command::spawn_in`](crate::Command::spawn_in) gave before. `None` for the error of
    /// [`ProcessSupervisor::current`](crate::ProcessSupervisor::current), which concerns no child.
    #[must_use]
    pub const fn id(&self) -> Option<ProcessId> {
        self.id
    }

    /// What the step failed on: a path, "fd 7", an environment variable's name. It is not escaped, so it may hold characters
    /// that do not print.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What else is known, or the empty string: "/x is a directory", "the interpreter of /x,
    /// /bin/y, is missing". After a search for a bare name the detail has the paths of PATH, where the error's text
    /// has "element 2 of PATH".
    ///
    /// The detail is what this program saw when it looked after the failure. A child that was to run as another
    /// user may have seen something else, so the detail says nothing about files then.
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
        if let Some(name) = &self.name {
            write!(f, "{}: ", Escaped(name))?;
        }
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
            .field("name", &self.name)
            .field("id", &self.id)
            .field("step", &self.step)
            .field("errno", &self.errno)
            .field("subject", &self.subject)
            .field("detail", &self.shown())
            .field("source", &self.source)
            .finish()
    }
}

impl Error for SpawnError {
    /// The source of the kernel's error; the text has the error itself.
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
