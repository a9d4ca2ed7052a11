//! Whatever the end of a pool without a drain or a shutdown, all workers are killed by then with what they have started. The hosts have neither a
//! guard nor a moment in which anything else could kill, but the one that is killed itself.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use actix::{Arbiter, System};
use actix_process::Command;
use actix_process::pool::{Job, JobError, Pool, PoolHandle};
use nix::libc;

use crate::common::helper::helper;
use crate::common::hosts::{Host, role, tell};
use crate::common::{amount, block_on_thread, in_time, on_tokio, run};
use crate::workers::{LONG, answer, error, gone, pid, stats, submit, workers};

/// Three workers, each with a child.
fn families() -> Pool {
    let family = helper(["leave", "1", "pause", "worker"]);
    Pool::new(family).workers(3..=3).guard(false)
}

async fn ready(pool: &PoolHandle) {
    stats(pool, "three workers", |stats| stats.idle == 3).await;
}

async fn started() -> PoolHandle {
    let pool = families().start().unwrap();
    ready(&pool).await;
    pool
}

/// A pool whose workers are busy with jobs that end never, and have to start again and again; it may be killed at any moment.
async fn storm() {
    let script = "sleep 300 & sleep 300 & cat >/dev/null; exit 3";
    let shells = Pool::one_shot(Command::new("/bin/sh").args(["-c", script]))
        .workers(1..=4)
        .spare(2)
        .start()
        .unwrap();
    let family = helper(["leave", "1", "pause", "worker"]);
    let pool = Pool::new(family).workers(4..=4).start().unwrap();
    tell("started");
    loop {
        let jobs = ["echo x", "exit 3", "leave", "raise 9", "hang"];
        let jobs = jobs.map(|job| pool.submit(Job::new(job).timeout(Duration::from_millis(50))));
        let shots = [1, 2, 3].map(|_| shells.submit(Job::new("x")));
        futures::future::join(
            futures::future::join_all(jobs),
            futures::future::join_all(shots),
        )
        .await;
    }
}

/// No test but the host of those below.
#[test]
fn host() {
    let Some(role) = role() else { return };
    match role.as_str() {
        "storm" => System::new().block_on(storm()),
        "a dropped handle" => System::new().block_on(async {
            let pool = started().await;
            let other = pool.clone();
            drop(pool);
            assert_eq!(answer(&other, "echo x").await, "x");
            drop(other);
        }),
        "a dropped answer" => System::new().block_on(async {
            let pool = started().await;
            let hangs = submit(&pool, "hang");
            let waits = submit(&pool, "echo x");
            drop(pool);
            assert_eq!(in_time(waits).await.unwrap(), "x");
            drop(hangs);
        }),
        "a stopped System" => {
            let system = System::new();
            system.block_on(async { std::mem::forget(started().await) });
            System::current().stop();
            system.run().unwrap();
        }
        "an actix main that returns" => {
            System::new().block_on(async { std::mem::forget(started().await) });
        }
        "a tokio main that returns" => on_tokio(2, async {
            let _pool = started().await;
        }),
        "a main without a runtime" => {
            let _pool = block_on_thread(started());
        }
        "a main that panics" => {
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                System::new().block_on(async {
                    let pool = started().await;
                    let _answer = submit(&pool, "hang");
                    panic!("of main");
                });
            }));
            assert!(panicked.is_err());
        }
        "an arbiter that was given" => System::new().block_on(async {
            let arbiter = Arbiter::new();
            let pool = families().on(&arbiter).start().unwrap();
            ready(&pool).await;
            let jobs = [submit(&pool, "hang"), submit(&pool, "hang")];
            stats(&pool, "two to be busy", |stats| stats.busy == 2).await;
            arbiter.stop();
            arbiter.join().unwrap();
            for ended in jobs {
                assert_eq!(ended.await, Err(JobError::ShuttingDown));
            }
            let report = pool.closed().await;
            assert_eq!((report.killed, report.ended), (3, 2), "{report:?}");
            assert_eq!(error(&pool, "echo x").await, JobError::ShuttingDown);
            assert!(pool.stats().await.is_err());
            assert_eq!(pool.shutdown(LONG).await, report);
        }),
        "a panic of the pool" => System::new().block_on(async {
            struct Panics;
            impl Wake for Panics {
                fn wake(self: Arc<Self>) {
                    panic!("of the pool, which wakes who waits");
                }
            }
            let pool = started().await;
            let job = submit(&pool, "hang");
            stats(&pool, "one to be busy", |stats| stats.busy == 1).await;
            let closed = pool.closed();
            let waker = Waker::from(Arc::new(Panics));
            let mut waiting = Vec::new();
            // The answer may be there before the question is left.
            loop {
                let mut stats = Box::pin(pool.stats());
                let polled = stats.as_mut().poll(&mut Context::from_waker(&waker));
                waiting.push(stats);
                if polled.is_pending() {
                    break;
                }
            }
            let report = closed.await;
            assert_eq!((report.killed, report.ended), (3, 1), "{report:?}");
            assert_eq!(job.await, Err(JobError::ShuttingDown));
            assert!(pool.stats().await.is_err());
            drop(waiting);
            std::mem::forget(pool.clone());
        }),
        other => panic!("no role {other}"),
    }
    tell("over");
    // SAFETY: ends the process with all its threads, now.
    unsafe { libc::_exit(0) }
}

