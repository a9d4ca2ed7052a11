//! What comes of a child that is run to its end.

use std::fmt;

use crate::error::SpawnError;
use crate::failed_run::complaint;
use crate::status::ExitStatus;

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
    pub(super) const fn empty() -> Self {
        Self {
            status: ExitStatus::Unknown,
            stdout: Vec::new(),
            stderr: Vec::new(),
            truncated: false,
            stdout_left_out: 0,
            stderr_left_out: 0,
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
    /// The child wrote more to one of its outputs than
    /// [`Collect::output_limit_kills`](crate::Collect::output_limit_kills) allows. A child that had not exited by
    /// then was killed. If it could not be killed, the status is [`ExitStatus::StillRunning`].
    #[error("wrote more than its output limit ({})", .0.status)]
    OutputLimit(Box<Output>),
    /// The child wrote to its standard error, which [`Command::read`](crate::Command::read) does not allow. The
    /// error's text ends with the last of it, with what does not print escaped.
    #[error("wrote to its standard error ({}){}", .0.status, complaint(&.0.stderr))]
    Stderr(Box<Output>),
    /// The arbiter where the child's actors lived stopped before all output was collected (the one on which the
    /// helper was awaited, or that of [`Command::on`](crate::Command::on)), or the supervisor did. The part that was
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
            Self::Gone => f.write_str("Gone"),
        }
    }
}
