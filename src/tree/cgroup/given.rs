//! A cgroup that the caller gives: what it may be taken for, and whether this process is in it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::libc;

use super::base::own_cgroup;
use super::files::{MOST_GROUPS, Version, all_groups, is_gone, is_shortage, members_of, read};
use super::{Cgroup, CgroupDir};
use crate::error::{SpawnError, SpawnStep};

impl Cgroup {
    /// The cgroup whose directory this is; `is_new`: it was made for the child.
    pub(super) fn given(dir: &Arc<OwnedFd>, is_new: bool) -> Result<Self, SpawnError> {
        if is_new {
            return Ok(Self(CgroupDir::New(Arc::clone(dir))));
        }
        let failed = |error| SpawnError::new(SpawnStep::Limits, "cgroup", error);
        let Some(version) = Version::of(dir).map_err(failed)? else {
            let why = "its directory is not that of a cgroup of version 2";
            return Err(SpawnError::limits("cgroup", why));
        };
        let dir = Arc::clone(dir);
        if version == Version::Two {
            match holds_strangers_only(&dir) {
                Ok(true) => return Ok(Self(CgroupDir::Given(dir))),
                Ok(false) => {}
                Err(error) if is_shortage(error.raw_os_error()) => return Err(failed(error)),
                Err(error) => log::debug!("a cgroup does not tell who is in it: {error}"),
            }
        }
        Ok(Self(CgroupDir::Joined(dir)))
    }
}

/// Whether all of it can be signalled: it holds processes, not threads, and not this process.
fn holds_strangers_only(dir: &OwnedFd) -> io::Result<bool> {
    let whole = Path::new("");
    // The root of all has neither of these files.
    read(dir, whole, "cgroup.events")?;
    let kind = read(dir, whole, "cgroup.type")?;
    members_of(dir, whole)?;
    Ok(kind.trim_end() != "threaded" && !has_host(dir, whole)?)
}

/// Whether this process is in the cgroup, or in one below it.
pub(super) fn has_host(dir: impl AsFd, name: &Path) -> io::Result<bool> {
    let (dir, we) = (dir.as_fd(), std::process::id().cast_signed());
    let has_us = |group: &Path| match members_of(dir, group) {
        Ok(members) => Ok(members.contains(&we)),
        // Gone, or of threads only: its processes are its parent's.
        Err(error) if is_gone(&error) || error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            Ok(false)
        }
        Err(error) => Err(error),
    };
    // By the end of our own path, first: it is found whatever else is there.
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let own = own_cgroup(&own).unwrap_or_default();
    let parts: Vec<&str> = own.split('/').filter(|part| !part.is_empty()).collect();
    for start in 0..=parts.len() {
        let below: PathBuf = parts.iter().skip(start).collect();
        // From outside of the cgroup namespace the path climbs.
        if !below.starts_with("..") && has_us(&name.join(below))? {
            return Ok(true);
        }
    }
    // What the path leads to may be above all that we see of it.
    for group in all_groups(dir, name, MOST_GROUPS)? {
        if has_us(&group)? {
            return Ok(true);
        }
    }
    Ok(false)
}
