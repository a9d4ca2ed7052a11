//! How a child is run to its end: its input, its time, and how much is kept of it.

use std::time::Duration;

use bytes::Bytes;

use super::Collect;
use crate::command::group::GroupChoice;
use crate::port::kept::Keep;

impl<T> Collect<T> {
    /// Writes `input` to the child's standard input and closes it, in place of what the command has there. A
    /// child that does not read it all is no error. With a [`pty`](crate::Command::pty), whose input cannot be closed
    /// alone, the spawn fails at [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
    pub fn input(mut self, input: impl Into<Bytes>) -> Self {
        self.recipe.input = Some(input.into());
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

    /// Collects standard error with standard output, in the order in which the child writes.
    ///
    /// The child's 2 becomes the same as its 1, wherever that leads ([`Fd::same_as`](crate::Fd::same_as)) and whatever the
    /// command has at 2: as `2>&1`.
    pub const fn merge_stderr(mut self) -> Self {
        self.recipe.merge = true;
        self
    }
}
