//! Children in a cgroup (version 2) that the test mounts, where root may.

use crate::common;

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_process::{Command, Containment, NoProtocol, OnOrphaned, Signal, SpawnStep};
use common::census::is_gone;
use common::helper::helper;
use common::isolated::{isolated, skipped};
use common::many_fds::{MANY, ManyFds};
use common::report::may_change_ids;
use common::trace::{data_of, history, spawned};
use common::{eventually, in_time, run};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use tempfile::TempDir;

/// A new cgroup. Unmounted when it drops; [`remove`](Self::remove) removes it before.
struct Cgroup {
    root: TempDir,
    name: String,
}

impl Cgroup {
    /// None where that may not be: the reason is printed.
    fn make(purpose: &str) -> Option<Self> {
        if !may_change_ids() {
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        let what = Some("cgroup2");
        if let Err(error) = mount(what, root.path(), what, MsFlags::empty(), None::<&str>) {
            skipped(&format!("no cgroup v2 can be mounted: {error}"));
            return None;
        }
        let name = format!("actix-process-test-{purpose}-{}", std::process::id());
        let group = Self { root, name };
        match fs::create_dir(group.path()) {
            Ok(()) => Some(group),
            Err(error) => {
                skipped(&format!("no cgroup can be made: {error}"));
                None
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.root.path().join(&self.name)
    }

    fn open(&self) -> OwnedFd {
        File::open(self.path()).unwrap().into()
    }

    fn members(&self) -> String {
        fs::read_to_string(self.path().join("cgroup.procs")).unwrap_or_default()
    }

    /// It can be removed once the kernel has let go of its last process.
    async fn remove(self) {
        let removed = || fs::remove_dir(self.path()).ok();
        eventually("the cgroup to be empty", removed, || self.members()).await;
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(self.path());
        // Another test's child may be about to exec, with the directory still open.
        let _ = umount2(self.root.path(), MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_child_is_in_its_cgroup_from_the_start() {
    let Some(group) = Cgroup::make("start") else {
        return;
    };
    run(async {
        let child = || Command::new("cat").arg("/proc/self/cgroup");
        let line = format!("0::/{}", group.name);
        // Also one that gives up the privilege for it: it joins before.
        let as_nobody = child().user("nobody").current_dir("/");
        for child in [child(), as_nobody] {
            let output = child.cgroup(group.open()).output().await.unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.lines().any(|l| l == line), "{text}");
        }
        // The descriptor by which it joined is not the program's.
        let text = history(&helper(["fds"]).cgroup(group.open())).await.text(1);
        assert_eq!(text.lines().count(), 3, "{text}");
        let ours = fs::read_to_string("/proc/self/cgroup").unwrap();
        assert!(!ours.contains(&group.name), "{ours}");
        group.remove().await;
    });
}

#[test]
fn a_child_of_a_parent_with_many_descriptors_is_in_its_cgroup() {
    isolated(|| {
        let Some(group) = Cgroup::make("many") else {
            return;
        };
        run(async {
            ManyFds::open().await;
            let line = format!("0::/{}", group.name);
            for _ in 0..3 {
                let directory = group.open();
                assert!(directory.as_raw_fd() > MANY, "{directory:?}");
                let child = Command::new("cat").arg("/proc/self/cgroup");
                let output = child.cgroup(directory).output().await.unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                assert!(text.lines().any(|l| l == line), "{text}");
            }
            group.remove().await;
        });
    });
}

#[test]
fn a_directory_that_is_no_cgroup_is_refused_before_anything_in_it_is_opened() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let precious = directory.path().join("precious");
        let forged = directory.path().join("forged");
        fs::write(&precious, "as it was").unwrap();
        fs::create_dir(&forged).unwrap();
        // Somebody else's: what is written to the one file comes into another, and the other one blocks.
        std::os::unix::fs::symlink(&precious, forged.join("cgroup.procs")).unwrap();
        nix::unistd::mkfifo(&forged.join("cgroup.events"), Mode::S_IRWXU).unwrap();
        for path in [directory.path(), &forged] {
            let child = Command::new("true").cgroup(File::open(path).unwrap().into());
            let error = in_time(child.spawn(NoProtocol)).await.unwrap_err();
            assert_eq!(
                (error.step(), error.subject()),
                (SpawnStep::Limits, "cgroup")
            );
            assert!(error.to_string().contains("version 2"), "{error}");
        }
        assert_eq!(fs::read_to_string(&precious).unwrap(), "as it was");
    });
}

#[test]
fn a_cgroup_that_holds_the_host_is_joined_and_never_signalled() {
    isolated(|| {
        let Some(group) = Cgroup::make("host") else {
            return;
        };
        let below = group.path().join("below");
        fs::create_dir(&below).unwrap();
        enter(&below);
        let mut bystander = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        run(async {
            let line = |name: &str| format!("0::/{}{name}\n", group.name);
            for (path, name) in [(&below, "/below"), (&group.path(), "")] {
                let open = || File::open(path).unwrap().into();
                let child = Command::new("cat").arg("/proc/self/cgroup");
                // Above processes that are in a cgroup of their own nobody may join if it has controllers.
                let output = in_time(child.cgroup(open()).output().into_future())
                    .await
                    .unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                assert!(text.contains(&line(name)), "{text}");

                let endless = || helper(["pause"]).cgroup(open());
                let late = endless().output().timeout(Duration::from_millis(50));
                assert!(in_time(late.into_future()).await.is_err());
                let process = endless().spawn(NoProtocol).await.unwrap();
                assert_eq!(process.containment(), Containment::Process);
                assert!(process.signal_group(Signal::KILL).is_err());
                let orphan = endless().on_orphaned(OnOrphaned::Kill);
                let orphan = orphan.spawn(NoProtocol).await.unwrap();
                assert!(process.kill());
                assert!(orphan.kill());
                in_time(process.ended()).await;
                in_time(orphan.ended()).await;
            }
            assert_eq!(bystander.try_wait().unwrap(), None);
        });
        bystander.kill().unwrap();
        bystander.wait().unwrap();
        enter(group.root.path());
        fs::remove_dir(&below).unwrap();
    });
}

#[test]
fn a_host_that_comes_into_the_cgroup_of_a_child_later_is_left_out() {
    isolated(|| {
        let Some(group) = Cgroup::make("later") else {
            return;
        };
        run(async {
            let child = helper(["leave", "4", "setsid", "say", "left", "pause", "pause"]);
            let (trace, process) = spawned(child.cgroup(group.open())).await;
            trace.output(&process, 1, "left\n").await;
            assert_eq!(process.containment(), Containment::Cgroup);
            let below = group.path().join("below");
            fs::create_dir(&below).unwrap();
            enter(&below);
            if cfg!(actix_process_force_no_pidfd) {
                // One by one they are found by pidfd only: nobody is signalled while this process is there.
                assert!(process.signal_group(Signal::CONT).is_err());
                assert!(process.signal_group(Signal::KILL).is_err());
                enter(group.root.path());
            } else {
                process.signal_group(Signal::CONT).unwrap();
            }
            process.signal_group(Signal::KILL).unwrap();
            let history = trace.ended(&process).await;
            assert_eq!(history.status().signal(), Some(Signal::KILL));
            let none = || group.members().is_empty().then_some(());
            eventually("all others to be dead", none, || group.members()).await;
            enter(group.root.path());
            fs::remove_dir(&below).unwrap();
        });
    });
}

/// This process joins the cgroup of this directory.
fn enter(directory: &Path) {
    fs::write(
        directory.join("cgroup.procs"),
        std::process::id().to_string(),
    )
    .unwrap();
}

#[test]
fn whoever_left_the_group_dies_with_the_cgroup() {
    let Some(group) = Cgroup::make("kill") else {
        return;
    };
    run(async {
        // The child, which leads a group, and its child, which left that group.
        let child = helper(["leave", "4", "setpgid", "say", "left", "pause", "pause"]);
        let child = child.process_group(0).cgroup(group.open());
        let (trace, process) = spawned(child).await;
        trace.output(&process, 1, "left\n").await;
        let descendant = trace
            .until(&process, "the descendant's pid", |events| {
                let text = String::from_utf8(data_of(events, 1)).ok()?;
                let (pid, _) = text.split_once("held ")?.1.split_once('\n')?;
                pid.parse().ok()
            })
            .await;
        assert!(!is_gone(descendant));
        assert_eq!(process.containment(), Containment::Cgroup);
        process.signal_group(Signal::KILL).unwrap();
        let history = trace.ended(&process).await;
        assert_eq!(history.status().signal(), Some(Signal::KILL));
        let gone = || is_gone(descendant).then_some(());
        eventually("the descendant's death", gone, || descendant.to_string()).await;
        group.remove().await;
    });
}

#[test]
fn a_cgroup_of_version_1_is_joined_and_never_signalled() {
    if !may_change_ids() {
        return;
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts
        .lines()
        .find(|line| line.contains(" - cgroup cgroup rw,pids"));
    let Some(mount) = mount.and_then(|line| line.split(' ').nth(4)) else {
        return skipped("no cgroups of version 1 are mounted");
    };
    let path = Path::new(mount).join(format!("actix-process-test-{}", std::process::id()));
    if let Err(error) = fs::create_dir(&path) {
        return skipped(&format!("no cgroup can be made: {error}"));
    }
    run(async {
        let open = || File::open(&path).unwrap().into();
        let child = Command::new("cat").arg("/proc/self/cgroup");
        let output = child.cgroup(open()).output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("/actix-process-test-"), "{text}");
        let process = helper(["pause"]).cgroup(open());
        let process = process.spawn(NoProtocol).await.unwrap();
        assert_eq!(process.containment(), Containment::Process);
        assert!(process.kill());
        in_time(process.ended()).await;
        let removed = || fs::remove_dir(&path).ok();
        eventually("the cgroup to be empty", removed, || {
            path.display().to_string()
        })
        .await;
    });
}
