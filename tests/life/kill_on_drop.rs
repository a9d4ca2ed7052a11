//! A guard's drop kills the child and all that belongs to it, and nobody else.

use crate::common;

use std::collections::HashSet;

use actix_process::testing::{Recorded, TestProcess};
use actix_process::{Command, KillOnDrop, NoProtocol, ProcessHandle, Signal};
use common::census::{is_gone, state_and_parent};
use common::helper::helper;
use common::isolated::isolated;
use common::trace::{Trace, spawned};
use common::{block_on_thread, eventually, in_time, run};
use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};

/// A child that leads a group, and the member that it has left there.
async fn with_a_member(last: &str) -> (Trace, ProcessHandle, i32) {
    let child = helper(["leave", "1", "pause", "say", "ready", last]).process_group(0);
    let (trace, process) = spawned(child).await;
    let text = trace.output(&process, 1, "ready").await;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find_map(|line| line.strip_prefix("held "));
    let member = line.unwrap_or_else(|| panic!("{text:?}")).parse().unwrap();
    (trace, process, member)
}

async fn sleeper() -> ProcessHandle {
    let sleep = Command::new("sleep").arg("600").process_group(0);
    sleep.spawn(NoProtocol).await.unwrap()
}

async fn gone(pid: i32) {
    let seen = || format!("{pid} {:?}", state_and_parent(pid));
    eventually("a death", || is_gone(pid).then_some(()), seen).await;
}

#[test]
fn a_dropped_guard_kills_the_child_and_its_group() {
    run(async {
        let (trace, process, member) = with_a_member("pause").await;
        drop(process.clone().kill_on_drop());
        assert_eq!(trace.exited(&process).await.signal(), Some(Signal::KILL));
        gone(member).await;
        trace.ended(&process).await;
    });
}

#[test]
fn of_a_child_that_has_exited_the_rest_of_its_group_is_killed() {
    run(async {
        let (trace, process, member) = with_a_member("exit").await;
        assert!(trace.exited(&process).await.success());
        assert!(!is_gone(member), "it is gone before the guard");
        drop(process.clone().kill_on_drop());
        gone(member).await;
        assert!(trace.ended(&process).await.status().success());
    });
}

#[test]
fn a_guard_kills_from_a_thread_without_a_runtime() {
    run(async {
        let guard = sleeper().await.kill_on_drop();
        let ended = guard.ended();
        std::thread::spawn(move || drop(guard)).join().unwrap();
        assert_eq!(in_time(ended).await.signal(), Some(Signal::KILL));
    });
}

#[test]
fn a_guard_that_is_unwound_kills() {
    run(async {
        let guard = sleeper().await.kill_on_drop();
        let ended = guard.ended();
        let panicked = std::thread::spawn(move || {
            let _guard = guard;
            std::panic::resume_unwind(Box::new(()));
        });
        panicked.join().unwrap_err();
        assert_eq!(in_time(ended).await.signal(), Some(Signal::KILL));
    });
}

#[test]
fn a_disarmed_guard_and_other_handles_kill_nobody() {
    run(async {
        let guard: KillOnDrop = sleeper().await.kill_on_drop();
        // By way of the guard a handle is a handle.
        let other: ProcessHandle = guard.clone();
        let process = guard.disarm();
        assert_eq!(process, other);
        drop(other);
        drop(process.clone());
        assert!(process.signal(Signal::USR1).is_ok(), "it lives");
        assert_eq!(in_time(process.ended()).await.signal(), Some(Signal::USR1));
    });
}

#[test]
fn a_guard_of_what_has_ended_does_nothing() {
    run(async {
        let guard = sleeper().await.kill_on_drop();
        assert!(guard.signal(Signal::TERM).is_ok());
        let ended = guard.ended();
        assert_eq!(in_time(ended).await.signal(), Some(Signal::TERM));
        let process = ProcessHandle::clone(&guard);
        drop(guard);
        let status = process.try_status().unwrap();
        assert_eq!(status.signal(), Some(Signal::TERM));
    });
}

#[test]
fn a_guard_in_a_copy_of_the_host_kills_nobody() {
    isolated(|| {
        run(async {
            let guard = sleeper().await.kill_on_drop();
            // SAFETY: the copy drops what it has, on its only thread, and ends without unwinding.
            match unsafe { nix::unistd::fork() }.unwrap() {
                nix::unistd::ForkResult::Child => {
                    drop(guard);
                    // SAFETY: ends the copy at once.
                    unsafe { libc::_exit(0) }
                }
                nix::unistd::ForkResult::Parent { child } => {
                    let status = waitpid(child, None).unwrap();
                    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
                }
            }
            let process = guard.disarm();
            assert!(process.signal(Signal::USR1).is_ok(), "it lives");
            assert_eq!(in_time(process.ended()).await.signal(), Some(Signal::USR1));
        });
    });
}

#[test]
fn a_tests_guard_is_recorded() {
    let test = TestProcess::new();
    drop(test.handle().kill_on_drop());
    assert_eq!(test.commands(), [Recorded::SignalTree(Signal::KILL)]);
    let _ = test.handle().kill_on_drop().disarm();
    assert_eq!(test.commands(), []);
    drop(test);
}

#[test]
#[expect(clippy::mutable_key_type, reason = "a handle's hash is its id's")]
fn the_handles_of_one_child_are_one_in_a_set() {
    run(async {
        let (one, other) = (sleeper().await, sleeper().await);
        let set: HashSet<ProcessHandle> = [one.clone(), one.clone(), other.clone()].into();
        assert_eq!(set.len(), 2);
        assert!(set.contains(&one) && set.contains(&other));
        drop((one.kill_on_drop(), other.kill_on_drop()));
    });
}

#[test]
fn a_kill_of_what_is_dead_is_no_error() {
    run(async {
        let process = sleeper().await;
        assert!(process.kill(), "it lives");
        assert_eq!(in_time(process.ended()).await.signal(), Some(Signal::KILL));
        assert!(!process.kill());
        assert!(!process.terminate(common::DEADLINE));
        assert!(!process.terminate_group(common::DEADLINE));
    });
}

#[test]
fn the_end_of_a_dropped_test_is_unknown() {
    let test = TestProcess::new();
    let process = test.handle();
    drop(test);
    let told = [
        block_on_thread(process.exited()),
        block_on_thread(process.ended()),
    ];
    assert_eq!(told, [actix_process::ExitStatus::Unknown; 2]);
}
