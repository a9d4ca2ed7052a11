//! The shell that is a guard, the pipe whose end tells it of the end of its host, and the file that lists what it is to kill then.

use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit};
use tokio::time::timeout;

use super::list::SLOT;
use crate::Command;
use crate::Fd;
use crate::NoProtocol;
use crate::OnOrphaned;
use crate::ProcessHandle;
use crate::SpawnError;

pub(super) const SCRIPT: &str = include_str!("guard.sh");
/// How long a guard may take to end by itself.
const LEAVE: Duration = Duration::from_secs(1);
/// The first line of the list. It says to the script that the list is read.
const FIRST_LINE: &str = "listed=1";
/// The guard's descriptor of the list.
const LIST: i32 = 3;
/// Since Linux 6.3: nobody can make a program of the file.
const MFD_NOEXEC_SEAL: MFdFlags = MFdFlags::from_bits_retain(0x8);

/// Why there is no guard.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum GuardError {
    /// There is no pipe to it.
    #[error("no pipe to the guard: {0}")]
    Pipe(#[source] io::Error),
    /// There is no file for its list.
    #[error("no list for the guard: {0}")]
    List(#[source] io::Error),
    /// `/bin/sh` did not start.
    #[error("no guard: {0}")]
    Spawn(#[source] SpawnError),
}

/// A shell that guards.
#[derive(Debug)]
pub(super) struct GuardShell {
    pub(super) process: ProcessHandle,
    list: GuardList,
    /// The only end of the pipe that is written: when it closes, the guard kills.
    pipe: PipeWriter,
    /// Never read. While this end is open, a write for a dead guard raises no SIGPIPE.
    _reader: PipeReader,
}

impl GuardShell {
    pub(super) async fn start(mark: &str) -> Result<Self, GuardError> {
        let (reader, pipe) = io::pipe().map_err(GuardError::Pipe)?;
        let stdin = reader.try_clone().map_err(GuardError::Pipe)?;
        let (list, its_list) = GuardList::new().map_err(GuardError::List)?;
        let command = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "actix-process-guard", mark])
            .name("guard")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .setsid(true)
            .stdin(stdin)
            .stdout(Fd::null())
            .stderr(Fd::null())
            .fd(LIST, its_list)
            .on_orphaned(OnOrphaned::Leave);
        let process = command.spawn(NoProtocol).await;
        Ok(Self {
            process: process.map_err(GuardError::Spawn)?,
            list,
            pipe,
            _reader: reader,
        })
    }

    /// Writes the lines of slots, from this one on. The guard sleeps on.
    pub(super) fn list(&self, slot: usize, lines: &[u8]) -> io::Result<()> {
        self.list.write(slot, lines)
    }

    /// Ends the guard, which kills nothing. The call tells it; the future waits, for two seconds at most, until it is gone.
    pub(super) fn end(self) -> impl Future<Output = ()> {
        let Self {
            process, mut pipe, ..
        } = self;
        // Nothing else is ever written, so there is room.
        let told = pipe.write_all(b"exit\n").is_ok();
        if !told {
            // Before the pipe closes.
            process.kill();
        }
        drop(pipe);
        async move {
            if told && timeout(LEAVE, process.exited()).await.is_err() {
                process.kill();
            }
            let _ = timeout(LEAVE, process.exited()).await;
        }
    }
}

/// A file without a name that the host writes, and the guard reads when the host is gone.
#[derive(Debug)]
struct GuardList(File);

impl GuardList {
    /// And the guard's descriptor of it. Its place in the file stays at the beginning: the host always says where it writes.
    fn new() -> io::Result<(Self, OwnedFd)> {
        let flags = MFdFlags::MFD_CLOEXEC;
        let made = match memfd_create(c"actix-process-guard", flags | MFD_NOEXEC_SEAL) {
            Err(Errno::EINVAL) => memfd_create(c"actix-process-guard", flags),
            made => made,
        };
        let list = Self(made?.into());
        list.write_at(
            0,
            format!("{FIRST_LINE:<width$}\n", width = SLOT - 1).as_bytes(),
        )?;
        let its_own = list.0.try_clone()?;
        Ok((list, its_own.into()))
    }

    fn write(&self, slot: usize, lines: &[u8]) -> io::Result<()> {
        self.write_at((slot + 1) * SLOT, lines)
    }

    /// A write beyond the limit of files would be a SIGXFSZ for the host.
    fn write_at(&self, place: usize, lines: &[u8]) -> io::Result<()> {
        let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE)?;
        if (place + lines.len()) as u64 > limit {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.0.write_all_at(lines, place as u64)
    }
}
