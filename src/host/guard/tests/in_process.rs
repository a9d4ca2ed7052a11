//! What a guard does whose owner drops it: for it that is the death of its host.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;

use super::super::{Guard, GuardEvent};
use super::{Family, all_gone, all_told, guard, guard_gone, ignores, in_a_system, runs_alone};
use crate::{Command, Fd, NoProtocol};

#[test]
fn a_listed_group_is_killed_and_a_removed_one_is_not() {
    in_a_system(async {
        let (guard, _told, pid) = guard().await;
        let (listed, removed) = (Family::spawn().await, Family::spawn().await);
        guard.add(1, &listed.process);
        guard.add(2, &removed.process);
        guard.remove(2);
        guard.remove(2);
        drop(guard);
        guard_gone(pid).await;
        all_gone(listed.group).await;
        assert_eq!(removed.members(), 2);
    });
}

#[test]
fn what_a_dead_leader_left_is_killed() {
    in_a_system(async {
        let (guard, _told, pid) = guard().await;
        let (before, after) = (Family::spawn().await, Family::spawn().await);
        guard.add(1, &before.process);
        for family in [&before, &after] {
            assert!(family.process.kill());
            family.process.exited().await;
        }
        // Reaped before anybody looked.
        guard.add(2, &after.process);
        assert_eq!((before.members(), after.members()), (1, 1));
        drop(guard);
        guard_gone(pid).await;
        all_gone(before.group).await;
        all_gone(after.group).await;
    });
}

#[test]
fn the_end_kills_nothing() {
    in_a_system(async {
        let (guard, mut told, pid) = guard().await;
        let family = Family::spawn().await;
        guard.add(1, &family.process);
        guard.end().await;
        assert!(super::is_gone(pid));
        assert_eq!(family.members(), 2);
        // It is not replaced: what would do that is gone, and with it the other end of this.
        assert!(told.recv().await.is_none());
    });
}

#[test]
fn a_stopped_guard_ends_as_well() {
    in_a_system(async {
        let (guard, _told, pid) = guard().await;
        let family = Family::spawn().await;
        guard.add(1, &family.process);
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        guard.end().await;
        assert!(super::is_gone(pid));
        assert_eq!(family.members(), 2);
    });
}

#[test]
fn signals_do_nothing_to_a_guard() {
    in_a_system(async {
        let (guard, _told, pid) = guard().await;
        let family = Family::spawn().await;
        guard.add(1, &family.process);
        for signal in Signal::iterator() {
            use Signal::{
                SIGBUS, SIGFPE, SIGILL, SIGIO, SIGKILL, SIGPWR, SIGSEGV, SIGSTKFLT, SIGSTOP,
                SIGSYS, SIGTRAP,
            };
            // Those that say what has gone wrong inside, and those that nobody can ignore.
            let fatal = [
                SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGTRAP,
            ];
            if fatal.contains(&signal)
                || [SIGIO, SIGPWR, SIGSTKFLT, Signal::SIGABRT].contains(&signal)
            {
                continue;
            }
            kill(Pid::from_raw(pid), signal).unwrap();
        }
        all_told(&guard).await;
        assert_eq!(guard.pid(), Some(pid));
        assert!(ignores(pid, 1) && ignores(pid, 2) && ignores(pid, 3));
        drop(guard);
        guard_gone(pid).await;
        all_gone(family.group).await;
    });
}

#[test]
fn a_killed_guard_is_replaced_and_knows_all() {
    in_a_system(async {
        let (guard, mut told, mut pid) = guard().await;
        let families = [
            Family::spawn().await,
            Family::spawn().await,
            Family::spawn().await,
        ];
        guard.add(0, &families[0].process);
        guard.add(1, &families[1].process);
        for generation in 1..=2 {
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            let lost = told.recv().await;
            assert!(matches!(lost, Some(GuardEvent::Lost { .. })), "{lost:?}");
            // Nobody guards now, or the next one does already.
            assert_ne!(guard.pid(), Some(pid));
            guard.remove(generation - 1);
            guard.add(generation, &families[generation as usize].process);
            let replaced = told.recv().await;
            assert!(
                matches!(replaced, Some(GuardEvent::Replaced)),
                "{replaced:?}"
            );
            assert_ne!(guard.pid(), Some(pid));
            pid = guard.pid().unwrap();
        }
        guard.add(1, &families[1].process);
        drop(guard);
        guard_gone(pid).await;
        all_gone(families[1].group).await;
        all_gone(families[2].group).await;
        assert_eq!(families[0].members(), 2);
    });
}

#[test]
fn a_guard_stopped_for_a_while_knows_all_and_holds_up_nobody() {
    in_a_system(async {
        let (guard, mut told, pid) = guard().await;
        let (listed, removed) = (Family::spawn().await, Family::spawn().await);
        guard.add(0, &removed.process);
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        for generation in 1..10_000 {
            guard.announce(generation);
            guard.tell();
        }
        guard.remove(0);
        guard.add(10_000, &listed.process);
        for generation in 1..10_000 {
            guard.remove(generation);
        }
        drop(guard);
        assert_eq!(listed.members(), 2);
        kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
        guard_gone(pid).await;
        all_gone(listed.group).await;
        assert_eq!(removed.members(), 2);
        assert!(told.try_recv().is_err(), "it was not replaced");
    });
}

