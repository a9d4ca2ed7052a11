//! The first thread that asks for a child may be unlike all others. The deadlines of their children
//! are kept as if it had never been, and each child can be killed by whoever may do that.

use crate::common;

use std::future::IntoFuture;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::tools::asker::{assert_spawns, on_a_thread};
use actix::prelude::*;
use actix_process::{ExitStatus, OnOrphaned, ProcessHandle, ProcessSupervisor, Signal};
use common::census::Census;
use common::helper::helper;
use common::isolated::{isolated, skipped};
use common::limits::is_root;
use common::trace::{Trace, spawned_by};
use common::{eventually, in_time, run};
use nix::libc;

const SHORT: Duration = Duration::from_millis(100);

/// The calling thread's ids alone: libc would change all threads.
fn become_user(id: libc::c_long) {
    // SAFETY: integers.
    assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, id, id, id) }, 0);
}

/// The nice value of the main thread, and of each that has not changed it: whoever runs the tests may have
/// said which. Below 19.
fn usual() -> i32 {
    // SAFETY: integers.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, std::process::id()) }
}

fn odd() -> i32 {
    usual() + 1
}

fn become_nice() {
    let nice = odd();
    // SAFETY: integers; 0 is this thread, on Linux.
    assert_eq!(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) }, 0);
}

/// The nice values of the janitor threads.
fn janitors() -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let read = |task: &std::fs::DirEntry, name| std::fs::read_to_string(task.path().join(name));
    tasks
        .map(Result::unwrap)
        // Cut by the kernel.
        .filter(|task| read(task, "comm").is_ok_and(|name| name == "actix-process-j\n"))
        .filter_map(|task| {
            let stat = read(&task, "stat").ok()?;
            let (_, fields) = stat.rsplit_once(") ")?;
            Some(fields.split(' ').nth(16).unwrap().parse().unwrap())
        })
        .collect()
}

async fn until_the_janitor_is(nice: i32) {
    eventually(
        "the janitor",
        || (janitors() == [nice]).then_some(()),
        || format!("{:?}, not {nice}; {:?}", janitors(), Census::take()),
    )
    .await;
}

/// A child that dies of SIGKILL only, and says so.
async fn stubborn(trace: &Trace, protocol: &Addr<common::trace::Tracer>) -> ProcessHandle {
    let command = helper(["ignore", "15", "say", "ready", "pause"]).process_group(0);
    let process = command.spawn(protocol).await.unwrap();
    trace.output(&process, 1, "ready\n").await;
    process
}

fn assert_killed(status: ExitStatus) {
    assert_eq!(status.signal(), Some(Signal::KILL), "{status}");
}

/// One that ends by the deadline of this thread's call.
fn assert_ends_at_its_deadline() {
    run(async {
        let (trace, protocol) = Trace::start();
        let process = stubborn(&trace, &protocol).await;
        assert!(process.terminate_group(SHORT));
        assert_killed(trace.ended(&process).await.status());
        let endless = helper(["ignore", "15", "pause"]).output();
        let result = in_time(endless.timeout(SHORT).grace(SHORT).into_future()).await;
        let error = result.unwrap_err().to_string();
        assert!(!error.contains("still running"), "{error}");
    });
}

#[test]
fn the_janitor_is_like_the_main_thread_when_a_thread_like_that_has_asked() {
    isolated(|| {
        on_a_thread(|| {
            become_nice();
            assert_spawns();
        });
        run(until_the_janitor_is(odd()));
        assert_spawns();
        run(until_the_janitor_is(usual()));
        // It stays so, whoever asks.
        on_a_thread(|| {
            become_nice();
            assert_spawns();
        });
        assert_eq!(janitors(), [usual()]);
    });
}

#[test]
fn a_deadline_that_one_janitor_was_given_is_kept_by_the_next() {
    isolated(|| {
        let (go, wait) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let odd = thread::spawn(move || {
            become_nice();
            run(async {
                let (trace, protocol) = Trace::start();
                let process = stubborn(&trace, &protocol).await;
                assert!(process.terminate_group(Duration::from_secs(2)));
                tell.send(()).unwrap();
                // The arbiter sleeps: the janitor alone is awake.
                wait.recv().unwrap();
                assert_killed(trace.ended(&process).await.status());
            });
        });
        told.recv().unwrap();
        assert_spawns();
        run(until_the_janitor_is(usual()));
        go.send(()).unwrap();
        odd.join().unwrap();
    });
}

#[test]
fn children_end_at_their_deadlines_when_the_first_asker_might_not_signal_them() {
    isolated(|| {
        if !is_root() {
            return skipped("only root can make such a thread");
        }
        on_a_thread(|| {
            become_user(65534);
            assert_spawns();
        });
        assert_ends_at_its_deadline();
    });
}

/// Nobody asks who is like the main thread: no thread of ours but its own may signal the child.
#[test]
fn a_child_ends_at_its_deadline_by_a_thread_that_is_like_its_asker() {
    isolated(|| {
        if !is_root() {
            return skipped("only root can make such threads");
        }
        on_a_thread(|| {
            become_user(65534);
            assert_spawns();
        });
        on_a_thread(|| {
            become_user(65533);
            assert_ends_at_its_deadline();
        });
    });
}

#[test]
fn an_orphan_is_killed_by_a_thread_that_is_like_its_asker() {
    isolated(|| {
        if !is_root() {
            return skipped("only root can make such threads");
        }
        let (tell, told) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let owner = thread::spawn(move || {
            become_user(65534);
            run(async move {
                let arbiter = Arbiter::new();
                let supervisor = ProcessSupervisor::start_in_arbiter(&arbiter.handle(), |_| {
                    ProcessSupervisor::new()
                });
                tell.send(supervisor).unwrap();
                tokio::task::spawn_blocking(move || wait.recv())
                    .await
                    .unwrap()
                    .unwrap();
                arbiter.stop();
                arbiter.join().unwrap();
            });
        });
        let supervisor = told.recv().unwrap();
        on_a_thread(move || {
            become_user(65533);
            run(async move {
                let child = helper(["say", "ready", "pause"]).on_orphaned(OnOrphaned::Kill);
                let (trace, process) = spawned_by(&supervisor, child).await;
                trace.output(&process, 1, "ready\n").await;
                drop(supervisor);
                go.send(()).unwrap();
                assert_killed(trace.ended(&process).await.status());
            });
        });
        owner.join().unwrap();
    });
}
