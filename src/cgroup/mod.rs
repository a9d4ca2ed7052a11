//! Cgroups (version 2) that hold a child with all that it starts: made for it, or given by the caller.
//!
//! All is done by file operations relative to an open directory. A cgroup of our own is removed when
//! it drops, or as soon as it is empty after that.

mod base;
mod name;
mod removal;
mod signalling;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::dir::{Dir, Type};
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, faccessat};

use base::{Base, Refusal, base, forget};
use name::Host;

use crate::error::SpawnError;
use crate::spec::{Contain, Spec};
use crate::sys;

/// A cgroup in which a child is, or is to be.
#[derive(Debug)]
pub(crate) struct Cgroup(Place);

#[derive(Debug)]
enum Place {
    /// The caller's, which is never removed.
    Given(Arc<OwnedFd>),
    Made(Made),
}

/// Our own, below the base.
#[derive(Debug)]
struct Made {
    base: Arc<Base>,
    name: PathBuf,
    /// Somebody sees to its removal.
    retired: AtomicBool,
    /// A fork of the host leaves it alone.
    host: u32,
}

impl Cgroup {
    /// The one that a child of this command shall join; `None` also where the strongest hold is another.
    pub(crate) fn of(spec: &Spec) -> Result<Option<Self>, SpawnError> {
        let Some(contain) = spec.contain else {
            let given = spec.cgroup.as_ref();
            return Ok(given.map(|dir| Self(Place::Given(Arc::clone(dir)))));
        };
        match (Self::make(), contain) {
            (Ok(cgroup), _) => Ok(Some(cgroup)),
            (Err(refusal), Contain::Strongest) => {
                log::debug!("no cgroup for a child, it gets a group: {refusal}");
                Ok(None)
            }
            (Err(refusal), Contain::Cgroup) => Err(refusal.into()),
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
        Ok(Self(Place::Made(Made {
            base,
            name,
            retired: AtomicBool::new(false),
            host: std::process::id(),
        })))
    }

    /// A child could not join it: the next look for a base begins anew.
    pub(crate) fn distrust(&self) {
        log::debug!("a child cannot join its cgroup");
        if let Place::Made(made) = &self.0 {
            forget(&made.base);
        }
    }

    /// The file by which a process joins it.
    pub(crate) fn open_procs(&self) -> io::Result<OwnedFd> {
        let (dir, name) = self.place();
        // What the caller gave may be no cgroup at all.
        let flags = OFlag::O_WRONLY | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
        let procs = open(dir, name, "cgroup.procs", flags)?;
        Ok(sys::io::above_stdio(procs.into()))
    }

    /// Its directory: an open one, and the path from there; empty for the same.
    fn place(&self) -> (BorrowedFd<'_>, &Path) {
        match &self.0 {
            Place::Given(dir) => (dir.as_fd(), Path::new("")),
            Place::Made(made) => (made.base.dir.as_fd(), &made.name),
        }
    }

    /// Whether a process is in it, or below it; a zombie is none. Of what cannot be told, no.
    pub(crate) fn is_populated(&self) -> bool {
        let (dir, name) = self.place();
        is_populated(dir, name)
    }
}

/// `cgroup.events`: told of by poll whenever the last process leaves or the first comes.
fn open_events(dir: impl AsFd, name: &Path) -> io::Result<OwnedFd> {
    let events = open(dir, name, "cgroup.events", OFlag::O_RDONLY)?;
    Ok(sys::io::above_stdio(events.into()))
}

fn is_populated(dir: impl AsFd, name: &Path) -> bool {
    read(dir, name, "cgroup.events").is_ok_and(|events| says_populated(&events))
}

/// What the text of `cgroup.events` says.
fn says_populated(events: &str) -> bool {
    !events.lines().any(|line| line == "populated 0")
}

fn open(dir: impl AsFd, name: &Path, file: &str, flags: OFlag) -> io::Result<File> {
    let flags = flags | OFlag::O_CLOEXEC;
    let opened = nix::fcntl::openat(dir, &name.join(file), flags, Mode::empty())?;
    Ok(opened.into())
}

fn read(dir: impl AsFd, name: &Path, file: &str) -> io::Result<String> {
    let mut text = String::new();
    open(dir, name, file, OFlag::O_RDONLY)?.read_to_string(&mut text)?;
    Ok(text)
}

fn write(dir: impl AsFd, name: &Path, file: &str, text: &str) -> io::Result<()> {
    open(dir, name, file, OFlag::O_WRONLY)?.write_all(text.as_bytes())
}

fn exists(dir: impl AsFd, name: &Path, file: &str) -> bool {
    faccessat(dir, &name.join(file), AccessFlags::F_OK, AtFlags::empty()).is_ok()
}

/// The cgroups right below the one of this name, as paths from the same directory.
fn subgroups(dir: impl AsFd, name: &Path) -> io::Result<Vec<PathBuf>> {
    let path = Path::new(".").join(name);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut listed = Dir::openat(dir, &path, flags, Mode::empty())?;
    let mut found = Vec::new();
    for entry in listed.iter() {
        let entry = entry?;
        let file = entry.file_name().to_bytes();
        if entry.file_type() == Some(Type::Directory) && !matches!(file, b"." | b"..") {
            found.push(name.join(OsStr::from_bytes(file)));
        }
    }
    Ok(found)
}
