//! Contained children where a cgroup cannot be had, is somewhere else than it was, or cannot be joined.

use crate::common;

use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use actix_process::{
    Command, Containment, Fd, NoProtocol, OnLeftovers, Signal, SpawnError, SpawnStep,
};
use common::census::children;
use common::cgroups::{has_cgroups, none_left, own_directory};
use common::helper::helper;
use common::isolated::{is_isolated, isolated, isolated_with};
use common::report::may_change_ids;
use common::trace::{data_of, spawned};
use common::{eventually, in_time, run};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

const NOBODY: u32 = 65534;

#[test]
fn a_host_that_is_moved_to_another_cgroup_finds_its_place_anew() {
    isolated(|| {
        if !has_cgroups() {
            return;
        }
        let first = own_directory().unwrap();
        let of_threads = first.join(format!("test-of-threads-{}", std::process::id()));
        let second = first.join(format!("test-{}", std::process::id()));
        let go = |to: &Path| fs::write(to.join("cgroup.procs"), std::process::id().to_string());
        for directory in [&of_threads, &second] {
            fs::create_dir(directory).unwrap();
        }
        // No processes can be moved below it.
        fs::write(of_threads.join("cgroup.type"), "threaded").unwrap();
        go(&of_threads).unwrap();
        run(async {
            assert_no_cgroup().await;
            // A place that was found is kept while it is there.
            for (place, gone) in [(&second, None), (&first, Some(&second))] {
                go(place).unwrap();
                if let Some(gone) = gone {
                    fs::remove_dir(gone).unwrap();
                }
                let child = Command::new("cat").arg("/proc/self/cgroup");
                let output = child.contained_by_cgroup().output().await.unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                let moved = text.contains(second.file_name().unwrap().to_str().unwrap());
                assert_eq!(moved, gone.is_none(), "{text}");
            }
        });
        fs::remove_dir(of_threads).unwrap();
    });
}

/// Holds that contained children of this process are held by a group, and that none gets a cgroup.
async fn assert_no_cgroup() {
    let process = helper(["pause"])
        .contained()
        .spawn(NoProtocol)
        .await
        .unwrap();
    assert_eq!(process.containment(), Containment::Group);
    process.signal_group(Signal::KILL).unwrap();
    let status = in_time(process.ended()).await;
    assert_eq!(status.signal(), Some(Signal::KILL));

    let insisting = helper(["exit"]).contained_by_cgroup();
    let error = insisting.spawn(NoProtocol).await.unwrap_err();
    assert_eq!(
        (error.step(), error.subject()),
        (SpawnStep::Limits, "cgroup")
    );
    assert!(!error.detail().is_empty(), "{error:?}");
    assert_eq!(children(), []);
}

#[test]
fn an_unprivileged_host_contains_by_a_group() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        run(async {
            nix::unistd::setgroups(&[]).unwrap();
            nix::unistd::setgid(NOBODY.into()).unwrap();
            nix::unistd::setuid(NOBODY.into()).unwrap();
            let command = Command::new("/bin/sleep").arg("60").current_dir("/");
            let process = command.clone().contained().spawn(NoProtocol).await.unwrap();
            assert_eq!(process.containment(), Containment::Group);
            process.signal_group(Signal::KILL).unwrap();
            in_time(process.ended()).await;
            let refused = command.contained_by_cgroup().spawn(NoProtocol).await;
            let error = refused.unwrap_err();
            assert_eq!(
                (error.step(), error.subject()),
                (SpawnStep::Limits, "cgroup")
            );
        });
    });
}

/// What becomes of this child where cgroups can be made, but only threads can be put into them.
fn spawned_where_it_cannot_join(child: &Command) -> Option<Result<Containment, SpawnError>> {
    if !has_cgroups() {
        return None;
    }
    let outside = own_directory().unwrap();
    let place = outside.join(format!("test-{}", std::process::id()));
    let go = |to: &Path| fs::write(to.join("cgroup.procs"), std::process::id().to_string());
    let hold = |command: Command| async move {
        let process = command.spawn(NoProtocol).await?;
        let status = in_time(process.ended()).await;
        assert!(status.success(), "{status}");
        Ok(process.containment())
    };
    run(async {
        let insisting = || helper(["exit"]).contained_by_cgroup();
        fs::create_dir(&place).unwrap();
        go(&place).unwrap();
        assert_eq!(hold(insisting()).await.unwrap(), Containment::Cgroup);
        go(&outside).unwrap();
        fs::write(place.join("cgroup.type"), "threaded").unwrap();
        let held = hold(child.clone()).await;
        // The next one goes where this process is now.
        assert_eq!(hold(insisting()).await.unwrap(), Containment::Cgroup);
        fs::remove_dir(&place).unwrap();
        Some(held)
    })
}

#[test]
fn a_child_that_cannot_join_its_cgroup_is_held_by_a_group() {
    isolated(|| {
        let held = spawned_where_it_cannot_join(&helper(["exit"]).contained());
        if let Some(held) = held {
            assert_eq!(held.unwrap(), Containment::Group);
        }
    });
}

