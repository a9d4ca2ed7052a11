//! The shell that is a guard, the pipe whose end tells it of the end of its host, and the file that lists what it is to kill then.

use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
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
use crate::sys::copy;
use crate::sys::io as fds;

pub(super) const SCRIPT: &str = include_str!("guard.sh");
/// How long a guard may take to end by itself.
const LEAVE: Duration = Duration::from_secs(1);
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
    /// `/bin/sh` has not started in time, and may still.
    #[error("no guard: /bin/sh has not started in {0:?}")]
    Late(Duration),
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
    pub(super) async fn start(mark: Rc<str>) -> Result<Self, GuardError> {
        // What lands on a standard descriptor that is closed here could be written by whoever writes to that.
        let (reader, pipe) = fds::pipe().map_err(GuardError::Pipe)?;
        let (reader, pipe) = (PipeReader::from(reader), PipeWriter::from(pipe));
        let stdin = OwnedFd::from(reader.try_clone().map_err(GuardError::Pipe)?);
        let stdin = fds::above_stdio(stdin);
        let (list, its_list) = GuardList::new().map_err(GuardError::List)?;
        let command = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "actix-process-guard", &mark])
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
        // A copy of the host, by fork, leaves the guard alone.
        if copy::is_copy() {
            return Ok(());
        }
        self.list.write(slot, lines)
    }

    /// Ends the guard, which kills nothing. The call tells it; the future waits, for two seconds at most, until it is gone.
    pub(super) fn end(self) -> impl Future<Output = ()> {
        let Self {
            process, mut pipe, ..
        } = self;
        // Nothing else is ever written, so there is room.
        let is_copy = copy::is_copy();
        let told = is_copy || pipe.write_all(b"exit\n").is_ok();
        if !told {
            // Before the pipe closes.
            process.kill();
        }
        drop(pipe);
        async move {
            if is_copy {
                return;
            }
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
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let made = match memfd_create(c"actix-process-guard", flags | MFD_NOEXEC_SEAL) {
            Err(Errno::EINVAL) => memfd_create(c"actix-process-guard", flags),
            made => made,
        };
        let list = File::from(fds::above_stdio(made?));
        fcntl(&list, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK))?;
        let its_own = fds::above_stdio(list.try_clone()?.into());
        let list = Self(list);
        // One that cannot be written is none.
        list.write(0, &[b'\n'; SLOT])?;
        Ok((list, its_own))
    }

    /// A write beyond the limit of files would be a SIGXFSZ for the host.
    fn write(&self, slot: usize, lines: &[u8]) -> io::Result<()> {
        let place = slot * SLOT;
        let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE)?;
        if (place + lines.len()) as u64 > limit {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.0.write_all_at(lines, place as u64)
    }
}
