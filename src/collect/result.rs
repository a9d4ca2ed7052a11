//! What comes of a child that is run to its end.

use std::error::Error;
use std::fmt;

use crate::error::SpawnError;
use crate::failed_run::{FailedRun, complaint};
use crate::status::ExitStatus;

/// What a child wrote, and how it ended. `Debug` shows all of it, as text where it is UTF-8.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// How the child ended.
    pub status: ExitStatus,
    /// What ended it.
    pub why: Why,
    /// What the child wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What the child wrote to its standard error.
    pub stderr: Vec<u8>,
    /// Whether something of one of them is left out: the child wrote more than [`Collect::output_limit`](crate::Collect::output_limit),
    /// [`output_limit_kills`](crate::Collect::output_limit_kills) or [`keep_ends`](crate::Collect::keep_ends) lets keep.
    pub truncated: bool,
    /// How many bytes of its standard output are left out: at the end, or, by
    /// [`keep_ends`](crate::Collect::keep_ends), between the first bytes and the last.
    pub stdout_left_out: u64,
    /// The same of its standard error.
    pub stderr_left_out: u64,
}

impl Output {
    /// That of a child that was not.
    pub(super) const fn empty(why: Why) -> Self {
        Self {
            status: ExitStatus::Unknown,
            why,
            stdout: Vec::new(),
            stderr: Vec::new(),
            truncated: false,
            stdout_left_out: 0,
            stderr_left_out: 0,
        }
    }
}

/// What ended a child that was run to its end. The status alone cannot tell: a child that was terminated may exit with any code, and another
/// program may have sent the SIGKILL.
///
/// ```
/// # use actix_process::{CollectError, Command, Why};
/// # use std::time::Duration;
/// # actix::System::new().block_on(async {
/// let tidy = Command::new("sh").args(["-c", "trap 'exit 0' TERM; sleep 60 & wait"]);
/// let result = tidy.output().timeout(Duration::from_millis(500)).await;
/// let Err(CollectError::TimedOut(output)) = result else {
///     panic!("it sleeps longer");
/// };
/// assert_eq!(output.why, Why::TimedOut);
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// The child ended by itself, or by a signal that is not the helper's.
    Exited,
    /// The [`timeout`](crate::Collect::timeout).
    TimedOut,
    /// [`cancelled_by`](crate::Collect::cancelled_by).
    Cancelled,
    /// [`output_limit_kills`](crate::Collect::output_limit_kills).
    OutputLimit,
    /// An [`input_stream`](crate::Collect::input_stream) that failed.
    Input,
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
    /// The child wrote more to one of its outputs than
    /// [`Collect::output_limit_kills`](crate::Collect::output_limit_kills) allows. A child that had not exited by
    /// then was killed. If it could not be killed, the status is [`ExitStatus::StillRunning`].
    #[error("wrote more than its output limit ({})", .0.status)]
    OutputLimit(Box<Output>),
    /// The status is no success, for [`Command::text`](crate::Command::text) and its like, and where the result is
    /// [`checked`](crate::Collect::checked). The text is a sentence: "`sh` exited with code 3: oops".
    #[error("{}", FailedRun::new(.program, .output.status, &.output.stderr))]
    #[non_exhaustive]
    Failed {
        /// The program, as the command named it.
        program: String,
        /// How it ended, and what it wrote.
        output: Box<Output>,
    },
    /// What the child wrote to its standard output is not UTF-8, which [`Command::text`](crate::Command::text) and
    /// [`lines`](crate::Command::lines) need.
    #[error("the output is not UTF-8")]
    NotText(Box<Output>),
    /// The child was terminated, since [`Collect::cancelled_by`](crate::Collect::cancelled_by) asked for it.
    #[error("cancelled ({})", .0.status)]
    Cancelled(Box<Output>),
    /// The [`input_stream`](crate::Collect::input_stream) ended in this error, and the child was killed.
    #[error("the input failed")]
    #[non_exhaustive]
    Input {
        /// That of the stream.
        source: Box<dyn Error + Send + Sync>,
        /// What was collected.
        output: Box<Output>,
    },
    /// The child wrote to its standard error, which [`Command::read`](crate::Command::read) does not allow. The
    /// error's text ends with the last of it, with what does not print escaped.
    #[error("wrote to its standard error ({}){}", .0.status, complaint(&.0.stderr))]
    Stderr(Box<Output>),
    /// The arbiter where the child's actors lived stopped before all output was collected (the one on which the
    /// helper was awaited, or that of [`Command::on`](crate::Command::on)), or the supervisor did, or the kernel failed to read an output. The part that was
    /// collected is not given, and the child is killed. Where nothing is collected, as for
    /// [`Command::status`](crate::Command::status), the status is given as ever.
    #[error("the arbiter that collected is gone")]
    Gone,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes| std::str::from_utf8(bytes);
        let mut output = f.debug_struct("Output");
        output.field("status", &self.status);
        output.field("why", &self.why);
        for (name, bytes) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            match text(bytes) {
                Ok(text) => output.field(name, &text),
                Err(_) => output.field(name, bytes),
            };
        }
        output
            .field("truncated", &self.truncated)
            .field("stdout_left_out", &self.stdout_left_out)
            .field("stderr_left_out", &self.stderr_left_out)
            .finish()
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
            Self::OutputLimit(output) => {
                let mut tuple = f.debug_tuple("OutputLimit");
                tuple.field(&Sizes(output)).finish()
            }
            Self::Stderr(output) => f.debug_tuple("Stderr").field(&Sizes(output)).finish(),
            Self::Failed { program, output } => {
                let mut fields = f.debug_struct("Failed");
                fields.field("program", program);
                fields.field("output", &Sizes(output)).finish()
            }
            Self::NotText(output) => f.debug_tuple("NotText").field(&Sizes(output)).finish(),
            Self::Cancelled(output) => f.debug_tuple("Cancelled").field(&Sizes(output)).finish(),
            Self::Input { source, output } => {
                let mut fields = f.debug_struct("Input");
                fields.field("source", source);
                fields.field("output", &Sizes(output)).finish()
            }
            Self::Gone => f.write_str("Gone"),
        }
    }
}
