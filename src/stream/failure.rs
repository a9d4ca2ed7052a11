//! Why the output of a child that is streamed is not whole.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::failed_run::{FailedRun, complaint};
use crate::status::ExitStatus;

/// The last item of an [`OutputStream`](crate::OutputStream) whose child did not do its work: what came before is not the whole
/// output.
///
/// As the error of a response's body it makes actix-web break the response off, so that no client takes the response for a whole one.
///
/// ```
/// use actix_process::{Command, StreamFailure};
/// use futures::TryStreamExt;
///
/// # actix::System::new().block_on(async {
/// let half = Command::new("sh").args(["-c", "echo half; echo 'disk full' >&2; exit 3"]);
/// let mut output = half.stream().start().await?;
/// assert_eq!(output.try_next().await?.unwrap(), "half\n");
/// match output.try_next().await {
///     Err(StreamFailure::Failed { status, stderr, .. }) => {
///         assert_eq!((status.code(), &stderr[..]), (Some(3), &b"disk full\n"[..]));
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StreamFailure {
    /// The child ended with a status that is no success.
    #[error("{}", FailedRun::new(.program, *.status, .stderr))]
    #[non_exhaustive]
    Failed {
        /// The program, as the command named it.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The last of what it wrote to its standard error: 4 KiB at most. Nothing if that went elsewhere.
        stderr: Bytes,
    },
    /// The time of [`StreamCommand::timeout`](crate::StreamCommand::timeout) is over. The child is terminated.
    #[error("`{program}` took longer than {after:?}{}", complaint(.stderr))]
    #[non_exhaustive]
    TimedOut {
        /// The program.
        program: String,
        /// The time.
        after: Duration,
        /// As for `Failed`.
        stderr: Bytes,
    },
    /// The child neither took input nor gave output for the time of
    /// [`StreamCommand::idle_timeout`](crate::StreamCommand::idle_timeout). The child is terminated.
    #[error("`{program}` did nothing for {after:?}{}", complaint(.stderr))]
    #[non_exhaustive]
    Idle {
        /// The program.
        program: String,
        /// The time.
        after: Duration,
        /// As for `Failed`.
        stderr: Bytes,
    },
    /// The input ended in this error: it was not whole, so the output cannot be. The child is killed.
    #[error("the input failed")]
    Input(#[source] Box<dyn Error + Send + Sync>),
    /// The arbiter where the child's actors lived is gone before the end of the output, or the kernel failed to read it. The child is killed.
    #[error("the arbiter that read the output of `{program}` is gone")]
    #[non_exhaustive]
    Gone {
        /// The program.
        program: String,
    },
}

/// Of what the child complained only how much it is.
impl fmt::Debug for StreamFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, program, stderr) = match self {
            Self::Failed {
                program, stderr, ..
            } => ("Failed", program, stderr),
            Self::TimedOut {
                program, stderr, ..
            } => ("TimedOut", program, stderr),
            Self::Idle {
                program, stderr, ..
            } => ("Idle", program, stderr),
            Self::Input(error) => return f.debug_tuple("Input").field(error).finish(),
            Self::Gone { program } => {
                return f.debug_struct("Gone").field("program", program).finish();
            }
        };
        let mut fields = f.debug_struct(name);
        fields.field("program", program);
        match self {
            Self::Failed { status, .. } => fields.field("status", status),
            Self::TimedOut { after, .. } | Self::Idle { after, .. } => fields.field("after", after),
            Self::Input(_) | Self::Gone { .. } => &mut fields,
        };
        fields
            .field("stderr", &format_args!("{} bytes", stderr.len()))
            .finish()
    }
}
