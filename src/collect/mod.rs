//! Running a child to its end and collecting what it says: Twisted's `getProcessOutput` and
//! `getProcessValue`.

mod collector;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use crate::command::Command;
use crate::error::SpawnError;
use crate::fds::Fd;
use crate::status::ExitStatus;

use collector::{Collected, collect};

/// What a child wrote, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
    /// Whether it wrote more to one of them than [`Collect::output_limit`] allows.
    pub truncated: bool,
}

impl Output {
    const fn empty() -> Self {
        Self {
            status: ExitStatus::Unknown,
            stdout: Vec::new(),
            stderr: Vec::new(),
            truncated: false,
        }
    }
}

/// Why there is no result. Where there was a child, what was collected and how it ended is in it.
#[derive(Debug)]
#[non_exhaustive]
pub enum CollectError {
    /// There was no child.
    Spawn(SpawnError),
    /// The time was up, and the child was terminated, if it had not exited by itself. If it hung
    /// in its exec, nothing was collected and the status is unknown.
    TimedOut(Box<Output>),
    /// It wrote to its standard error, which [`Command::read`] does not allow.
    Stderr(Box<Output>),
    /// The arbiter on which it was awaited is gone. Nothing of the output is left.
    Gone,
}

impl fmt::Display for CollectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spawn(error) => error.fmt(f),
            Self::TimedOut(output) => write!(f, "timed out ({})", output.status),
            Self::Stderr(output) => {
                write!(f, "wrote to its standard error ({})", output.status)?;
                match String::from_utf8_lossy(&output.stderr).trim_end() {
                    // Nothing of it was kept.
                    "" => Ok(()),
                    said => write!(f, ": {said}"),
                }
            }
            Self::Gone => f.write_str("the arbiter that collected is gone"),
        }
    }
}

