//! Running a child to its end and collecting what it says: Twisted's `getProcessOutput` and
//! `getProcessValue`.

mod collector;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use crate::command::Command;
use crate::command::fd_map::Fd;
use crate::command::group::Group;
use crate::error::SpawnError;
use crate::handle::ProcessHandle;
use crate::port::kept::Keep;
use crate::status::ExitStatus;
use crate::text::Escaped;

use collector::{Collected, collect};

/// What a child wrote, and how it ended. `Debug` shows all of it, as text where it is UTF-8.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// How the child ended.
    pub status: ExitStatus,
    /// What the child wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What the child wrote to its standard error.
    pub stderr: Vec<u8>,
    /// Whether the child wrote more to one of them than [`Collect::output_limit`] allows.
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

/// Why there is no result. Where there was a child, the error holds its status and what was collected; `Debug`
/// shows of that only how much it is.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// There was no child.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The time was up. A child that had not exited by then was terminated. If it hung in its exec, nothing was
    /// collected and the status is unknown. If it could not be killed, the status is
    /// [`ExitStatus::StillRunning`].
    #[error("timed out ({})", .0.status)]
    TimedOut(Box<Output>),
    /// The child wrote to its standard error, which [`Command::read`] does not allow. The error's text ends with
    /// what it wrote, with what does not print escaped.
    #[error("wrote to its standard error ({}){}", .0.status, complaint(.0))]
    Stderr(Box<Output>),
    /// The arbiter where the child's actors lived stopped before all output was collected (the one on which the
    /// helper was awaited, or that of [`Command::on`]), or the supervisor did. The part that was collected is
    /// not given, and the child is killed. Where nothing is collected, as for [`Command::status`], the status is
    /// given as ever.
    #[error("the arbiter that collected is gone")]
    Gone,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes| std::str::from_utf8(bytes);
        let mut output = f.debug_struct("Output");
        output.field("status", &self.status);
        for (name, bytes) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            match text(bytes) {
                Ok(text) => output.field(name, &text),
                Err(_) => output.field(name, bytes),
            };
        }
        output.field("truncated", &self.truncated).finish()
    }
}

/// An output of which only the sizes show.
struct Sizes<'a>(&'a Output);

impl fmt::Debug for Sizes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("status", &self.0.status)
            .field("stdout", &format_args!("{} bytes", self.0.stdout.len()))
            .field("stderr", &format_args!("{} bytes", self.0.stderr.len()))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CollectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spawn(error) => f.debug_tuple("Spawn").field(error).finish(),
            Self::TimedOut(output) => f.debug_tuple("TimedOut").field(&Sizes(output)).finish(),
            Self::Stderr(output) => f.debug_tuple("Stderr").field(&Sizes(output)).finish(),
            Self::Gone => f.write_str("Gone"),
        }
    }
}

/// What a child complained of, for the end of a text.
fn complaint(output: &Output) -> String {
    match String::from_utf8_lossy(&output.stderr).trim_end() {
        // Nothing of it was kept.
        "" => String::new(),
        said => format!(": {}", Escaped(said)),
    }
}

/// A child about to be run to its end; `.await` runs it, on any thread.
///
/// The thread that polls first decides where the child belongs, as the thread that calls [`Command::spawn`]
/// does.
///
/// A `Collect` is no future itself: `join` and `select` take its [`into_future`](IntoFuture::into_future), as in
/// `join!(a.output().into_future(), b.output().into_future())`.
///
/// The child's standard input is `/dev/null` unless [`input`](Self::input) is given or the command says
/// otherwise. So is every other descriptor that would be written ([`Fd::write`]): nobody has a handle to close
/// it. On a terminal ([`Command::pty`]) which is read by lines the end of input is typed, once, at the start. A
/// program that reads key by key, or once more after the end, waits for ever there, unless there is a
/// [`timeout`](Self::timeout).
///
/// Dropping the future kills the child, and it is reaped. The child does not wait for the future: what it writes is read
/// and kept also while nobody polls. [`output_limit`](Self::output_limit) bounds the memory that takes;
/// [`window`](Command::window) has no effect.
///
/// The child runs in a process group of its own. So a timeout and a drop reach all that it has started, and what
/// it leaves there when it exits is killed ([`on_leftovers`](Command::on_leftovers)). But while this program is
/// in the foreground of its terminal, the child stays in this program's group: there it may ask for a password
/// on `/dev/tty`, and gets Ctrl-C with everybody else. A timeout and a drop reach the child alone then, and what
/// it leaves runs on. (So does, after a Ctrl-C, a process that ignores SIGINT: a job that a script of `sh`
/// starts by `&`.)
///
/// What the command itself says ([`process_group`](Command::process_group), [`setsid`](Command::setsid),
/// [`pty`](Command::pty)) goes before both; [`own_group`](Self::own_group) and [`foreground`](Self::foreground)
/// go before that.
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

