//! Cgroups of services with real children. What concerns the host's own place is in [`host`].

mod host;
mod scratch;

use std::fs;
use std::io;
use std::time::Duration;

use nix::libc;

use super::*;
use crate::{Command, Containment, Ladder, NoProtocol, ProcessHandle};
use scratch::{Scratch, eventually, in_time, run};

/// A shell with a daemon in a session of its own, which has a child, and another child in a group of its own. All ignore SIGTERM.
const TREE: &str = "trap '' TERM; setsid sh -c 'sleep 600 & sleep 600; :' & \
    setsid -f sleep 600; sleep 600; :";
/// The processes of it.
const IN_TREE: usize = 6;

fn none() -> CgroupLimits {
    CgroupLimits::new()
}

async fn spawn(leaf: &Leaf, script: &str) -> ProcessHandle {
    let child = Command::new("sh").args(["-c", script]);
    let child = child.process_group(0).cgroup(leaf.directory().unwrap());
    child.spawn(NoProtocol).await.unwrap()
}

#[test]
fn a_leaf_with_thousands_of_cgroups_below_it_is_removed_on_another_thread() {
    let Some(scratch) = Scratch::make("thousands") else {
        return;
    };
    run(async {
        let cgroups = scratch.cgroups();
        let mut leaf = cgroups.leaf("web", 3, &none()).unwrap().unwrap();
        let path = scratch.path().join(scratch.names().pop().unwrap());
        for outer in 0..5 {
            let outer = path.join(outer.to_string());
            fs::create_dir(&outer).unwrap();
            for inner in 0..1000 {
                fs::create_dir(outer.join(inner.to_string())).unwrap();
            }
        }
        assert!(!leaf.remove().unwrap(), "that is too many at once");
        assert!(path.join("4/999").exists());
        drop(leaf);
        eventually("its removal", || !path.exists());
    });
}

#[test]
fn a_stop_by_the_ladder_is_over_when_nobody_is_in_the_leaf() {
    let Some(scratch) = Scratch::make("stop") else {
        return;
    };
    run(async {
        let mut leaf = scratch.cgroups().leaf("web", 3, &none()).unwrap().unwrap();
        let process = spawn(&leaf, TREE).await;
        assert_eq!(process.containment(), Containment::Cgroup);
        let name = scratch.names().remove(0);
        assert!(name.ends_with("-3-web"), "{name}");
        eventually("the tree", || scratch.members(&name).len() == IN_TREE);
        assert!(!leaf.remove().unwrap(), "somebody is in it");
        let ladder = Ladder::terminate(Duration::from_millis(20));
        let stopped = in_time(process.stop(ladder)).await.unwrap();
        assert_eq!(stopped.leftovers, []);
        assert!(leaf.remove().unwrap());
        assert!(leaf.remove().unwrap(), "once more is no error");
        assert_eq!(scratch.names(), [] as [&str; 0]);
        assert_eq!(leaf.oom_kills(), 0);
    });
}

#[test]
fn a_leaf_that_is_dropped_with_somebody_in_it_is_removed_at_a_later_start() {
    let Some(scratch) = Scratch::make("later") else {
        return;
    };
    run(async {
        let cgroups = scratch.cgroups();
        let leaf = cgroups.leaf("a", 0, &none()).unwrap().unwrap();
        let process = spawn(&leaf, "setsid -f sleep 600").await;
        in_time(process.exited()).await;
        let first = scratch.names().remove(0);
        assert_eq!(scratch.members(&first).len(), 1);
        drop(leaf);
        drop(cgroups.leaf("b", 1, &none()).unwrap());
        assert_eq!(scratch.names(), [first.as_str()]);
        fs::create_dir(scratch.path().join(&first).join("below")).unwrap();
        fs::write(scratch.path().join(&first).join("cgroup.kill"), "1").unwrap();
        eventually("the daemon's death", || scratch.members(&first).is_empty());
        let last = cgroups.leaf("c", 2, &none()).unwrap().unwrap();
        assert!(scratch.names().remove(0).ends_with("-2-c"));
        // Nobody starts a service after this one: it is removed after the end of the monitor, when nobody is in it any more.
        let process = spawn(&last, "setsid -f sleep 600").await;
        in_time(process.exited()).await;
        let name = scratch.names().remove(0);
        drop(last);
        drop(cgroups);
        assert_eq!(scratch.names(), [name.as_str()]);
        fs::write(scratch.path().join(&name).join("cgroup.kill"), "1").unwrap();
        eventually("the removal", || scratch.names().is_empty());
    });
}

