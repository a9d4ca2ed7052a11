//! How a child is run to its end: its input, its time, and how much is kept of it.

use std::error::Error;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;

use super::{Collect, Input};
use crate::command::group::GroupChoice;
use crate::line::Line;
use crate::open::input::{IntoInput, StreamInput};
use crate::port::kept::Keep;

impl<T> Collect<T> {
    /// Writes `input` to the child's standard input and closes it, in place of what the command has there. A
    /// child that does not read it all is no error. With a [`pty`](crate::Command::pty), whose input cannot be closed
    /// alone, the spawn fails at [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
    pub fn input(mut self, input: impl Into<Bytes>) -> Self {
        self.recipe.input = Input::Bytes(input.into());
        self
    }

    /// The same with a stream of bytes, such as a request's body, which is asked for a piece when the child has taken the one before.
    ///
    /// It is polled with this future, and no more of it is held than 64 KiB and what the pipe holds. When it gives an error the child is killed,
    /// and the result is [`CollectError::Input`](crate::CollectError::Input).
    ///
    /// ```
    /// use actix_process::Command;
    /// use futures::stream;
    ///
    /// # actix::System::new().block_on(async {
    /// let pieces = stream::iter([Ok::<_, std::io::Error>("b\n"), Ok("a\n")]);
    /// let sorted = Command::new("sort").text().input_stream(pieces).await?;
    /// assert_eq!(sorted, "a\nb");
    /// # Ok::<(), actix_process::CollectError>(()) }).unwrap();
    /// ```
    pub fn input_stream<S, B, E>(mut self, input: S) -> Self
    where
        S: Stream<Item = Result<B, E>> + Send + 'static,
        B: Into<Bytes>,
        E: Into<Box<dyn Error + Send + Sync>>,
        StreamInput<S>: Stream<Item = Result<Bytes, Box<dyn Error + Send + Sync>>>,
    {
        self.recipe.input =
            Input::Stream(Arc::new(Mutex::new(Some(Box::pin(input.into_pieces())))));
        self
    }

    /// Terminates the child after `timeout`, and the process group that it leads, to its last member: SIGTERM,
    /// [`grace`](Self::grace), SIGKILL. The result is then [`CollectError::TimedOut`](crate::CollectError::TimedOut), with what was collected
    /// until they were gone. It does not wait for other descendants that hold the child's pipes.
    ///
    /// The result comes at the latest 2 seconds after the SIGKILL. A child that may not be killed (sudo, say) or
    /// cannot die is [`ExitStatus::StillRunning`](crate::ExitStatus::StillRunning) then. It is reaped when it dies.
    ///
    /// The time is that of the whole result, so it also runs out for a child that has exited while a descendant
    /// holds its pipes: that is `TimedOut`, with the child's own status. A [`Command::ended_timeout`](crate::Command::ended_timeout) ends the
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
    /// runs on, and [`Output::truncated`](crate::Output::truncated) says so. Unlimited unless set. Of this and [`keep_ends`](Self::keep_ends) the later call
    /// counts; [`output_limit_kills`](Self::output_limit_kills) kills a child that writes too much.
    pub const fn output_limit(mut self, bytes: usize) -> Self {
        self.recipe.keep = Keep::first(bytes);
        self
    }

    /// Keeps at most the first `bytes` and the last `bytes` of each output: how it began, and what it came to. What lies between
    /// is read, counted and thrown away, and the child runs on. An output of no more than twice `bytes` is whole.
    ///
    /// Where [`Output::stdout_left_out`](crate::Output::stdout_left_out) is not 0, so many bytes are missing after the first `bytes` of [`Output::stdout`](crate::Output::stdout); and so
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
    /// that it leads. The result is then [`CollectError::OutputLimit`](crate::CollectError::OutputLimit), with the first `bytes` of each output, or with what
    /// [`output_limit`](Self::output_limit) or [`keep_ends`](Self::keep_ends) keeps. It is the same for a child that
    /// ends by itself before it can be killed.
    ///
    /// The child may write more than `bytes` before it is killed; what is kept is bounded all the same. While nobody polls the
    /// future, the child is not killed. The result comes no later than 2 seconds after the SIGKILL; descendants elsewhere that hold
    /// the pipes are not waited for. If the [`timeout`](Self::timeout) is up before, it is [`CollectError::TimedOut`](crate::CollectError::TimedOut).
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

