//! Running a child to its end and collecting what it says: Twisted's `getProcessOutput` and
//! `getProcessValue`.

mod collector;
mod result;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use crate::command::Command;
use crate::command::fd_map::Fd;
use crate::command::group::GroupChoice;
use crate::port::kept::Keep;
use crate::status::ExitStatus;

use collector::{Collected, collect};
pub use result::{CollectError, Output};

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
    keep: Keep,
    /// The child is killed when more than so many bytes of an output have come.
    most: Option<usize>,
    merge: bool,
    group: GroupChoice,
}

impl Recipe {
    /// What is kept of each output.
    const fn keep(&self) -> Keep {
        match (self.keep, self.most) {
            (Keep { first, last: 0 }, Some(most)) if first > most => Keep::first(most),
            (keep, _) => keep,
        }
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
                keep: Keep::first(usize::MAX),
                most: None,
                merge: false,
                group: GroupChoice::Fitting,
            },
            finish,
        }
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
        self.recipe.group = GroupChoice::Own;
        self
    }

    /// Runs the child in this program's process group, also without a terminal: a timeout and a drop reach the
    /// child alone, and what the child leaves runs on. Without effect on a child that has a session or a
    /// terminal of its own.
    pub const fn foreground(mut self) -> Self {
        self.recipe.group = GroupChoice::Ours;
        self
    }

    /// Keeps at most the first `bytes` of each output. The rest is read, counted and thrown away, so that the child
    /// runs on, and [`Output::truncated`] says so. Unlimited unless set. Of this and [`keep_ends`](Self::keep_ends) the later call
    /// counts; [`output_limit_kills`](Self::output_limit_kills) kills a child that writes too much.
    pub const fn output_limit(mut self, bytes: usize) -> Self {
        self.recipe.keep = Keep::first(bytes);
        self
    }

    /// Keeps at most the first `bytes` and the last `bytes` of each output: how it began, and what it came to. What lies between
    /// is read, counted and thrown away, and the child runs on. An output of no more than twice `bytes` is whole.
    ///
    /// Where [`Output::stdout_left_out`] is not 0, so many bytes are missing after the first `bytes` of [`Output::stdout`]; and so
    /// for standard error.
    ///
    /// ```
    /// # use actix_process::Command;
    /// # actix::System::new().block_on(async {
    /// let seq = Command::new("seq").arg("1000").output().keep_ends(6).await?;
    /// assert_eq!(seq.stdout, b"1\n2\n3\n\n1000\n");
    /// assert_eq!(seq.stdout_left_out, 3881);
    /// # Ok::<(), actix_process::CollectError>(()) }).unwrap();
    /// ```
    pub const fn keep_ends(mut self, bytes: usize) -> Self {
        self.recipe.keep = Keep::ends(bytes);
        self
    }

    /// Kills the child when more than `bytes` of one of its outputs have come: SIGKILL at once, to it and to the process group
    /// that it leads. The result is then [`CollectError::OutputLimit`], with the first `bytes` of each output, or with what
    /// [`output_limit`](Self::output_limit) or [`keep_ends`](Self::keep_ends) keeps. It is the same for a child that
    /// ends by itself before it can be killed.
    ///
    /// The child may write more than `bytes` before it is killed; what is kept is bounded all the same. While nobody polls the
    /// future, the child is not killed. The result comes no later than 2 seconds after the SIGKILL; descendants elsewhere that hold
    /// the pipes are not waited for. If the [`timeout`](Self::timeout) is up before, it is [`CollectError::TimedOut`].
    ///
    /// ```
    /// # use actix_process::{CollectError, Command};
    /// # actix::System::new().block_on(async {
    /// let result = Command::new("yes").output().output_limit_kills(1000).await;
    /// let Err(CollectError::OutputLimit(output)) = result else {
    ///     panic!("it is endless");
    /// };
    /// assert_eq!(output.stdout.len(), 1000);
    /// # });
    /// ```
    pub const fn output_limit_kills(mut self, bytes: usize) -> Self {
        self.recipe.most = Some(bytes);
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