fn all_are_killed_with_one_warning(role: &str) {
    let mut host = Host::start(role);
    assert_eq!(host.told(), "over");
    assert!(host.ended().success(), "{role}: {}", host.log());
    host.none_left(|host| host.services(""));
    let warnings = host.warnings();
    let [warning] = &warnings[..] else {
        panic!("{role}: {}", host.log());
    };
    assert!(warning.ends_with(": 3 workers were killed"), "{warning}");
}

#[test]
fn a_dropped_last_handle_kills_all() {
    all_are_killed_with_one_warning("a dropped handle");
}

#[test]
fn an_answer_keeps_the_pool_and_its_drop_kills_all() {
    all_are_killed_with_one_warning("a dropped answer");
}

#[test]
fn a_stopped_system_kills_all() {
    all_are_killed_with_one_warning("a stopped System");
}

#[test]
fn a_main_that_returns_kills_all() {
    for role in [
        "an actix main that returns",
        "a tokio main that returns",
        "a main without a runtime",
    ] {
        all_are_killed_with_one_warning(role);
    }
}

#[test]
fn a_panic_of_main_kills_all() {
    all_are_killed_with_one_warning("a main that panics");
}

#[test]
fn a_panic_of_the_pool_kills_all_and_ends_the_jobs() {
    all_are_killed_with_one_warning("a panic of the pool");
}

#[test]
fn a_pool_on_an_arbiter_that_has_ended_has_ended() {
    run(async {
        let arbiter = Arbiter::new();
        let handle = arbiter.handle();
        arbiter.stop();
        arbiter.join().unwrap();
        let pool = workers().on(&handle).start().unwrap();
        assert_eq!(error(&pool, "echo x").await, JobError::ShuttingDown);
        assert!(pool.stats().await.is_err());
        assert!(in_time(pool.reload(helper(["worker"]))).await.is_err());
        let report = in_time(pool.drain(LONG)).await;
        assert_eq!(in_time(pool.closed()).await, report);
        assert_eq!((report.killed, report.ended), (0, 0), "{report:?}");
    });
}

#[test]
fn the_end_of_the_arbiter_that_it_was_given_kills_all_and_ends_the_jobs() {
    all_are_killed_with_one_warning("an arbiter that was given");
}

#[test]
fn nothing_survives_hosts_that_are_killed_in_mid_flight() {
    for _ in 0..amount(20, 3) {
        let mut host = Host::start("storm");
        assert_eq!(host.told(), "started");
        std::thread::sleep(Duration::from_micros(fastrand::u64(1000..600_000)));
        host.kill();
        host.none_left(|host| host.services(""));
    }
}

#[test]
fn an_answer_alone_keeps_the_pool() {
    run(async {
        let pool = workers().workers(1..=1).start().unwrap();
        let before = pid(&pool).await;
        let (first, last) = (submit(&pool, "echo first"), submit(&pool, "echo last"));
        drop(pool);
        assert_eq!(in_time(first).await.unwrap(), "first");
        assert_eq!(in_time(last).await.unwrap(), "last");
        gone(before).await;
    });
}
