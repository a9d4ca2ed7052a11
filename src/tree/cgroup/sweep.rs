//! The removal of empty cgroups: of one with what its processes made below it, and of what dead hosts have left.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::files::{all_groups, is_busy, read, says_populated, subgroups};
use super::name::{Host, NameOf};

/// What came of an attempt to remove a cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is gone, or will stay whatever is done.
    Over,
    /// Somebody is in it: its events tell when nobody is.
    Populated,
    /// Nothing announces when there will be descriptors again.
    Short,
}

/// Removes a cgroup that is empty, with those that its processes made below it, `most` in all. `path` is that of `dir`, for the
/// log.
pub(super) fn remove_all(
    dir: &OwnedFd,
    path: &Path,
    name: &Path,
    is_populated: impl Fn() -> bool,
    most: usize,
) -> Outcome {
    let remove = |name: &Path| unlinkat(dir, name, UnlinkatFlags::RemoveDir);
    // Mostly there is nothing below it.
    let mut result = remove(name);
    if is_busy(result) {
        if is_populated() {
            return Outcome::Populated;
        }
        let Ok(groups) = all_groups(dir, name, most) else {
            return Outcome::Short;
        };
        for group in groups.iter().rev() {
            result = remove(group);
        }
        if is_busy(result) && is_populated() {
            return Outcome::Populated;
        }
    }
    match result {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(error) => log::warn!("the cgroup {} stays: {error}", path.join(name).display()),
    }
    Outcome::Over
}

/// Removes what hosts have left that died before they could, as far as it is empty.
///
/// The owner of the directory may make any number of them: this many are looked at. What a host with more
/// children has left, the next look finds.
pub(super) fn sweep(dir: &OwnedFd, path: &Path, host: &Host) {
    const MOST_NAMES: usize = 4096;
    const MOST: usize = 256;
    let names = subgroups(dir, Path::new(""), MOST_NAMES).unwrap_or_default();
    let left_by_dead = names.iter().filter(|name| {
        let of = name.to_str().and_then(NameOf::parse);
        of.is_some_and(|of| of.is_dead(host))
    });
    let begun = Instant::now();
    for name in left_by_dead.take(MOST) {
        let is_populated = || says_populated(&read(dir, name, "cgroup.events"));
        remove_all(dir, path, name, is_populated, MOST);
        if begun.elapsed() > MOST_TIME {
            break;
        }
    }
}

/// For a sweep, which a spawn waits for.
const MOST_TIME: Duration = Duration::from_millis(100);
