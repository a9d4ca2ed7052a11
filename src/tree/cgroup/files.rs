//! The files of a cgroup, by way of an open directory. What the directory was checked to be is all that is
//! trusted: no link is followed, and no open waits.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::libc;
use nix::sys::stat::Mode;
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, fstatfs};
use nix::unistd::{AccessFlags, faccessat};

use crate::sys;

/// A child that makes more than these below its own: SIGKILL reaches all of them all the same.
pub(super) const MOST_GROUPS: usize = 4096;

/// The hierarchies of cgroups that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

impl Version {
    /// Of what kind of cgroup this is the directory; `None`: of none.
    pub(super) fn of(dir: impl AsFd) -> io::Result<Option<Self>> {
        let kind = fstatfs(dir)?.filesystem_type();
        Ok(match kind {
            CGROUP2_SUPER_MAGIC => Some(Self::Two),
            CGROUP_SUPER_MAGIC => Some(Self::One),
            _ => None,
        })
    }
}

pub(super) fn open(dir: impl AsFd, name: &Path, file: &str, flags: OFlag) -> io::Result<OwnedFd> {
    let always = OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let opened = nix::fcntl::openat(dir, &name.join(file), flags | always, Mode::empty())?;
    Ok(sys::io::above_stdio(opened))
}

pub(super) fn read(dir: impl AsFd, name: &Path, file: &str) -> io::Result<String> {
    let mut text = String::new();
    File::from(open(dir, name, file, OFlag::O_RDONLY)?).read_to_string(&mut text)?;
    Ok(text)
}

pub(super) fn write(dir: impl AsFd, name: &Path, file: &str, text: &str) -> io::Result<()> {
    File::from(open(dir, name, file, OFlag::O_WRONLY)?).write_all(text.as_bytes())
}

pub(super) fn exists(dir: impl AsFd, name: &Path, file: &str) -> bool {
    faccessat(dir, &name.join(file), AccessFlags::F_OK, AtFlags::empty()).is_ok()
}

/// What an open `cgroup.events` says now.
pub(super) fn read_events(events: &OwnedFd) -> io::Result<String> {
    /// Two short lines, so far.
    const ENOUGH: usize = 512;
    let mut text = [0; ENOUGH];
    let length = nix::sys::uio::pread(events, &mut text, 0)?;
    let text = text.get(..length).unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// Whether somebody is there, by what came of reading `cgroup.events`. Only a cgroup that is gone is as
/// good as empty; of one that cannot be read it is not known.
pub(super) fn says_populated(events: &io::Result<String>) -> bool {
    match events {
        Ok(text) => !text.lines().any(|line| line == "populated 0"),
        Err(error) => !is_gone(error),
    }
}

/// Of a file in a cgroup that was removed, or that the kernel does not have.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

/// This process, or the machine, has no descriptor or no memory to spare just now.
pub(super) fn is_shortage(errno: Option<i32>) -> bool {
    matches!(errno, Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
}

/// The processes of one cgroup. 0 stands for one of another pid namespace.
pub(super) fn members_of(dir: impl AsFd, name: &Path) -> io::Result<Vec<i32>> {
    let text = read(dir, name, "cgroup.procs")?;
    Ok(text.lines().filter_map(|pid| pid.parse().ok()).collect())
}

/// The cgroup and those below it, `most` at most, as paths from the same directory; parents first.
///
/// # Errors
///
/// Those of a shortage: others mean that there is nothing more to find.
pub(super) fn all_groups(dir: impl AsFd, name: &Path, most: usize) -> io::Result<Vec<PathBuf>> {
    let dir = dir.as_fd();
    let mut found = vec![name.to_owned()];
    let mut next = 0;
    while let Some(group) = found.get(next)
        && let left = most.saturating_sub(found.len())
        && left > 0
    {
        match subgroups(dir, group, left) {
            Ok(below) => found.extend(below),
            Err(error) if is_shortage(error.raw_os_error()) => return Err(error),
            Err(_) => {}
        }
        next += 1;
    }
    Ok(found)
}

/// The cgroups right below the one of this name, `most` at most, as paths from the same directory.
pub(super) fn subgroups(dir: impl AsFd, name: &Path, most: usize) -> io::Result<Vec<PathBuf>> {
    let path = Path::new(".").join(name);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let mut listed = Dir::openat(dir, &path, flags, Mode::empty())?;
    let mut found = Vec::new();
    for entry in listed.iter() {
        let entry = entry?;
        let file = entry.file_name().to_bytes();
        if entry.file_type() != Some(Type::Directory) || matches!(file, b"." | b"..") {
            continue;
        }
        if found.len() >= most {
            break;
        }
        found.push(name.join(OsStr::from_bytes(file)));
    }
    Ok(found)
}

/// Of a cgroup that has processes, or others below it.
pub(super) fn is_busy(result: nix::Result<()>) -> bool {
    matches!(result, Err(Errno::EBUSY | Errno::ENOTEMPTY))
}
