//! The commands' ways to be run to their end.

use super::{Collect, CollectError, Output};
use crate::command::Command;
use crate::command::fd_map::Fd;
use crate::status::ExitStatus;

impl Command {
    /// Runs the child to its end and gives all that it wrote, and its status.
    ///
    /// ```
    /// # use actix_process::Command;
    /// # actix::System::new().block_on(async {
    /// let script = Command::new("sh").args(["-c", "echo half; echo oops >&2; exit 3"]);
    /// let output = script.output().await?;
    /// assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"half\n"[..], &b"oops\n"[..]));
    /// assert_eq!(output.status.code(), Some(3));
    /// # Ok::<(), actix_process::CollectError>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// The future gives [`CollectError::Spawn`] if there is no child, [`CollectError::TimedOut`] after a
    /// [`timeout`](Collect::timeout), and [`CollectError::Gone`] if the child's arbiter or supervisor is gone. A
    /// status that is no success is no error.
    pub fn output(&self) -> Collect<Output> {
        Collect::new(self.clone(), |collected| Ok(collected.output))
    }

    /// Runs the child to its end and gives what it wrote to its standard output as text, without the white space at its end: what `$(..)` of a
    /// shell gives.
    ///
    /// ```
    /// # use actix_process::Command;
    /// # actix::System::new().block_on(async {
    /// assert_eq!(Command::new("uname").text().await?, "Linux");
    /// # Ok::<(), actix_process::CollectError>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`CollectError::Failed`] for a status that is no success, [`CollectError::NotText`] for bytes that are not UTF-8; otherwise as
    /// [`output`](Self::output).
    pub fn text(&self) -> Collect<String> {
        let text = Collect::new(self.clone(), |collected| {
            let mut text = collected.text()?;
            text.truncate(text.trim_end().len());
            Ok(text)
        });
        text.checked()
    }

    /// The same, line by line, without their ends (LF or CR LF). Empty lines are lines; none follows the last newline.
    ///
    /// ```
    /// # use actix_process::Command;
    /// # actix::System::new().block_on(async {
    /// assert_eq!(Command::new("seq").arg("3").lines().await?, ["1", "2", "3"]);
    /// # Ok::<(), actix_process::CollectError>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`text`](Self::text).
    pub fn lines(&self) -> Collect<Vec<String>> {
        let lines = Collect::new(self.clone(), |collected| {
            Ok(collected.text()?.lines().map(str::to_owned).collect())
        });
        lines.checked()
    }

    /// Runs a child that answers by its status (`grep -q`, `test`, `diff -q`, `systemctl is-active`): true for exit code 0, false for
    /// 1. Its standard output goes to `/dev/null`; of its standard error 8 KiB at each end are kept, for the error.
    ///
    /// ```
    /// # use actix_process::Command;
    /// # actix::System::new().block_on(async {
    /// assert!(Command::new("test").args(["-d", "/"]).probe().await?);
    /// assert!(!Command::new("test").args(["-d", "/no/such"]).probe().await?);
    /// assert!(Command::new("grep").args(["-q", "x", "/no/such"]).probe().await.is_err());
    /// # Ok::<(), actix_process::CollectError>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`CollectError::Failed`] for any other status; otherwise as [`output`](Self::output).
    pub fn probe(&self) -> Collect<bool> {
        let probe = Collect::new(self.quiet(&[1]), |collected| {
            Ok(collected.output.status.success())
        });
        probe.keep_ends(8 * 1024).ok_codes([0, 1])
    }

    /// Without what it would write to these of its outputs.
    fn quiet(&self, outputs: &[i32]) -> Self {
        let mut quiet = self.clone();
        for n in outputs {
            if quiet.fd_map().get(*n).is_some_and(Fd::is_read) {
                quiet = quiet.fd(*n, Fd::null());
            }
        }
        quiet
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
        Collect::new(self.quiet(&[1, 2]), |collected| Ok(collected.output.status))
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