#[derive(Clone)]
struct Recipe {
    input: Option<Bytes>,
    timeout: Option<Duration>,
    grace: Duration,
    limit: usize,
    merge: bool,
    group: Group,
    on_child: Option<OnChild>,
}

/// Is told of the child, once it is there.
type OnChild = Arc<dyn Fn(&ProcessHandle) + Send + Sync>;

impl Recipe {
    /// What is kept of each output.
    const fn keep(&self) -> Keep {
        Keep::first(self.limit)
    }
}

/// Of the input only how much it is.
impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipe")
            .field("input", &self.input.as_ref().map(Bytes::len))
            .field("timeout", &self.timeout)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

impl Command {
    /// Runs the child to its end and gives all that it wrote, and its status.
    ///
    /// # Errors
    ///
    /// The future gives [`CollectError::Spawn`] if there is no child, [`CollectError::TimedOut`] after a
    /// [`timeout`](Collect::timeout), and [`CollectError::Gone`] if the child's arbiter or supervisor is gone. A
    /// status that is no success is no error.
    pub fn output(&self) -> Collect<Output> {
        Collect::new(self.clone(), |collected| Ok(collected.output))
    }

    /// Runs the child to its end and gives its status. Standard output and error go to `/dev/null`
    /// unless the command maps them to something other than a pipe that this program reads.
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
                group: Group::Fitting,
                on_child: None,
            },
            finish,
        }
    }

    /// Tells of the child when it is there.
    pub(crate) fn on_child(mut self, on_child: OnChild) -> Self {
        self.recipe.on_child = Some(on_child);
        self
    }

    /// Writes `input` to the child's standard input and closes it, in place of what the command has there. A
    /// child that does not read it all is no error. With a [`pty`](Command::pty), whose input cannot be closed
    /// alone, the spawn fails at [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
    pub fn input(mut self, input: impl Into<Bytes>) -> Self {
        self.recipe.input = Some(input.into());
        self
    }

    /// Terminates the child after `timeout`, and the process group that it leads, to its last member: SIGTERM,
    /// [`grace`](Self::grace), SIGKILL. The result is then [`CollectError::TimedOut`], with what was collected
    /// until they were gone. It does not wait for other descendants that hold the child's pipes.
    ///
    /// The result comes at the latest 2 seconds after the SIGKILL. A child that may not be killed (sudo, say) or
    /// cannot die is [`ExitStatus::StillRunning`] then. It is reaped when it dies.
    ///
    /// The time is that of the whole result, so it also runs out for a child that has exited while a descendant
    /// holds its pipes: that is `TimedOut`, with the child's own status. A [`Command::ended_timeout`] ends the
    /// wait for that descendant without an error.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.recipe.timeout = Some(timeout);
        self
    }

    /// How long the child has from SIGTERM to SIGKILL after a timeout; 5 seconds unless set.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.recipe.grace = grace;
        self
    }

    /// Runs the child in a process group of its own, also in the foreground of a terminal. There it can
    /// neither read from the terminal (SIGTTIN stops it) nor get its Ctrl-C.
    pub const fn own_group(mut self) -> Self {
        self.recipe.group = Group::Own;
        self
    }

    /// Runs the child in this program's process group, also without a terminal: a timeout and a drop reach the
    /// child alone, and what the child leaves runs on. Without effect on a child that has a session or a
    /// terminal of its own.
    pub const fn foreground(mut self) -> Self {
        self.recipe.group = Group::Ours;
        self
    }

    /// Keeps at most `bytes` of each stream. The rest is read and thrown away, so that the child
    /// runs on, and [`Output::truncated`] says so. Unlimited unless set.
    pub const fn output_limit(mut self, bytes: usize) -> Self {
        self.recipe.limit = bytes;
        self
    }

    /// Collects standard error with standard output, in the order in which the child writes.
    ///
    /// The child's 2 becomes the same as its 1, wherever that leads ([`Fd::same_as`]) and whatever the
    /// command has at 2: as `2>&1`.
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
