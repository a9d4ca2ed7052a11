//! A cgroup in which there may be no more processes. For tests in a process of their own.

use std::fs;
use std::path::PathBuf;

use crate::common::cgroups::own_directory;

/// Removed with the last process in it, which must have left or died.
pub struct FullCgroup(PathBuf);

impl FullCgroup {
    /// Moves this process, without its children, into a new cgroup of that kind. `None` where it may make
    /// none, or no controller counts processes.
    pub fn enter() -> Option<Self> {
        let parents = [own_directory(), version_1()];
        parents.into_iter().flatten().find_map(|parent| {
            let cgroup = Self(parent.join(format!("full-{}", std::process::id())));
            fs::create_dir(&cgroup.0).ok()?;
            // A limit below what is there already forbids the next only.
            fs::write(cgroup.0.join("pids.max"), "0").ok()?;
            fs::write(cgroup.0.join("cgroup.procs"), "0").ok()?;
            Some(cgroup)
        })
    }
}

/// The directory of this process's cgroup of the controller that counts processes.
fn version_1() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let counts = |line: &&str| {
        let options = line.split_once(" - cgroup ").map(|(_, options)| options);
        options.is_some_and(|options| options.split([' ', ',']).any(|option| option == "pids"))
    };
    let mount = mounts.lines().find(counts)?.split(' ').nth(4)?.to_owned();
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = cgroups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let counts = controllers.split(',').any(|name| name == "pids");
        counts.then_some(path)
    })?;
    Some(PathBuf::from(mount).join(own.trim_start_matches('/')))
}

impl Drop for FullCgroup {
    fn drop(&mut self) {
        // Back to where it came from.
        let parent = self.0.parent().unwrap().join("cgroup.procs");
        let _ = fs::write(parent, "0");
        let _ = fs::remove_dir(&self.0);
    }
}
