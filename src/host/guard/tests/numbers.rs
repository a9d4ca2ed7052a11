//! Which group a number stands for.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use super::super::list::GuardedStart;
use super::{guard, guard_gone, in_a_system, is_gone, runs_alone, stat, until};
use crate::{Command, NoProtocol};

#[test]
fn a_leader_with_any_name_is_known_by_its_time() {
    in_a_system(async {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("a) R 1\n(2 b)");
        fs::copy("/bin/sleep", &program).unwrap();
        let (guard, _told, pid) = guard().await;
        let sleep = || Command::new(&program).arg("300").process_group(0);
        let old = sleep().spawn(NoProtocol).await.unwrap();
        let new = sleep().spawn(NoProtocol).await.unwrap();
        assert_eq!(stat(old.spawned_pid()).unwrap().comm, "a) R 1\n(2 b)");
        guard.add(1, &old);
        guard.add(2, &new);
        // As if the number had come round: its leader started at another time.
        let time = stat(new.spawned_pid()).unwrap().starttime;
        guard.change(|starts| {
            starts.put(GuardedStart {
                generation: 2,
                group: Some(new.spawned_pid()),
                earliest: time - 2,
                latest: time - 1,
                cgroup: None,
            });
        });
        drop(guard);
        guard_gone(pid).await;
        old.ended().await;
        assert!(!is_gone(new.spawned_pid()));
        assert!(new.kill());
    });
}

/// A process with this number, which leads a group.
fn with_number(number: i32) -> std::process::Child {
    for _ in 0..500 {
        fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string()).unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("300")
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        if child.id() == number as u32 {
            return child;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    panic!("the number {number} was not to be had");
}

#[test]
fn a_number_that_was_given_anew_is_not_killed() {
    let test = "a_number_that_was_given_anew_is_not_killed";
    if !nix::unistd::geteuid().is_root() {
        eprintln!("{test}: skipped: only root may make a pid namespace");
        return;
    }
    // There numbers may be chosen without harm to others.
    let namespace = ["unshare", "--pid", "--fork", "--mount-proc"];
    if runs_alone(module_path!(), test, &namespace) {
        return;
    }
    in_a_system(async {
        let (guard, _told, pid) = guard().await;
        let sleep = Command::new("sleep").arg("300").process_group(0);
        let process = sleep.spawn(NoProtocol).await.unwrap();
        guard.add(1, &process);
        let number = process.spawned_pid();
        let began = stat(number).unwrap().starttime;
        assert!(process.kill());
        process.ended().await;
        // Another time.
        until("the clock ticks", || {
            let uptime = fs::read_to_string("/proc/uptime").unwrap();
            let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
            seconds * 100.0 > began as f64 + 2.0
        })
        .await;
        let mut other = with_number(number);
        drop(guard);
        guard_gone(pid).await;
        assert!(other.try_wait().unwrap().is_none(), "it was killed");
        other.kill().unwrap();
        other.wait().unwrap();
    });
}