/// The file of the list, as the guard has it.
fn list_of(pid: i32) -> String {
    format!("/proc/{pid}/fd/3")
}

#[test]
fn ten_thousand_starts_leave_nothing_in_the_list_and_wake_nobody() {
    in_a_system(async {
        let (guard, _told, pid) = guard().await;
        all_told(&guard).await;
        let family = Family::spawn().await;
        let size = || fs::metadata(list_of(pid)).unwrap().len();
        let wakes = || {
            let status = Process::new(pid).unwrap().status().unwrap();
            status.voluntary_ctxt_switches.unwrap()
        };
        let before = wakes();
        for generation in 0..10_000 {
            guard.announce(generation);
            guard.tell();
            guard.add(generation, &family.process);
            guard.remove(generation);
        }
        let list = fs::read_to_string(list_of(pid)).unwrap();
        let mut lines = list.lines().map(str::trim_end);
        assert!(lines.all(str::is_empty), "{list}");
        assert!(size() <= 4096, "{} bytes", size());
        assert_eq!(wakes(), before);
        assert_eq!(family.members(), 2);
        guard.end().await;
    });
}

#[test]
fn a_guard_whose_list_cannot_be_written_is_replaced_when_it_can() {
    let test = "a_guard_whose_list_cannot_be_written_is_replaced_when_it_can";
    if runs_alone(module_path!(), test, &[]) {
        return;
    }
    in_a_system(async {
        let (guard, mut told, _) = guard().await;
        let family = Family::spawn().await;
        let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        // The kernel's answer to a write would be a SIGXFSZ, which ends this process.
        setrlimit(Resource::RLIMIT_FSIZE, 10, hard).unwrap();
        guard.add(1, &family.process);
        let lost = told.recv().await;
        assert!(matches!(lost, Some(GuardEvent::Lost { .. })), "{lost:?}");
        let failed = told.recv().await;
        assert!(
            matches!(failed, Some(GuardEvent::Failed { .. })),
            "{failed:?}"
        );
        setrlimit(Resource::RLIMIT_FSIZE, soft, hard).unwrap();
        while !matches!(told.recv().await, Some(GuardEvent::Replaced)) {}
        let pid = guard.pid().unwrap();
        drop(guard);
        guard_gone(pid).await;
        all_gone(family.group).await;
    });
}

/// What the descriptors of a process are.
fn descriptors(pid: i32) -> BTreeSet<(String, String)> {
    let folder = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    folder
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let what = fs::read_link(entry.path()).ok()?;
            let number = entry.file_name().to_string_lossy().into_owned();
            Some((number, what.to_string_lossy().into_owned()))
        })
        .collect()
}

#[test]
fn a_guard_holds_nothing_but_its_pipe_and_its_list_and_nobody_else_holds_those() {
    in_a_system(async {
        let (guard, _told, pid) = guard().await;
        let child = Command::new("sleep").arg("300").stdout(Fd::null());
        let child = child.spawn(NoProtocol).await.unwrap();
        let others = std::process::Command::new("sleep").arg("300").spawn();
        let mut others = others.unwrap();

        let held = descriptors(pid);
        let pipe = held.iter().find(|(number, _)| number == "0").unwrap();
        let pipe = pipe.1.clone();
        assert!(pipe.starts_with("pipe:"), "{pipe}");
        for (number, what) in &held {
            let expected = match &**number {
                "1" | "2" => "/dev/null",
                "3" => "/memfd:actix-process-guard (deleted)",
                _ => &pipe,
            };
            assert_eq!(what, expected, "{held:?}");
        }
        for process in [child.spawned_pid(), others.id() as i32] {
            let held = descriptors(process);
            let is_its = |what: &str| what == pipe || what.contains("actix-process-guard");
            assert!(held.iter().all(|(_, what)| !is_its(what)), "{held:?}");
        }
        let status = Process::new(pid).unwrap();
        assert_eq!(status.cwd().unwrap().to_str(), Some("/"));
        assert_eq!(status.stat().unwrap().session, pid);
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
        assert_eq!(environment, b"PATH=/usr/bin:/bin\0");
        child.kill();
        others.kill().unwrap();
        others.wait().unwrap();
        Guard::end(guard).await;
    });
}

#[test]
fn a_guard_that_cannot_be_replaced_is_tried_again() {
    let test = "a_guard_that_cannot_be_replaced_is_tried_again";
    if runs_alone(module_path!(), test, &[]) {
        return;
    }
    in_a_system(async {
        let (guard, mut told, pid) = guard().await;
        let family = Family::spawn().await;
        guard.add(1, &family.process);
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        let lost = told.recv().await;
        assert!(matches!(lost, Some(GuardEvent::Lost { .. })), "{lost:?}");
        let mut delays = Vec::new();
        for _ in 0..3 {
            match told.recv().await {
                Some(GuardEvent::Failed { delay, .. }) => delays.push(delay.as_millis()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(delays, [100, 200, 400]);
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        let replaced = told.recv().await;
        assert!(
            matches!(replaced, Some(GuardEvent::Replaced)),
            "{replaced:?}"
        );
        let pid = guard.pid().unwrap();
        drop(guard);
        guard_gone(pid).await;
        all_gone(family.group).await;
    });
}
