//! The cgroups that this crate makes below the one of this process.

use std::fs;
use std::path::PathBuf;

use super::census::is_gone;
use super::eventually;
use super::isolated::skipped;
use super::report::may_change_ids;

/// The directory of this process's cgroup (version 2), if there is one.
pub fn own_directory() -> Option<PathBuf> {
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = cgroups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    let mount = line.split(' ').nth(4).unwrap();
    Some(PathBuf::from(mount).join(own))
}

/// Whether a contained child gets a cgroup here: where this process may make one, it must.
pub fn has_cgroups() -> bool {
    let Some(directory) = own_directory().filter(|_| may_change_ids()) else {
        return false;
    };
    let probe = directory.join(format!(
        "probe-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let made = fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe));
    if let Err(error) = &made {
        skipped(&format!("no cgroup can be made: {error}"));
    }
    made.is_ok()
}

/// Those that this process has made, and that are still there.
pub fn ours() -> Vec<PathBuf> {
    let Some(directory) = own_directory() else {
        return Vec::new();
    };
    let pid = std::process::id().to_string();
    let entries = fs::read_dir(directory).unwrap().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("actix-process-") && name.split('-').nth(3) == Some(&pid)
        })
        .collect()
}

/// Whoever is in them.
pub fn members() -> Vec<i32> {
    let procs = ours().into_iter().map(|path| path.join("cgroup.procs"));
    let texts = procs.filter_map(|path| fs::read_to_string(path).ok());
    let mut pids: Vec<i32> = texts
        .flat_map(|text| {
            text.lines()
                .map(|pid| pid.parse().unwrap())
                .collect::<Vec<_>>()
        })
        .collect();
    pids.sort_unstable();
    pids
}

/// Waits until none of them is left.
pub async fn none_left() {
    let none = || ours().is_empty().then_some(());
    eventually("the cgroups to be removed", none, || {
        format!("{:?} with {:?}", ours(), members())
    })
    .await;
}

/// Waits until this process is gone.
pub async fn gone(pid: i32) {
    let gone = || is_gone(pid).then_some(());
    eventually("a process to be gone", gone, || pid.to_string()).await;
}
