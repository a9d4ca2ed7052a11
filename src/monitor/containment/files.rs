//! The files of a cgroup, by way of an open directory, and what their texts say. No link is followed, and no open waits.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::Mode;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, fstatfs};
use nix::unistd::{AccessFlags, UnlinkatFlags, faccessat, unlinkat};

/// Whether this is the directory of a cgroup of version 2.
pub(super) fn is_cgroup(dir: impl AsFd) -> io::Result<bool> {
    Ok(fstatfs(dir)?.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

/// The directory of this path below `dir`. It serves as a place, not for a listing.
pub(super) fn open_directory(dir: impl AsFd, name: impl AsRef<Path>) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    Ok(openat(dir, name.as_ref(), flags, Mode::empty())?)
}

pub(super) fn open(dir: impl AsFd, path: impl AsRef<Path>, flags: OFlag) -> io::Result<OwnedFd> {
    let always = OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    Ok(openat(dir, path.as_ref(), flags | always, Mode::empty())?)
}

pub(super) fn read(dir: impl AsFd, path: impl AsRef<Path>) -> io::Result<String> {
    let mut text = String::new();
    File::from(open(dir, path, OFlag::O_RDONLY)?).read_to_string(&mut text)?;
    Ok(text)
}

pub(super) fn write(dir: impl AsFd, path: impl AsRef<Path>, text: &str) -> io::Result<()> {
    File::from(open(dir, path, OFlag::O_WRONLY)?).write_all(text.as_bytes())
}

pub(super) fn exists(dir: impl AsFd, path: impl AsRef<Path>) -> bool {
    faccessat(dir, path.as_ref(), AccessFlags::F_OK, AtFlags::empty()).is_ok()
}

/// Whether this process may write the file, by its effective ids.
pub(super) fn may_write(dir: impl AsFd, path: impl AsRef<Path>) -> io::Result<()> {
    faccessat(dir, path.as_ref(), AccessFlags::W_OK, AtFlags::AT_EACCESS)?;
    Ok(())
}

/// The processes right in a cgroup, not below it. 0 stands for one of another pid namespace.
pub(super) fn members(dir: impl AsFd) -> io::Result<Vec<i32>> {
    let text = read(dir, "cgroup.procs")?;
    Ok(text.lines().filter_map(|pid| pid.parse().ok()).collect())
}

/// The cgroups right below the one of this path, `most` at most, as paths from the same directory.
pub(super) fn below(dir: impl AsFd, path: &Path, most: usize) -> io::Result<Vec<PathBuf>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let mut listed = Dir::openat(dir, &Path::new(".").join(path), flags, Mode::empty())?;
    let mut found = Vec::new();
    for entry in listed.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if entry.file_type() != Some(Type::Directory) || matches!(name, b"." | b"..") {
            continue;
        }
        if found.len() >= most {
            break;
        }
        found.push(path.join(OsStr::from_bytes(name)));
    }
    Ok(found)
}

/// Removes an empty cgroup. Gone already is as good.
fn remove_one(dir: impl AsFd, path: &Path) -> io::Result<()> {
    match unlinkat(dir, path, UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(nix::errno::Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What became of an attempt to remove a cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    Done,
    /// A process is in it.
    Populated,
    /// Its processes have made more cgroups below it than are removed at once: see [`remove_deep`].
    TooMany,
}

/// Removes a cgroup that holds no process, with the cgroups that its processes have made below it, if they are not many.
pub(super) fn remove(dir: impl AsFd, path: &Path) -> io::Result<Removal> {
    /// So many are removed at once: an arbiter waits for it.
    const MOST: usize = 64;
    let dir = dir.as_fd();
    // Mostly there is nothing below it.
    let Err(error) = remove_one(dir, path) else {
        return Ok(Removal::Done);
    };
    if populated(&read(dir, path.join("cgroup.events")))? {
        return Ok(Removal::Populated);
    }
    let mut found = vec![path.to_owned()];
    let mut next = 0;
    while let Some(group) = found.get(next) {
        let more = below(dir, group, MOST)?;
        found.extend(more);
        if found.len() > MOST {
            return Ok(Removal::TooMany);
        }
        next += 1;
    }
    if found.len() == 1 {
        // The last process has left between the two calls.
        return remove_one(dir, path)
            .map(|()| Removal::Done)
            .map_err(|_| error);
    }
    for group in found.iter().rev() {
        remove_one(dir, group)?;
    }
    Ok(Removal::Done)
}

/// Removes a cgroup that holds no process with all below it, however many there are. Not for an arbiter.
pub(super) fn remove_deep(dir: impl AsFd, path: &Path) -> io::Result<()> {
    const PIECE: usize = 256;
    let dir = dir.as_fd();
    let mut left = vec![path.to_owned()];
    while let Some(group) = left.last() {
        if let Err(error) = remove_one(dir, group) {
            let more = below(dir, group, PIECE)?;
            if more.is_empty() {
                return Err(error);
            }
            left.extend(more);
        } else {
            left.pop();
        }
    }
    Ok(())
}

/// Whether somebody is in the cgroup, by what came of reading its `cgroup.events`. Nobody is in one that is gone.
pub(super) fn populated(events: &io::Result<String>) -> io::Result<bool> {
    match events {
        Ok(text) => Ok(value_of(text, "populated") != Some(0)),
        Err(error) => match error.raw_os_error() {
            Some(nix::libc::ENOENT | nix::libc::ENODEV) => Ok(false),
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => Err(error.kind().into()),
        },
    }
}

/// The number after `key` in a text of lines `key number`.
pub(super) fn value_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok())?
    })
}

/// How many processes of the cgroup the kernel has killed for want of memory, by its `memory.events`.
pub(super) fn oom_kills(events: &str) -> u64 {
    value_of(events, "oom_kill").unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_events_tell_the_kills_alone() {
        let text = "low 0\nhigh 2\nmax 31\noom 4\noom_kill 3\noom_group_kill 1\n";
        assert_eq!(oom_kills(text), 3);
        for none in [
            "",
            "oom_kill\n",
            "oom_kill x\n",
            "oom 5\noom_kill_x 7\n",
            "oom_kill -1\n",
        ] {
            assert_eq!(oom_kills(none), 0, "{none}");
        }
        assert_eq!(oom_kills("oom_kill 18446744073709551615"), u64::MAX);
        assert_eq!(oom_kills("oom_kill 18446744073709551616"), 0);
    }

    #[test]
    fn only_a_text_that_says_so_or_a_cgroup_that_is_gone_is_empty() {
        let says = |text: &str| populated(&Ok(text.to_owned())).unwrap();
        assert!(says("populated 1\nfrozen 0\n"));
        assert!(!says("populated 0\nfrozen 0\n"));
        assert!(says(""));
        assert!(says("populated\n"));
        let error = |errno| populated(&Err(io::Error::from_raw_os_error(errno)));
        assert!(!error(nix::libc::ENODEV).unwrap());
        assert!(!error(nix::libc::ENOENT).unwrap());
        let told = error(nix::libc::EMFILE).unwrap_err();
        assert_eq!(told.raw_os_error(), Some(nix::libc::EMFILE));
    }
}
