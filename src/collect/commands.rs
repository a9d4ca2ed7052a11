//! The commands' ways to be run to their end.

use super::{Collect, CollectError, Output};
use crate::command::Command;
use crate::command::fd_map::Fd;
use crate::status::ExitStatus;

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
