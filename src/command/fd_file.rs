//! Files that a child writes to.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use nix::libc;

use super::fd_map::Fd;
use crate::sys;

impl Fd {
    /// The file at `path` for writing, made if it is not there (mode 0666 less the umask) and emptied if it is: `>` of a shell.
    ///
    /// This call opens it, with the rights of this program. The command may be spawned many times: all its children write to the
    /// one open file, behind each other.
    ///
    /// ```
    /// use actix_process::{Command, Fd};
    ///
    /// # actix::System::new().block_on(async {
    /// # let path = std::env::temp_dir().join(format!("actix-process-create-{}", std::process::id()));
    /// let list = Command::new("seq").arg("2").stdout(Fd::create(&path)?);
    /// assert!(list.status().await?.success());
    /// assert_eq!(std::fs::read(&path)?, b"1\n2\n");
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// What open(2) says of the path: no such directory, not permitted. ENXIO for a FIFO that nobody reads: the call never waits for a
    /// reader.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        open(path.as_ref(), OpenOptions::new().write(true).truncate(true))
    }

    /// The same, but what is in the file stays, and each write goes behind its end, whoever else writes: `>>` of a shell. For a log that
    /// several children share.
    ///
    /// ```
    /// use actix_process::{Command, Fd};
    ///
    /// # actix::System::new().block_on(async {
    /// # let path = std::env::temp_dir().join(format!("actix-process-append-{}", std::process::id()));
    /// let log = Fd::append(&path)?;
    /// for word in ["one", "two"] {
    ///     Command::new("echo").arg(word).stdout(log.clone()).status().await?;
    /// }
    /// assert_eq!(std::fs::read(&path)?, b"one\ntwo\n");
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn append(path: impl AsRef<Path>) -> io::Result<Self> {
        open(path.as_ref(), OpenOptions::new().append(true))
    }
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<Fd> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = options.create(true).custom_flags(flags).open(path)?;
    sys::io::set_blocking(file.as_fd())?;
    Ok(Fd::share(Arc::new(OwnedFd::from(file))))
}
