//! Where cgroups of services can be made: below this process's own, below the unit's of which systemd made it a subgroup, or below
//! one that the user gives.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::files::{self, is_cgroup, members, open_directory};
use super::mounts::{directories, own_cgroup};
use super::name::LeafMaker;
use super::parent::CgroupParent;

/// The place that belongs to this process, by what /proc tells. `may_move`: this process leaves it where it is in the way of
/// controllers.
pub(super) fn own(may_move: bool) -> Result<CgroupParent, String> {
    // systemd tells the processes that it executes itself their number.
    let by_systemd = std::env::var("SYSTEMD_EXEC_PID").ok();
    let by_systemd = by_systemd.is_some_and(|pid| pid == std::process::id().to_string());
    own_as(by_systemd, may_move)
}

/// As [`own`]; `by_systemd`: systemd has executed this process, and so has chosen its cgroup.
pub(super) fn own_as(by_systemd: bool, may_move: bool) -> Result<CgroupParent, String> {
    let text = fs::read("/proc/self/cgroup")
        .map_err(|error| format!("/proc/self/cgroup cannot be read: {error}"))?;
    let own = own_cgroup(&text).ok_or("there are no cgroups of version 2")?;
    let mounts = fs::read("/proc/self/mountinfo")
        .map_err(|error| format!("/proc/self/mountinfo cannot be read: {error}"))?;
    let mut refused = "no mounted file system of cgroups of version 2 shows its own".to_owned();
    for path in directories(&mounts, own) {
        let found = own_at(own, path, by_systemd).and_then(|mut parent| {
            if may_move && parent.is_occupied() {
                parent.move_host()?;
            }
            Ok(parent)
        });
        match found {
            Ok(parent) => return Ok(parent),
            Err(why) => refused = why,
        }
    }
    Err(refused)
}

/// The place for the cgroup `own`, which may be the one at `path`.
fn own_at(own: &Path, path: PathBuf, by_systemd: bool) -> Result<CgroupParent, String> {
    let dir = directory(&path)?;
    let is_own = is_cgroup(&dir).is_ok_and(|is_cgroup| is_cgroup)
        && members(&dir).is_ok_and(|members| members.contains(&std::process::id().cast_signed()));
    if !is_own {
        return Err(format!(
            "{} is not the cgroup of this process",
            path.display()
        ));
    }
    if is_subgroup(own, by_systemd)
        && let Some(above) = path.parent()
        && let Ok(parent) = above_of(&dir, above)
    {
        return Ok(parent);
    }
    CgroupParent::try_out_own(dir, path)
}

/// The place that this user gives.
pub(super) fn given(path: &Path) -> Result<CgroupParent, String> {
    CgroupParent::try_out(directory(path)?, path.to_owned())
}

/// The cgroup above that of this process, if limits can be set below that.
fn above_of(dir: &OwnedFd, path: &Path) -> Result<CgroupParent, String> {
    let failed = |error| format!("{}: {error}", path.display());
    let above = open_directory(dir, "..").map_err(failed)?;
    files::may_write(&above, "cgroup.subtree_control").map_err(failed)?;
    match members(&above) {
        Ok(members) if members.is_empty() => CgroupParent::try_out(above, path.to_owned()),
        Ok(_) => Err(format!("{} has processes", path.display())),
        Err(error) => Err(failed(error)),
    }
}

/// Whether the cgroup was made for this process alone, below the one that is delegated to it: by systemd, as the
/// `DelegateSubgroup=` of the unit, or by a monitor of this process, which has moved it there. Of any other cgroup nobody knows what the
/// one above it is for: another manager may hold this process by it.
fn is_subgroup(own: &Path, by_systemd: bool) -> bool {
    let name = own.file_name().and_then(|name| name.to_str());
    let above = own.parent().and_then(Path::file_name);
    let above = above.and_then(|name| name.to_str());
    let is_unit = |name: &str| name.ends_with(".service") || name.ends_with(".scope");
    let of_unit =
        by_systemd && above.is_some_and(is_unit) && name.is_some_and(|name| !is_unit(name));
    let moved = name.and_then(LeafMaker::parse);
    of_unit || moved.is_some_and(|maker| maker.is_this_process())
}

fn directory(path: &Path) -> Result<OwnedFd, String> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty()).map_err(|error| {
        let error = std::io::Error::from(error);
        format!("{} cannot be opened: {error}", path.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_systemd_or_this_process_has_made_is_a_subgroup() {
        let is = |own: &str, by_systemd| is_subgroup(Path::new(own), by_systemd);
        assert!(is("/system.slice/foo.service/host", true));
        assert!(is(
            "/user.slice/user-1.slice/user@1.service/app.slice/x.service/sub",
            true
        ));
        for own in [
            "/",
            "/foo.service",
            "/system.slice/foo.service",
            "/system.slice/host",
            "/user@1.service/init.scope",
            "/user@1.service/app.slice/x.scope",
        ] {
            assert!(!is(own, true), "{own}");
        }
        // Another manager's cgroup for this process.
        assert!(!is("/system.slice/foo.service/host", false));
        let mine = LeafMaker::new().name(0, "host");
        assert!(is(&format!("/a/{mine}"), false));
        assert!(!is("/a/actix-monitor-1-1-1-1-0-host", false));
    }
}
