//! The cgroup of one start of a service.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::libc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::files::{self, cpu_time, oom_kills, populated, read, write};
use super::limits::CgroupLimits;
use super::mounts::own_cgroup;
use super::parent::CgroupParent;

/// The cgroup of one start. It is empty until the child joins it: see [`directory`](Self::directory).
///
/// Costs one descriptor, of its `cgroup.kill`: what is in it can be killed also when there are no descriptors to be had. The drop
/// removes it, or leaves that to the parent if a process is still in it: the next start of a service removes it, or the end of
/// the monitor.
#[derive(Debug)]
pub(in crate::monitor) struct Leaf {
    parent: Arc<CgroupParent>,
    name: PathBuf,
    kill: OwnedFd,
    removed: bool,
}

/// What the processes of a cgroup use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::monitor) struct LeafUsage {
    /// CPU time, of those that have ended too.
    pub(in crate::monitor) cpu: Option<Duration>,
    /// Bytes of memory, with the page cache that is theirs; only with the controller `memory`.
    pub(in crate::monitor) memory: Option<u64>,
}

/// A cgroup could not be made for a start of a service.
#[derive(Debug)]
pub(in crate::monitor) struct LeafError {
    /// The file, or what was to be done.
    what: &'static str,
    source: io::Error,
}

impl LeafError {
    pub(super) fn unsupported(what: &'static str) -> Self {
        Self {
            what,
            source: io::ErrorKind::Unsupported.into(),
        }
    }
}

impl fmt::Display for LeafError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the service's cgroup: {}: {}", self.what, self.source)
    }
}

/// The text holds the kernel's words: there is no source, which would repeat them.
impl std::error::Error for LeafError {}

impl From<LeafError> for io::Error {
    fn from(error: LeafError) -> Self {
        match error.source.raw_os_error() {
            Some(errno) => Self::from_raw_os_error(errno),
            None => error.source,
        }
    }
}

impl Leaf {
    pub(super) fn make(
        parent: &Arc<CgroupParent>,
        service: &str,
        generation: u64,
        limits: &CgroupLimits,
    ) -> Result<Self, LeafError> {
        let failed = |what| move |source| LeafError { what, source };
        let name = PathBuf::from(parent.maker.name(generation, service));
        parent.make(&name).map_err(failed("mkdir"))?;
        let kill = files::open(&parent.dir, name.join("cgroup.kill"), OFlag::O_WRONLY);
        let kill = kill.inspect_err(|_| {
            let _ = files::remove(&parent.dir, &name);
        });
        // From here on its drop removes it.
        let leaf = Self {
            parent: Arc::clone(parent),
            kill: kill.map_err(failed("cgroup.kill"))?,
            name,
            removed: false,
        };
        for limit in limits.files() {
            let path = leaf.name.join(limit.file);
            write(&leaf.parent.dir, path, &limit.text).map_err(failed(limit.file))?;
        }
        Ok(leaf)
    }

    /// Its directory, for [`Command::cgroup`](crate::Command::cgroup).
    pub(in crate::monitor) fn directory(&self) -> io::Result<OwnedFd> {
        files::open_directory(&self.parent.dir, &self.name)
    }

    /// Kills all that is in it, and below it, by SIGKILL. Nobody in it is no error.
    ///
    /// # Errors
    ///
    /// The kernel's. Somebody has moved this process into it: nobody is killed then.
    pub(in crate::monitor) fn kill(&self) -> io::Result<()> {
        if self.has_host() {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        match nix::unistd::write(&self.kill, b"1") {
            // It was removed: nobody is in it.
            Ok(_) | Err(nix::errno::Errno::ENODEV) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn has_host(&self) -> bool {
        let text = std::fs::read("/proc/self/cgroup").unwrap_or_default();
        let own = own_cgroup(&text).unwrap_or_else(|| Path::new(""));
        own.iter().any(|part| part == self.name.as_os_str())
    }

    /// Whether a process is in it, or below it. A zombie is none.
    pub(in crate::monitor) fn is_populated(&self) -> io::Result<bool> {
        populated(&self.read("cgroup.events"))
    }

    /// Resolves when no process is in it, or below it. Costs one descriptor, no timer; needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// There is no descriptor for it, or the kernel's error.
    pub(in crate::monitor) async fn nobody_left(&self) -> io::Result<()> {
        let path = self.name.join("cgroup.events");
        let events = match files::open(&self.parent.dir, path, OFlag::O_RDONLY) {
            Ok(events) => events,
            Err(error) => return populated(&Err(error)).map(drop),
        };
        #[expect(
            deprecated,
            reason = "it trusts the descriptor's type: an OwnedFd keeps the descriptor open as long as it lives"
        )]
        let events = AsyncFd::with_interest(events, Interest::PRIORITY)?;
        loop {
            if !populated(&read_again(events.get_ref()))? {
                return Ok(());
            }
            events.ready(Interest::PRIORITY).await?.clear_ready();
        }
    }

    /// How many processes of it the kernel has killed because memory was used up; 0 without the controller `memory`. Those count
    /// before their death is told.
    pub(in crate::monitor) fn oom_kills(&self) -> u64 {
        self.read("memory.events")
            .map_or(0, |text| oom_kills(&text))
    }

    /// What its processes use now.
    pub(in crate::monitor) fn usage(&self) -> LeafUsage {
        let memory = self.read("memory.current").ok();
        LeafUsage {
            cpu: self.read("cpu.stat").ok().and_then(|text| cpu_time(&text)),
            memory: memory.and_then(|text| text.trim_end().parse().ok()),
        }
    }

    /// Removes it if nobody is in it, with what its processes have made below it; tells whether it is gone.
    pub(in crate::monitor) fn remove(&mut self) -> io::Result<bool> {
        if !self.removed {
            self.removed = files::remove(&self.parent.dir, &self.name)?;
        }
        Ok(self.removed)
    }

    fn read(&self, file: &str) -> io::Result<String> {
        read(&self.parent.dir, self.name.join(file))
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        // A fork of the host leaves it alone.
        if std::process::id().cast_signed() != self.parent.maker.pid {
            return;
        }
        if !matches!(self.remove(), Ok(true)) {
            self.parent.leave(std::mem::take(&mut self.name));
        }
    }
}

/// What an open `cgroup.events` says now.
fn read_again(events: &OwnedFd) -> io::Result<String> {
    /// Two short lines, so far.
    const ENOUGH: usize = 512;
    let mut text = [0; ENOUGH];
    let length = nix::sys::uio::pread(events, &mut text, 0)?;
    let text = text.get(..length).unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}
