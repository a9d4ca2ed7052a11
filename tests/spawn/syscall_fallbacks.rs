//! A kernel or a sandbox that refuses a system call that this crate can do without.

use crate::common;

use actix_process::{Command, ExitStatus, Signal, SpawnStep};
use common::census::{Census, threads};
use common::helper::{helper, pattern};
use common::isolated::isolated;
use common::refuse::{Call, refuse};
use common::trace::{Trace, history, spawned};
use common::{eventually, in_time, run, start_all_threads};
use futures::FutureExt;
use nix::libc;

/// Children run, talk, are signalled and reaped, and leave nothing.
async fn assert_all_works(before: &Census) {
    let (trace, protocol) = Trace::start();
    let process = in_time(helper(["cat", "exit", "7"]).spawn(&protocol))
        .await
        .unwrap();
    process.write("through").unwrap();
    process.close_stdin();
    let ended = trace.ended(&process).await;
    ended.assert_rules(&[0, 1, 2]);
    assert_eq!(ended.text(1), "through");
    assert_eq!(ended.status().code(), Some(7));

    let process = helper(["say", "ready", "pause"])
        .spawn(&protocol)
        .await
        .unwrap();
    trace.output(&process, 1, "ready").await;
    process.signal(Signal::TERM).unwrap();
    let status = trace.ended(&process).await.status();
    assert_eq!(status.signal(), Some(Signal::TERM), "{status}");

    let text = history(&helper(["fds"])).await.text(1);
    assert_eq!(text.lines().count(), 3, "{text}");
    let error = Command::new("/no/such").spawn(&protocol).await.unwrap_err();
    assert_eq!(error.step(), SpawnStep::Exec);
    before.assert_restored_but_spawners().await;
}

/// Refuses a call and holds that everything works without it.
fn works_without(refused: Call, errno: i32) {
    run(async {
        let before = start_all_threads().await;
        refuse(refused, errno);
        assert_all_works(&before).await;
    });
}

#[test]
fn without_close_range_descriptors_are_closed_by_listing_them() {
    isolated(|| {
        // More than one buffer of the listing holds.
        let leaky: Vec<i32> = (300..700)
            // SAFETY: integers; the numbers are free in this process, which runs one test.
            .map(|fd| unsafe { libc::dup2(0, fd) })
            .collect();
        assert_eq!(leaky.len(), 400);
        works_without(Call::Any(libc::SYS_close_range), libc::ENOSYS);
    });
}

#[test]
fn without_pidfds_a_thread_waits_for_each_child() {
    isolated(|| {
        works_without(Call::Flag(libc::SYS_clone, libc::CLONE_PIDFD), libc::EINVAL);
        run(async {
            let (trace, process) = spawned(helper(["say", "ready", "pause"])).await;
            trace.output(&process, 1, "ready").await;
            until_waiters(1).await;
            assert!(process.kill());
            trace.ended(&process).await;
            until_waiters(0).await;
        });
    });
}

/// Waits until this many threads wait for a child each.
async fn until_waiters(count: usize) {
    let waiters = || {
        threads()
            .iter()
            .filter(|name| *name == "actix-process-w")
            .count()
    };
    eventually(
        &format!("{count} waiter threads"),
        || (waiters() == count).then_some(()),
        || format!("{:?}", threads()),
    )
    .await;
}

#[test]
fn a_sandbox_may_refuse_pidfds_with_any_errno() {
    isolated(|| {
        works_without(Call::Flag(libc::SYS_clone, libc::CLONE_PIDFD), libc::EPERM);
    });
}

#[test]
fn without_pidfds_a_cancelled_spawn_leaves_nothing() {
    isolated(|| {
        run(async {
            let (trace, protocol) = Trace::start();
            let before = start_all_threads().await;
            refuse(Call::Flag(libc::SYS_clone, libc::CLONE_PIDFD), libc::EINVAL);
            for _ in 0..10 {
                let mut spawning = helper(["pause"]).spawn(&protocol);
                assert!((&mut spawning).now_or_never().is_none());
                drop(spawning);
                before.assert_restored_but_spawners().await;
            }
            assert!(trace.events().is_empty());
        });
    });
}

#[test]
fn without_pidfd_send_signal_signals_go_by_pid() {
    isolated(|| {
        works_without(Call::Any(libc::SYS_pidfd_send_signal), libc::ENOSYS);
    });
}

#[test]
fn a_sandbox_may_refuse_pidfd_send_signal() {
    isolated(|| {
        works_without(Call::Any(libc::SYS_pidfd_send_signal), libc::EPERM);
    });
}

#[test]
fn pidfd_send_signal_may_be_refused_with_any_errno_that_a_clone_may() {
    isolated(|| {
        works_without(Call::Any(libc::SYS_pidfd_send_signal), libc::EACCES);
    });
}

#[test]
fn without_waitid_no_zombie_is_left() {
    isolated(|| {
        run(async {
            let (trace, protocol) = Trace::start();
            let before = start_all_threads().await;
            refuse(Call::Any(libc::SYS_waitid), libc::EPERM);
            let process = helper(["exit", "7"]).spawn(&protocol).await.unwrap();
            let status = trace.ended(&process).await.status();
            assert!(
                matches!(status, ExitStatus::Unknown) || status.code() == Some(7),
                "{status}"
            );
            let error = Command::new("/no/such").spawn(&protocol).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Exec, "{error}");
            before.assert_restored_but_spawners().await;
        });
    });
}

/// More than its reader's first buffers hold, so that it is read as a busy child's output is.
async fn assert_busy_child_is_read(before: &Census) {
    const MUCH: usize = 8 * 1024 * 1024;
    let history = history(&helper(["spam", &MUCH.to_string()])).await;
    history.assert_rules(&[0, 1, 2]);
    assert!(history.data(1) == pattern(MUCH), "other bytes came");
    before.assert_restored_but_spawners().await;
}

#[test]
fn without_large_pipes_a_busy_child_is_read_all_the_same() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            assert_busy_child_is_read(&before).await;
            refuse(
                Call::Second(libc::SYS_fcntl, libc::F_SETPIPE_SZ),
                libc::EPERM,
            );
            assert_busy_child_is_read(&before).await;
        });
    });
}
