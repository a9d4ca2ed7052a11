//! What a guard does whose owner drops it: for it that is the death of its host.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;

use super::super::{Guard, GuardEvent};
use super::{Family, all_gone, all_read, guard, guard_gone, ignores, in_a_system, runs_alone};
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
        all_read(&guard).await;
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
            // Nobody guards now.
            assert_eq!(guard.pid(), None);
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
fn a_guard_that_does_not_read_is_replaced_and_holds_up_nobody() {
    in_a_system(async {
        let (guard, mut told, pid) = guard().await;
        let family = Family::spawn().await;
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        // More than the pipe takes.
        for generation in 0..10_000 {
            guard.announce(generation);
            guard.tell();
        }
        assert_eq!(guard.pid(), Some(pid));
        for generation in 0..10_000 {
            guard.remove(generation);
        }
        guard.add(10_000, &family.process);
        let lost = told.recv().await;
        assert!(matches!(lost, Some(GuardEvent::Lost { .. })), "{lost:?}");
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

#[test]
fn a_guard_stopped_for_a_while_has_heard_of_everything() {
    in_a_system(async {
        let (guard, mut told, pid) = guard().await;
        let (listed, removed) = (Family::spawn().await, Family::spawn().await);
        guard.add(0, &removed.process);
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        for generation in 1..5000 {
            guard.announce(generation);
            guard.tell();
        }
        guard.remove(0);
        guard.add(5000, &listed.process);
        assert!(guard.state.borrow().flushing.is_some());
        kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
        all_read(&guard).await;
        assert!(told.try_recv().is_err(), "it was not replaced");
        drop(guard);
        guard_gone(pid).await;
        all_gone(listed.group).await;
        assert_eq!(removed.members(), 2);
    });
}

#[test]
fn ten_thousand_starts_leave_no_memory_behind() {
    in_a_system(async {
        let (guard, _told, pid) = guard().await;
        let family = Family::spawn().await;
        let mut size = 0;
        for round in 0..11 {
            for generation in 0..1000 {
                let generation = round * 1000 + generation;
                guard.announce(generation);
                guard.tell();
                guard.add(generation, &family.process);
                guard.remove(generation);
                if generation % 100 == 0 {
                    all_read(&guard).await;
                }
            }
            all_read(&guard).await;
            let status = Process::new(pid).unwrap().status().unwrap();
            let now = status.vmrss.unwrap();
            if round == 0 {
                size = now;
            }
            assert!(
                now <= size + 64,
                "{now} KiB after {round} rounds, {size} before"
            );
        }
        assert_eq!(family.members(), 2);
        guard.end().await;
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
fn a_guard_holds_nothing_but_its_pipe_and_nobody_else_holds_that() {
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
                _ => &pipe,
            };
            assert_eq!(what, expected, "{held:?}");
        }
        for process in [child.spawned_pid(), others.id() as i32] {
            let held = descriptors(process);
            assert!(held.iter().all(|(_, what)| *what != pipe), "{held:?}");
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
