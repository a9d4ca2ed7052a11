//! Real groups: a busy child, a grandchild that holds memory, a job in a group of its own.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

use futures::{FutureExt, SinkExt};

use super::*;
use crate::Command;
use crate::Opened;
use crate::PtySize;

/// Holds 32 MiB, says so, and rests.
const HOLDER: &str = r#"x=$(head -c 33554432 /dev/zero | tr "\0" x); echo ready; sleep 600; :"#;

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

/// A child that has said that it is ready, and its group.
async fn ready(command: Command) -> (Opened, i32) {
    let mut opened = command.open().await.unwrap();
    let within = Duration::from_secs(60);
    opened.stdout.find("ready", within).await.unwrap();
    let group = opened.process.pid().unwrap();
    (opened, group)
}

/// The usage of a group, as soon as it is so.
fn when(group: i32, what: impl Fn(&Usage) -> bool) -> Usage {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let usage = sample(&[group]).unwrap().get(&group).copied();
        match usage {
            Some(usage) if what(&usage) => return usage,
            _ => assert!(Instant::now() < deadline, "at last {usage:?}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn run(test: impl Future<Output = ()>) {
    actix::System::new().block_on(test.boxed_local());
}

#[test]
fn a_busy_child_and_a_grandchild_that_holds_memory_are_one_sum() {
    run(async {
        let (_kept, group) = ready(sh(&format!("({HOLDER}) & while :; do :; done"))).await;
        let (_other, other) = ready(sh("echo ready; exec sleep 600")).await;
        let before = when(group, |usage| usage.processes == 3 && usage.rss > 32 << 20);
        when(group, |usage| {
            usage.cpu >= before.cpu + Duration::from_millis(100)
        });
        let both = sample(&[group, other]).unwrap();
        assert_eq!(both.len(), 2, "{both:?}");
        assert_eq!(both[&other].processes, 1, "{both:?}");
        assert!(both[&other].rss < 16 << 20, "{both:?}");
        assert!(both[&other].cpu < both[&group].cpu, "{both:?}");
    });
}

#[test]
fn the_time_of_a_child_that_was_reaped_stays() {
    run(async {
        let script =
            "(i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done); echo ready; exec sleep 600";
        let (_kept, group) = ready(sh(script)).await;
        let usage = sample(&[group]).unwrap()[&group];
        assert_eq!(usage.processes, 1);
        assert!(usage.cpu >= Duration::from_millis(40), "{usage:?}");
    });
}

#[test]
fn a_job_of_a_session_counts_though_it_has_a_group_of_its_own() {
    run(async {
        // The shell has jobs only on a terminal.
        let shell = sh("set -m; sleep 60 & echo ready; wait").pty(PtySize::new(24, 80));
        let (_kept, session) = ready(shell).await;
        when(session, |usage| usage.processes == 2);
        // The drop kills the group of the child, not that of its job.
        let job = fs::read_dir("/proc").unwrap().find_map(|entry| {
            let stat = Stat::from_file(entry.ok()?.path().join("stat")).ok()?;
            (stat.session == session && stat.pgrp != session).then_some(stat.pgrp)
        });
        let job = nix::unistd::Pid::from_raw(job.unwrap());
        nix::sys::signal::killpg(job, nix::sys::signal::SIGKILL).unwrap();
    });
}

#[test]
fn a_zombie_is_no_process() {
    run(async {
        let script = "exec 3<&0; (read line <&3) & echo ready; exec sleep 600";
        let (mut kept, group) = ready(sh(script)).await;
        // A shell would reap its child.
        let name = format!("/proc/{group}/comm");
        let deadline = Instant::now() + Duration::from_secs(60);
        while fs::read_to_string(&name).unwrap() != "sleep\n" {
            assert!(Instant::now() < deadline, "no exec");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(sample(&[group]).unwrap()[&group].processes, 2);
        kept.stdin.send("end\n".into()).await.unwrap();
        when(group, |usage| usage.processes == 1);
    });
}

#[test]
fn the_name_of_a_program_misleads_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join(OsStr::from_bytes(b"a) Z 1 1 (\xff\n"));
    fs::copy("/bin/sh", &odd).unwrap();
    run(async {
        let command = Command::new(&odd).args(["-c", "echo ready; read line"]);
        let (_kept, group) = ready(command).await;
        assert_eq!(sample(&[group]).unwrap()[&group].processes, 1);
    });
}

#[test]
fn what_is_no_group_or_has_no_process_has_no_usage() {
    // The threads of the kernel have the group 0. No group has the greatest number.
    assert_eq!(sample(&[0, -1, i32::MAX]).unwrap(), HashMap::new());
    assert_eq!(sample(&[]).unwrap(), HashMap::new());
}
