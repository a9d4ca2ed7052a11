//! The shell that is a guard, and the pipe to it.

use std::io::{self, ErrorKind, PipeReader};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::unix::pipe::Sender;
use tokio::time::timeout;

use crate::Command;
use crate::Fd;
use crate::NoProtocol;
use crate::OnOrphaned;
use crate::ProcessHandle;
use crate::SpawnError;

pub(super) const SCRIPT: &str = include_str!("guard.sh");
/// How long a guard may take to end by itself.
const LEAVE: Duration = Duration::from_secs(1);

/// Why there is no guard.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum GuardError {
    /// There is no pipe to it.
    #[error("no pipe to the guard: {0}")]
    Pipe(#[source] io::Error),
    /// `/bin/sh` did not start.
    #[error("no guard: {0}")]
    Spawn(#[source] SpawnError),
}

/// What became of lines for a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PipeSend {
    Yes,
    /// The pipe is full.
    NoRoom,
    Failed,
}

/// A shell that guards.
#[derive(Debug)]
pub(super) struct GuardShell {
    pub(super) process: ProcessHandle,
    /// The only end of the pipe that is written: when it closes, the guard kills.
    pub(super) pipe: Rc<Sender>,
    /// Never read. While this end is open, a write for a dead guard raises no SIGPIPE.
    _reader: PipeReader,
}

impl GuardShell {
    pub(super) async fn start(mark: &str) -> Result<Self, GuardError> {
        let (reader, pipe) = io::pipe().map_err(GuardError::Pipe)?;
        let stdin = reader.try_clone().map_err(GuardError::Pipe)?;
        // Makes this end non-blocking, and not the guard's.
        let pipe = Sender::from_owned_fd(pipe.into()).map_err(GuardError::Pipe)?;
        // It tries no write before it knows that there is room.
        pipe.writable().await.map_err(GuardError::Pipe)?;
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
            .on_orphaned(OnOrphaned::Leave);
        let process = command.spawn(NoProtocol).await;
        Ok(Self {
            process: process.map_err(GuardError::Spawn)?,
            pipe: Rc::new(pipe),
            _reader: reader,
        })
    }

    /// Writes lines of PIPE_BUF bytes at most: all of them, or none.
    pub(super) fn send(&self, lines: &str) -> PipeSend {
        match self.pipe.try_write(lines.as_bytes()) {
            Ok(_) => PipeSend::Yes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => PipeSend::NoRoom,
            Err(_) => PipeSend::Failed,
        }
    }

    /// Ends the guard, which kills nothing. The call tells it; the future waits, for two seconds at most, until it is gone.
    pub(super) fn end(self) -> impl Future<Output = ()> {
        let Self { process, pipe, .. } = self;
        let told = pipe.try_write(b"exit\n").is_ok();
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
