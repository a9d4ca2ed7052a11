//! The place of the host: below which cgroup those of services are made, and what a dead host has left.

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::super::mounts::{directories, own_cgroup};
use super::super::parent::CgroupParent;
use super::super::*;
use super::none;
use super::scratch::{Scratch, enter, eventually, isolated, killed_when_ready};

/// The names of the cgroups right below.
fn below(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap().flatten();
    let directories = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    directories
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

/// Whether it makes cgroups right in this directory.
fn makes_in(parent: CgroupParent, path: &Path) -> bool {
    let cgroups = ServiceCgroups(Ok(Arc::new(parent)));
    let leaf = cgroups.leaf("probe", 0, &none()).unwrap().unwrap();
    let made = below(path).iter().any(|name| name.ends_with("-0-probe"));
    drop(leaf);
    made
}

#[test]
fn what_a_killed_host_has_left_is_removed_by_the_next_if_it_is_empty() {
    let scratch = killed_when_ready(
        || Scratch::make("killed"),
        |path| {
            let cgroups = ServiceCgroups::find(&CgroupPlace::Directory(path.to_owned())).unwrap();
            let leaf = |id, n| cgroups.leaf(id, n, &none()).unwrap().unwrap();
            let (empty, full) = (leaf("empty", 1), leaf("full", 2));
            let mut child = std::process::Command::new("sleep")
                .arg("600")
                .spawn()
                .unwrap();
            let names = below(path);
            let of = |end: &str| path.join(names.iter().find(|name| name.ends_with(end)).unwrap());
            fs::write(of("-full").join("cgroup.procs"), child.id().to_string()).unwrap();
            fs::create_dir(of("-empty").join("below")).unwrap();
            assert!(child.try_wait().unwrap().is_none());
            std::mem::forget((empty, full));
        },
    );
    let Some(scratch) = scratch else { return };
    assert_eq!(scratch.names().len(), 2);
    let foreign = scratch.path().join("actix-monitor-other");
    fs::create_dir(&foreign).unwrap();
    // One of this process is in use.
    let cgroups = scratch.cgroups();
    let own = cgroups.leaf("own", 0, &none()).unwrap().unwrap();
    drop(scratch.cgroups());
    let names = scratch.names();
    let ends = |end: &str| names.iter().any(|name| name.ends_with(end));
    assert!(ends("-full") && ends("-own") && ends("-other"), "{names:?}");
    assert_eq!(names.len(), 3, "{names:?}");

    let full = names.iter().find(|name| name.ends_with("-full")).unwrap();
    fs::write(scratch.path().join(full).join("cgroup.kill"), "1").unwrap();
    eventually("its death", || scratch.members(full).is_empty());
    drop(scratch.cgroups());
    drop(own);
    assert_eq!(scratch.names(), ["actix-monitor-other"]);
}

#[test]
fn for_a_subgroup_that_systemd_made_the_units_own_cgroup_is_used() {
    let prepare = || {
        let scratch = Scratch::make("unit")?;
        fs::create_dir_all(scratch.path().join("x.service/sub")).unwrap();
        Some(scratch)
    };
    isolated(prepare, |path| {
        let unit = path.join("x.service");
        let sub = unit.join("sub");
        enter(&sub);
        assert!(makes_in(find::own_as(true, false).unwrap(), &unit));
        assert!(makes_in(find::own_as(true, true).unwrap(), &unit));
        // Whoever else has made the subgroup may hold this process by it.
        assert!(makes_in(find::own_as(false, false).unwrap(), &sub));
        // Somebody sits in the unit's cgroup: no limit can be set below it.
        let mut other = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        fs::write(unit.join("cgroup.procs"), other.id().to_string()).unwrap();
        assert!(makes_in(find::own_as(true, false).unwrap(), &sub));
        other.kill().unwrap();
        other.wait().unwrap();
    });
}

#[test]
fn a_host_moves_only_if_it_is_told_to_and_controllers_can_be_enabled_after_that() {
    isolated(
        || Scratch::make("move"),
        |path| {
            enter(path);
            let own = || {
                let text = fs::read("/proc/self/cgroup").unwrap();
                own_cgroup(&text).unwrap().to_owned()
            };
            let before = own();
            let parent = find::own_as(false, false).unwrap();
            assert!(parent.is_occupied());
            assert!(makes_in(parent, path));
            assert_eq!(own(), before, "it was not asked to move");

            let parent = find::own_as(false, true).unwrap();
            assert!(!parent.is_occupied());
            let moved = own();
            assert_eq!(moved.parent(), Some(&*before));
            assert!(moved.to_str().unwrap().ends_with("-0-host"), "{moved:?}");
            assert!(makes_in(parent, path));
            // A second monitor finds the same place, whether or not it may move.
            for may_move in [false, true] {
                assert!(makes_in(find::own_as(false, may_move).unwrap(), path));
                assert_eq!(own(), moved);
            }
            // The cgroup of a host that lives is not swept.
            assert_eq!(below(path).len(), 1, "{:?}", below(path));
        },
    );
}

#[test]
fn a_controller_is_enabled_where_no_process_is_in_the_way_and_else_the_problem_says_who() {
    /// Takes back what the test has changed in this file.
    struct Enabled(PathBuf, String);
    impl Drop for Enabled {
        fn drop(&mut self) {
            let _ = fs::write(&self.0, format!("-{}", self.1));
        }
    }
    let mut change = None;
    let prepare = || {
        let own = fs::read("/proc/self/cgroup").unwrap();
        let mounts = fs::read("/proc/self/mountinfo").unwrap();
        let own = directories(&mounts, own_cgroup(&own)?).into_iter().next()?;
        let controllers = fs::read_to_string(own.join("cgroup.controllers")).ok()?;
        let control = own.join("cgroup.subtree_control");
        let any = controllers.split_whitespace().next().unwrap_or_default();
        if fs::read_to_string(&control).ok()?.trim_end().is_empty() {
            // Only the root may have processes, and controllers for its children.
            if let Err(error) = fs::write(&control, format!("+{any}")) {
                eprintln!("skipped: no controller of {controllers:?} can be enabled: {error}");
                return None;
            }
            change = Some(Enabled(control, any.to_owned()));
        }
        Scratch::make("controller")
    };
    isolated(prepare, |path| {
        let controllers = fs::read_to_string(path.join("cgroup.controllers")).unwrap();
        let controller = controllers.split_whitespace().next().unwrap();
        let enabled = || fs::read_to_string(path.join("cgroup.subtree_control")).unwrap();
        enter(path);
        let parent = find::own_as(false, false).unwrap();
        let problem = parent.enable(controller).unwrap_err();
        assert!(problem.contains(&format!("`{controller}`")), "{problem}");
        assert!(problem.contains("this process is in it"), "{problem}");
        assert!(problem.contains("MoveHost"), "{problem}");
        let mut other = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        let problem = parent.enable(controller).unwrap_err();
        assert!(problem.contains("this process and 1 others"), "{problem}");
        let moved = find::own_as(false, true).unwrap();
        let problem = moved.enable(controller).unwrap_err();
        assert!(problem.contains("1 processes are in it"), "{problem}");
        other.kill().unwrap();
        other.wait().unwrap();
        moved.enable(controller).unwrap();
        assert_eq!(enabled().trim_end(), controller);
        moved.enable(controller).unwrap();
        let problem = moved.enable("no-such").unwrap_err();
        assert!(problem.contains("`no-such`"), "{problem}");
    });
    drop(change);
}

#[test]
fn a_read_only_file_system_of_cgroups_leaves_the_group() {
    isolated(
        || Scratch::make("readonly"),
        |path| {
            let nothing = None::<&str>;
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(nothing, "/", nothing, private, nothing).unwrap();
            let text = fs::read("/proc/self/mountinfo").unwrap();
            for at in directories(&text, Path::new("/")) {
                let again = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
                mount(nothing, &at, nothing, again, nothing).unwrap();
            }
            let found = ServiceCgroups::find(&CgroupPlace::Found).unwrap();
            assert_eq!(found.containment(), MonitorContainment::Group);
            let problem = found.check(&none().memory_max(1 << 30)).unwrap_err();
            assert!(problem.problem.contains("Read-only"), "{problem:?}");
            for place in [
                CgroupPlace::MoveHost,
                CgroupPlace::Directory(path.to_owned()),
            ] {
                let why = ServiceCgroups::find(&place).unwrap_err();
                assert!(why.contains("Read-only"), "{why}");
            }
        },
    );
}

#[test]
fn a_directory_that_is_no_cgroup_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("cgroup.procs"), "").unwrap();
    let find = |path: &Path| ServiceCgroups::find(&CgroupPlace::Directory(path.to_owned()));
    let why = find(directory.path()).unwrap_err();
    assert!(why.contains("not a cgroup"), "{why}");
    let why = find(Path::new("/no/such")).unwrap_err();
    assert!(why.contains("No such file"), "{why}");
}
