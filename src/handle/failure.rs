//! How a child failed, as an error with the last of what it complained of.

use std::fmt;

use bytes::Bytes;

use crate::failed_run::FailedRun;
use crate::handle::ProcessHandle;
use crate::status::ExitStatus;

/// A child that ended with a status that is no success; made by [`ProcessHandle::failure`]. The text is a sentence: "`sh` exited with
/// code 3: oops".
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", FailedRun::new(.program, *.status, .stderr))]
#[non_exhaustive]
pub struct ExitFailure {
    /// The program, as the command named it.
    pub program: String,
    /// How the child ended.
    pub status: ExitStatus,
    /// What is kept of its standard error, if that is an [`Fd::tail`](crate::Fd::tail); else nothing. The text shows its last lines.
    pub stderr: Bytes,
}

/// Of its standard error only how much it is.
impl fmt::Debug for ExitFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExitFailure")
            .field("program", &self.program)
            .field("status", &self.status)
            .field("stderr", &format_args!("{} bytes", self.stderr.len()))
            .finish()
    }
}

impl ProcessHandle {
    /// Why the child failed, once it has exited: `None` before that, and after a success. For the error of what was asked of the child
    /// and not answered.
    ///
    /// ```
    /// use actix_process::{Command, Fd};
    /// use futures::StreamExt;
    ///
    /// # actix::System::new().block_on(async {
    /// let server = Command::new("sh").args(["-c", "echo 'no license' >&2; exit 3"]);
    /// let mut child = server.stderr(Fd::tail(4096)).open().await?;
    /// assert!(child.stdout.next().await.is_none(), "no answer");
    /// child.process.ended().await;
    /// let failure = child.process.failure().unwrap();
    /// assert_eq!(failure.to_string(), "`sh` exited with code 3: no license");
    /// # Ok::<(), actix_process::SpawnError>(()) }).unwrap();
    /// ```
    ///
    /// After [`exited`](Self::exited) the tail may still grow, while the pipe is read to its end; after [`ended`](Self::ended) it is all there.
    #[must_use]
    pub fn failure(&self) -> Option<ExitFailure> {
        let status = self.try_status().filter(|status| !status.success())?;
        Some(ExitFailure {
            program: self.program().to_owned(),
            status,
            stderr: self.tail(2).map(|tail| tail.bytes).unwrap_or_default(),
        })
    }
}
