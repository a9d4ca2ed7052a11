//! Cgroups (version 2) that hold a child with all that it starts: made for it, or given by the caller.
//!
//! All is done by file operations relative to an open directory. A cgroup of our own is removed when
//! it drops, or as soon as it is empty after that.

mod base;
mod files;
mod given;
mod name;
mod removal;
mod signalling;
mod sweep;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::fcntl::OFlag;

use base::{Base, Refusal, base, forget};
use files::{exists, is_gone, open, read, read_events, says_populated};
use name::Host;

use crate::command::spec::{Contain, Spec};
use crate::error::SpawnError;
use crate::sys::clone3::joins_cgroups;

/// A cgroup in which a child is, or is to be.
#[derive(Debug)]
pub(crate) struct Cgroup(CgroupDir);

#[derive(Debug)]
enum CgroupDir {
    /// The caller's, which is never removed. This process was not in it.
    Given(Arc<OwnedFd>),
    /// The same, made for the child: it holds no other.
    New(Arc<OwnedFd>),
    /// The caller's, to join only: it cannot list its members, or this process is in it. No process is signalled there.
    Joined(Arc<OwnedFd>),
    Made(Made),
}

/// A cgroup of our own, below the base.
#[derive(Debug)]
struct Made {
    base: Arc<Base>,
    name: PathBuf,
    /// `cgroup.events` and `cgroup.kill`, open since before the spawn: whatever is left can be killed and
    /// waited for when there are no descriptors any more.
    events: Arc<OwnedFd>,
    /// `None` before Linux 5.14.
    kill: Option<OwnedFd>,
    /// `Cgroup::retire` was called: the cgroup is removed then, or when it is empty.
    retired: AtomicBool,
    /// The host's pid: a fork of the host leaves the cgroup alone.
    host: u32,
}

impl Cgroup {
    /// The one that a child of this command shall join; `None` also where the strongest hold is another.
    pub(crate) fn of(spec: &Spec) -> Result<Option<Self>, SpawnError> {
        let Some(contain) = spec.contain else {
            let given = spec.cgroup.as_ref();
            return given
                .map(|dir| Self::given(dir, spec.cgroup_is_new))
                .transpose();
        };
        match (Self::make(), contain) {
            (Ok(cgroup), _) => Ok(Some(cgroup)),
            (Err(refusal), Contain::Strongest) if !refusal.is_shortage() => {
                log::debug!("no cgroup for a child, it gets a group: {refusal}");
                Ok(None)
            }
            (Err(refusal), _) => Err(refusal.into()),
        }
    }

    /// A new one, where this host may make one.
    fn make() -> Result<Self, Refusal> {
        let host = Host::this();
        let first = base()?;
        let (base, made) = match first.make(&host) {
            // Somebody removed the base, or took it away from us.
            Err(_) => {
                forget(&first);
                let second = base()?;
                let made = second.make(&host);
                (second, made)
            }
            made => (first, made),
        };
        let name = made.map_err(Refusal::io("no cgroup can be made in its own"))?;
        let made = Made::open(Arc::clone(&base), &name).inspect_err(|_| {
            let _ = base.remove(&name);
        });
        let made = made.map_err(Refusal::io("a cgroup's files cannot be opened"))?;
        Ok(Self(CgroupDir::Made(made)))
    }

    /// Whether the cgroup holds the child and what the child starts: if not, it is of no use once the child has
    /// joined.
    pub(crate) fn holds_the_child(&self) -> bool {
        !matches!(self.0, CgroupDir::Joined(_))
    }

    /// A child could not join it: the next look for a base begins anew.
    pub(crate) fn distrust(&self) {
        log::debug!("a child cannot join its cgroup");
        if let CgroupDir::Made(made) = &self.0 {
            forget(&made.base);
        }
    }

    /// Its directory, if it was made for the child and a clone may make the child there.
    ///
    /// The child is alone in it then. So if memory runs out in it, the kernel finds nobody there whom it may kill: it
    /// passes over a child that shares the parent's memory. In a cgroup with others the kernel might kill all of
    /// them, the child with its parent; there the child shall be for as short as can be.
    pub(crate) fn birthplace(&self) -> Option<io::Result<OwnedFd>> {
        let is_new = match &self.0 {
            CgroupDir::Made(_) | CgroupDir::New(_) => true,
            CgroupDir::Given(_) | CgroupDir::Joined(_) => false,
        };
        (is_new && joins_cgroups()).then(|| {
            let (dir, name) = self.place();
            open(dir, name, ".", OFlag::O_PATH | OFlag::O_DIRECTORY)
        })
    }

    /// The file by which a process joins it.
    pub(crate) fn open_procs(&self) -> io::Result<OwnedFd> {
        let (dir, name) = self.place();
        open(dir, name, "cgroup.procs", OFlag::O_WRONLY)
    }

    /// Its directory: an open one, and the path from there; empty for the same.
    fn place(&self) -> (BorrowedFd<'_>, &Path) {
        match &self.0 {
            CgroupDir::Given(dir) | CgroupDir::New(dir) | CgroupDir::Joined(dir) => {
                (dir.as_fd(), Path::new(""))
            }
            CgroupDir::Made(made) => (made.base.dir.as_fd(), &made.name),
        }
    }

    /// The path of its directory, if it holds nobody but the child and what the child has started.
    #[cfg(feature = "monitor")]
    pub(crate) fn own_path(&self) -> Option<PathBuf> {
        match &self.0 {
            CgroupDir::Made(made) => Some(made.base.path.join(&made.name)),
            CgroupDir::New(dir) => {
                let number = std::os::fd::AsRawFd::as_raw_fd(&**dir);
                std::fs::read_link(format!("/proc/self/fd/{number}")).ok()
            }
            CgroupDir::Given(_) | CgroupDir::Joined(_) => None,
        }
    }

    /// Whether a process is in it, or below it; a zombie is none. Of what cannot be told, yes.
    pub(crate) fn is_populated(&self) -> bool {
        says_populated(&match &self.0 {
            CgroupDir::Given(dir) | CgroupDir::New(dir) | CgroupDir::Joined(dir) => {
                read(dir, Path::new(""), "cgroup.events")
            }
            CgroupDir::Made(made) => read_events(&made.events),
        })
    }
}

impl Made {
    fn open(base: Arc<Base>, name: &Path) -> io::Result<Self> {
        let events = open(&base.dir, name, "cgroup.events", OFlag::O_RDONLY)?;
        let kill = match open(&base.dir, name, "cgroup.kill", OFlag::O_WRONLY) {
            Ok(kill) => Some(kill),
            Err(error) if is_gone(&error) && !exists(&base.dir, name, "cgroup.kill") => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            base,
            name: name.to_owned(),
            events: Arc::new(events),
            kill,
            retired: AtomicBool::new(false),
            host: std::process::id(),
        })
    }
}