impl std::error::Error for CollectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Spawn(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SpawnError> for CollectError {
    fn from(error: SpawnError) -> Self {
        Self::Spawn(error)
    }
}

/// A child about to be run to its end; `.await` runs it, on an arbiter.
///
/// It is no future itself: `join` and `select` take its [`into_future`](IntoFuture::into_future).
/// Its standard input is `/dev/null` unless [`input`](Self::input) is given or the command says
/// otherwise. Dropping the future kills the child, and it is reaped.
///
/// ```
/// use actix_process::Command;
/// use std::time::Duration;
///
/// # actix::System::new().block_on(async {
/// let sorted = Command::new("sort")
///     .output()
///     .input("b\na\n")
///     .timeout(Duration::from_secs(10))
///     .await?;
/// assert_eq!(sorted.stdout, b"a\nb\n");
/// assert!(sorted.status.success());
/// # Ok::<(), actix_process::CollectError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing runs unless it is awaited"]
pub struct Collect<T> {
    command: Command,
    recipe: Recipe,
    finish: fn(Collected) -> Result<T, CollectError>,
}

#[derive(Debug, Clone)]
struct Recipe {
    input: Option<Bytes>,
    timeout: Option<Duration>,
    grace: Duration,
    limit: usize,
    merge: bool,
}

impl Command {
    /// Runs the child to its end and gives all that it wrote, and its status.
    ///
    /// # Errors
    ///
    /// The future gives [`CollectError::Spawn`], also outside of an arbiter;
    /// [`CollectError::TimedOut`] only with a [`timeout`](Collect::timeout); and
    /// [`CollectError::Gone`]. A status that is no success is no error.
    pub fn output(&self) -> Collect<Output> {
        Collect::new(self.clone(), |collected| Ok(collected.output))
    }

    /// Runs the child to its end and gives its status. Standard output and error go to `/dev/null`
    /// unless the command says otherwise, by something that is no pipe to us.
    ///
    /// ```
    /// # use actix_process::Command;
    /// # actix::System::new().block_on(async {
    /// let status = Command::new("false").status().await?;
    /// assert_eq!(status.code(), Some(1));
    /// # Ok::<(), actix_process::CollectError>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`output`](Self::output).
    pub fn status(&self) -> Collect<ExitStatus> {
        let quiet =
            [1, 2]
                .into_iter()
                .fold(self.clone(), |command, n| match command.fd_map().get(n) {
                    Some(fd) if fd.is_read() => command.fd(n, Fd::null()),
                    _ => command,
                });
        Collect::new(quiet, |collected| Ok(collected.output.status))
    }

    /// Runs the child to its end and gives what it wrote to its standard output, as Twisted's
    /// `getProcessOutput`: a byte on its standard error is an error ([`CollectError::Stderr`])
    /// unless [`merged`](Collect::merge_stderr). The exit status is told but not judged.
    ///
    /// ```
    /// # use actix_process::{CollectError, Command};
    /// # actix::System::new().block_on(async {
    /// let name = Command::new("uname").read().await?;
    /// assert_eq!(name.stdout, b"Linux\n");
    ///
    /// let refused = Command::new("ls").arg("/no/such/file").read().await;
    /// assert!(matches!(refused, Err(CollectError::Stderr(_))));
    /// # Ok::<(), CollectError>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`CollectError::Stderr`], at the child's end; otherwise as [`output`](Self::output).
    pub fn read(&self) -> Collect<Output> {
        Collect::new(self.clone(), |collected| {
            if collected.complained {
                Err(CollectError::Stderr(Box::new(collected.output)))
            } else {
                Ok(collected.output)
            }
        })
    }
}

impl<T> Collect<T> {
    fn new(command: Command, finish: fn(Collected) -> Result<T, CollectError>) -> Self {
        Self {
            command,
            recipe: Recipe {
                input: None,
                timeout: None,
                grace: Duration::from_secs(5),
                limit: usize::MAX,
                merge: false,
            },
            finish,
        }
    }

    /// Writes `input` to the child's standard input and closes it. A child that does not read it
    /// all is no error. Refused with a [`pty`](Command::pty), whose input cannot be closed alone.
    pub fn input(mut self, input: impl Into<Bytes>) -> Self {
        self.recipe.input = Some(input.into());
        self
    }

    /// Terminates the child after `timeout`: SIGTERM, [`grace`](Self::grace), SIGKILL; to its
    /// process group if it leads one. The result is then [`CollectError::TimedOut`], with what was
    /// collected until the child's death; heirs of its pipes are not waited for.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.recipe.timeout = Some(timeout);
        self
    }

    /// How long the child has from SIGTERM to SIGKILL after a timeout; 5 seconds unless set.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.recipe.grace = grace;
        self
    }

    /// Keeps at most `bytes` of each stream. The rest is read and thrown away, so that the child
    /// runs on, and [`Output::truncated`] says so. Unlimited unless set.
    pub const fn output_limit(mut self, bytes: usize) -> Self {
        self.recipe.limit = bytes;
        self
    }

    /// Collects standard error with standard output, in the order of arrival.
    pub const fn merge_stderr(mut self) -> Self {
        self.recipe.merge = true;
        self
    }
}

impl<T: 'static> IntoFuture for Collect<T> {
    type Output = Result<T, CollectError>;
    type IntoFuture = Collecting<T>;

    fn into_future(self) -> Collecting<T> {
        Collecting {
            future: Some(Box::pin(async move {
                (self.finish)(collect(self.command, self.recipe).await?)
            })),
        }
    }
}

/// The future of a [`Collect`]. Dropping it kills the child. Polled after its result it is pending
/// for ever.
#[must_use = "nothing runs unless it is awaited"]
pub struct Collecting<T> {
    /// Until it has given its result.
    future: Option<Running<T>>,
}

type Running<T> = Pin<Box<dyn Future<Output = Result<T, CollectError>> + Send>>;

impl<T> Future for Collecting<T> {
    type Output = Result<T, CollectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = &mut self.future else {
            return Poll::Pending;
        };
        let result = ready!(future.as_mut().poll(cx));
        self.future = None;
        Poll::Ready(result)
    }
}

impl<T> fmt::Debug for Collecting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collecting").finish_non_exhaustive()
    }
}