    /// Makes a status that is no success an error: [`CollectError::Failed`](crate::CollectError::Failed), whose text is a sentence with the end of
    /// what the child complained of. [`Command::text`](crate::Command::text), [`lines`](crate::Command::lines) and
    /// [`probe`](crate::Command::probe) do so by themselves.
    ///
    /// ```
    /// # use actix_process::Command;
    /// # actix::System::new().block_on(async {
    /// let script = Command::new("sh").args(["-c", "echo oops >&2; exit 3"]);
    /// let error = script.output().checked().await.unwrap_err();
    /// assert_eq!(error.to_string(), "`sh` exited with code 3: oops");
    /// # });
    /// ```
    pub fn checked(self) -> Self {
        self.ok_codes([0])
    }

    /// The same, and these exit codes are the success; 0 is one only if it is among them. A signal never is.
    ///
    /// ```
    /// # use actix_process::Command;
    /// # actix::System::new().block_on(async {
    /// // `diff` exits with code 1 for a difference, and 2 for trouble.
    /// let diff = Command::new("diff").args(["/dev/null", "-"]).output().input("new\n");
    /// assert!(diff.ok_codes([0, 1]).await?.stdout.ends_with(b"> new\n"));
    /// # Ok::<(), actix_process::CollectError>(()) }).unwrap();
    /// ```
    pub fn ok_codes(mut self, codes: impl IntoIterator<Item = i32>) -> Self {
        self.recipe.ok_codes = Some(codes.into_iter().collect());
        self
    }

    /// Terminates the child when `cancel` is ready, as a [`timeout`](Self::timeout) does; the result is
    /// [`CollectError::Cancelled`](crate::CollectError::Cancelled), with what was collected. A spawn that is under way is given up. Unlike
    /// a drop of the future, which kills at once, this gives the child its [`grace`](Self::grace), and the caller what it wrote.
    ///
    /// `cancel` is polled with this future: a channel's receiver, a token's `cancelled_owned()`, a signal.
    ///
    /// ```
    /// # use actix_process::{CollectError, Command};
    /// # actix::System::new().block_on(async {
    /// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    /// let run = Command::new("sleep").arg("60").output().cancelled_by(async move { drop(stopped.await) });
    /// drop(stop);
    /// assert!(matches!(run.await, Err(CollectError::Cancelled(_))));
    /// # });
    /// ```
    pub fn cancelled_by(mut self, cancel: impl Future<Output = ()> + Send + 'static) -> Self {
        self.recipe.cancel = Some(Arc::new(Mutex::new(Some(Box::pin(cancel)))));
        self
    }

    /// Tells `each` of every line of `fd` as it comes, beside the collecting: for a progress bar, or a log. It is called where this
    /// future is polled, so the child waits for a future that is not, as for a [stream](crate::Fd::stream). A line of more than
    /// 64 KiB comes in pieces; see [`Line`].
    ///
    /// `fd` is 1, 2, or another descriptor that the command reads; for any else the spawn fails at
    /// [`SpawnStep::Invalid`](crate::SpawnStep::Invalid). A later call for the same descriptor replaces the one before.
    ///
    /// ```
    /// # use actix_process::Command;
    /// # actix::System::new().block_on(async {
    /// let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    /// let seq = Command::new("seq").arg("3").output();
    /// let seq = seq.each_line(1, move |line| drop(tell.send(line.text))).await?;
    /// assert_eq!(told.recv().await.unwrap(), "1");
    /// assert_eq!(seq.stdout, b"1\n2\n3\n");
    /// # Ok::<(), actix_process::CollectError>(()) }).unwrap();
    /// ```
    pub fn each_line(mut self, fd: i32, each: impl FnMut(Line) + Send + 'static) -> Self {
        self.recipe.told.retain(|(of, _)| *of != fd);
        self.recipe.told.push((fd, Arc::new(Mutex::new(each))));
        self
    }

    /// Collects standard error with standard output, in the order in which the child writes.
    ///
    /// The child's 2 becomes the same as its 1, wherever that leads ([`Fd::same_as`](crate::Fd::same_as)) and whatever the
    /// command has at 2: as `2>&1`.
    pub const fn merge_stderr(mut self) -> Self {
        self.recipe.merge = true;
        self
    }
}
