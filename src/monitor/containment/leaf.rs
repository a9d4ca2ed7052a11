//! The cgroup of one start of a service.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use super::files::{self, Removal, oom_kills, read, write};
use super::limits::CgroupLimits;
use super::parent::CgroupParent;

/// The cgroup of one start. It is empty until the child joins it: see [`directory`](Self::directory).
///
/// A stop of the child ends with its `cgroup.kill`, and waits until nobody is in it: that is done by the crate's
/// [`ProcessHandle::stop`](crate::ProcessHandle::stop). The drop removes it, or leaves that to the parent if a process is still in it:
/// the next start of a service removes it, or the end of the monitor.
#[derive(Debug)]
pub(in crate::monitor) struct Leaf {
    parent: Arc<CgroupParent>,
    name: PathBuf,
    removed: bool,
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
        // From here on its drop removes it.
        let leaf = Self {
            parent: Arc::clone(parent),
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

    /// How many processes of it the kernel has killed because memory was used up; 0 without the controller `memory`. Those count
    /// before their death is told.
    pub(in crate::monitor) fn oom_kills(&self) -> u64 {
        self.read("memory.events")
            .map_or(0, |text| oom_kills(&text))
    }

    /// Removes it if nobody is in it, with what its processes have made below it; tells whether it is gone.
    pub(in crate::monitor) fn remove(&mut self) -> io::Result<bool> {
        if !self.removed {
            self.removed = files::remove(&self.parent.dir, &self.name)? == Removal::Done;
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