#[test]
fn a_full_hierarchy_fails_that_start_and_leaves_nothing() {
    let Some(scratch) = Scratch::make("full") else {
        return;
    };
    let cgroups = scratch.cgroups();
    fs::write(scratch.path().join("cgroup.max.descendants"), "1").unwrap();
    let first = cgroups.leaf("a", 0, &none()).unwrap().unwrap();
    let error = cgroups.leaf("b", 1, &none()).unwrap_err();
    assert!(error.to_string().contains("mkdir"), "{error}");
    assert_eq!(io::Error::from(error).raw_os_error(), Some(libc::EAGAIN));
    assert_eq!(scratch.names().len(), 1);
    let why = ServiceCgroups::find(&CgroupPlace::Directory(scratch.path())).unwrap_err();
    assert!(why.contains("no cgroup can be made"), "{why}");
    drop(first);
    drop(cgroups.leaf("b", 2, &none()).unwrap().unwrap());
    assert_eq!(scratch.names(), [] as [&str; 0]);
}

#[test]
fn a_limit_that_cannot_be_set_is_a_problem_that_names_the_controller_and_why() {
    let group = ServiceCgroups::find(&CgroupPlace::Nowhere).unwrap();
    assert_eq!(group.containment(), MonitorContainment::Group);
    assert!(group.leaf("a", 0, &none()).unwrap().is_none());
    assert!(group.check(&none()).is_ok());
    let problem = group.check(&none().pids_max(5)).unwrap_err();
    assert_eq!(problem.field, "pids_max");
    assert!(problem.problem.contains("told to make none"), "{problem:?}");
    assert!(group.leaf("a", 0, &none().pids_max(5)).is_err());
    let problem = group.check(&none().cpu_max(0.0)).unwrap_err();
    assert!(problem.problem.contains("0.01"), "{problem:?}");

    let Some(scratch) = Scratch::make("limits") else {
        return;
    };
    let cgroups = scratch.cgroups();
    let MonitorContainment::Cgroup { controllers } = cgroups.containment() else {
        panic!("{:?}", cgroups.containment());
    };
    for (controller, field, limits) in [
        ("memory", "memory_max", none().memory_max(1 << 30)),
        ("pids", "pids_max", none().pids_max(100)),
        ("cpu", "cpu_max", none().cpu_max(1.0)),
    ] {
        let checked = cgroups.check(&limits);
        if controllers.iter().any(|known| known == controller) {
            checked.unwrap();
            continue;
        }
        let LimitProblem {
            field: told,
            problem,
        } = checked.unwrap_err();
        assert_eq!(told, field);
        assert!(problem.contains(&format!("`{controller}`")), "{problem}");
        let own = fs::read("/proc/self/cgroup").unwrap();
        if mounts::is_in_version_1(&own, controller) {
            assert!(problem.contains("version 1"), "{problem}");
        }
        // Never silence: not after the check either.
        let error = cgroups.leaf("a", 0, &limits).unwrap_err();
        assert!(error.to_string().contains(controller), "{error}");
        assert_eq!(scratch.names(), [] as [&str; 0]);
    }
}

#[test]
fn limits_hold_where_there_are_their_controllers() {
    let Some(scratch) = Scratch::make("hold") else {
        return;
    };
    let cgroups = scratch.cgroups();
    let limits = none().memory_max(32 << 20).pids_max(3).cpu_max(0.5);
    if let Err(problem) = cgroups.check(&limits) {
        return eprintln!("skipped: {problem:?}");
    }
    run(async {
        let leaf = cgroups.leaf("greedy", 0, &limits).unwrap().unwrap();
        let at = scratch.path().join(scratch.names().remove(0));
        let read = |file: &str| fs::read_to_string(at.join(file)).unwrap();
        assert_eq!(read("memory.max"), "33554432\n");
        assert_eq!(read("memory.oom.group"), "1\n");
        assert_eq!(read("pids.max"), "3\n");
        assert_eq!(read("cpu.max"), "50000 100000\n");
        let _ = fs::write(at.join("memory.swap.max"), "0");
        let process = spawn(&leaf, "sleep 600 & tail /dev/zero; :").await;
        let status = in_time(process.exited()).await;
        assert_eq!(status.signal(), Some(crate::Signal::KILL));
        assert!(leaf.oom_kills() > 0);
    });
}

#[test]
fn what_holds_services_is_told_in_a_line() {
    let with = |controllers: &[&str]| MonitorContainment::Cgroup {
        controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
    };
    assert_eq!(with(&[]).to_string(), "cgroup without controllers");
    assert_eq!(with(&["cpu", "pids"]).to_string(), "cgroup with cpu, pids");
    assert_eq!(MonitorContainment::Group.to_string(), "process group");
    assert!(MonitorContainment::Group.does_not_hold().contains("setsid"));
}