#[test]
fn a_child_that_must_be_in_a_cgroup_and_cannot_join_it_is_refused() {
    isolated(|| {
        let held = spawned_where_it_cannot_join(&helper(["exit"]).contained_by_cgroup());
        if let Some(held) = held {
            let error = held.unwrap_err();
            let what = (error.step(), error.subject(), error.errno());
            let right = Some(nix::libc::EOPNOTSUPP);
            assert_eq!(what, (SpawnStep::Limits, "cgroup", right));
        }
    });
}

/// Where cgroups of version 2 are mounted.
fn mount_points() -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let lines = mounts.lines().filter(|line| line.contains(" - cgroup2 "));
    lines
        .map(|line| line.split(' ').nth(4).unwrap().to_owned())
        .collect()
}

fn with_mounts_of_its_own() -> std::io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    Ok(())
}

#[test]
fn where_the_cgroups_are_read_only_or_not_mounted_a_group_contains() {
    if !is_isolated() && !has_cgroups() {
        return;
    }
    for read_only in [true, false] {
        let change = |host: &mut std::process::Command| {
            let points = mount_points();
            let none = None::<&str>;
            let apart = move || {
                with_mounts_of_its_own()?;
                for point in &points {
                    if read_only {
                        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
                        mount(none, point.as_str(), none, flags, none)?;
                    } else {
                        umount2(point.as_str(), MntFlags::MNT_DETACH)?;
                    }
                }
                Ok(())
            };
            // SAFETY: system calls over what was prepared.
            unsafe { host.pre_exec(apart) };
        };
        isolated_with(change, || run(assert_no_cgroup()));
    }
}

/// Uses up all descriptors but so many.
fn use_up_but(left: usize) -> Vec<fs::File> {
    let mut held = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        held.push(file);
    }
    held.truncate(held.len() - left);
    held
}

fn limit_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 128, hard).unwrap();
}

#[test]
fn leftovers_of_a_contained_child_die_also_where_there_are_no_descriptors() {
    isolated(|| {
        if !has_cgroups() {
            return;
        }
        limit_descriptors();
        run(async {
            let child = helper([
                "leave", "6", "setsid", "ignore", "15", "say", "left", "pause", "pause",
            ]);
            let child = child.contained_by_cgroup().on_leftovers(OnLeftovers::Kill);
            let (trace, process) = spawned(child).await;
            trace.output(&process, 1, "left\n").await;
            let pid = trace.until(&process, "the daemon's pid", |events| {
                let text = String::from_utf8(data_of(events, 1)).ok()?;
                let (pid, _) = text.split_once("held ")?.1.split_once('\n')?;
                pid.parse::<i32>().ok()
            });
            let stat = fs::File::open(format!("/proc/{}/stat", pid.await)).unwrap();
            let held = use_up_but(0);
            // The child alone.
            process.signal(Signal::KILL).unwrap();
            in_time(process.exited()).await;
            let state = || {
                let mut text = [0; 4096];
                let length = stat.read_at(&mut text, 0).ok()?;
                let text = String::from_utf8_lossy(&text[..length]).into_owned();
                Some(text.rsplit_once(") ")?.1.chars().next().unwrap())
            };
            let dead = || matches!(state(), None | Some('Z' | 'X')).then_some(());
            eventually("the daemon's death", dead, || format!("{:?}", state())).await;
            drop(held);
            none_left().await;
            in_time(process.ended()).await;
        });
    });
}

#[test]
fn a_shortage_of_descriptors_is_not_taken_for_a_host_without_cgroups() {
    isolated(|| {
        if !has_cgroups() {
            return;
        }
        limit_descriptors();
        run(async {
            let child = || {
                let child = Command::new("/bin/true").stdin(Fd::null());
                child.stdout(Fd::null()).stderr(Fd::null())
            };
            in_time(child().status().into_future()).await.unwrap();
            for left in 0..16 {
                let held = use_up_but(left);
                let spawned = in_time(child().contained().spawn(NoProtocol)).await;
                drop(held);
                if let Ok(process) = spawned {
                    assert_eq!(process.containment(), Containment::Cgroup, "{left} left");
                    in_time(process.ended()).await;
                }
            }
            let contained = child().contained_by_cgroup();
            in_time(contained.status().into_future()).await.unwrap();
        });
    });
}

#[test]
fn a_look_removes_only_so_many_cgroups_of_dead_hosts() {
    isolated(|| {
        if !has_cgroups() {
            return;
        }
        let outside = own_directory().unwrap();
        let own = outside.join(format!("test-many-{}", std::process::id()));
        let go = |to: &Path| fs::write(to.join("cgroup.procs"), std::process::id().to_string());
        fs::create_dir(&own).unwrap();
        go(&own).unwrap();
        let link = fs::read_link("/proc/self/ns/pid").unwrap();
        let text = link.to_str().unwrap().to_owned();
        let namespace = text.trim_matches(|c: char| !c.is_ascii_digit());
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        let paths = (0..300).map(|count| {
            own.join(format!(
                "actix-process-{namespace}-{}-12-{count}",
                dead.id()
            ))
        });
        let paths: Vec<_> = paths.collect();
        for path in &paths {
            fs::create_dir(path).unwrap();
        }
        run(async {
            Command::new("true").contained().status().await.unwrap();
        });
        let left = paths.iter().filter(|path| path.exists()).count();
        assert!((44..300).contains(&left), "{left} are left");
        go(&outside).unwrap();
        for path in paths {
            let _ = fs::remove_dir(path);
        }
        fs::remove_dir(own).unwrap();
    });
}
