//! What a pool says of itself: each count, each time, each event.

use std::time::Duration;

use actix_process::Command;
use actix_process::monitor::{Backoff, ExitKind};
use actix_process::pool::messages::Submit;
use actix_process::pool::{
    Framing, Histogram, Job, JobError, Pool, PoolEventKind, PoolEvents, PoolReported, Recycling,
};
use futures::StreamExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::census::children;
use crate::common::isolated::isolated;
use crate::common::{in_time, run};
use crate::told_worker::{
    Folder, ask, ended, event, events_until_now, refused, shut, stats_when, worker,
};

fn one() -> Pool {
    Pool::new(worker([])).workers(1..=1)
}

#[test]
fn each_outcome_is_counted() {
    run(async {
        let folder = Folder::new();
        let pool = one().queue(1).max_answer(100).start().unwrap();
        ask(&pool, "pid").await;
        refused(&pool, Job::new("chunk-error")).await;
        refused(&pool, Job::new("size 101")).await;
        refused(&pool, Job::new("wait").timeout(Duration::from_millis(30))).await;
        refused(&pool, Job::new(folder.job("die", "tries"))).await;
        let poisoned = Job::new(folder.job("die", "tries")).retry_on_loss(9);
        refused(&pool, poisoned).await;
        ask(&pool, "pid").await;
        let held = pool.submit(Job::new(folder.job("gate", "gate")));
        let expires = Job::new("pid").expires(Duration::from_millis(10));
        let expires = pool.submit(expires);
        let full = refused(&pool, Job::new("pid")).await;
        assert!(matches!(full, JobError::QueueFull { .. }), "{full:?}");
        in_time(expires).await.unwrap_err();
        drop(pool.submit(Job::new("pid")));
        // Else the worker might be free for it before it is cancelled.
        stats_when(&pool, "a cancel", |stats| stats.outcomes.cancelled == 1).await;
        folder.make("gate");
        in_time(held).await.unwrap();
        let stats = pool.stats().await.unwrap();
        let seen = stats.outcomes;
        assert_eq!(
            [
                seen.answered,
                seen.remote,
                seen.too_large,
                seen.timeout,
                seen.worker_lost,
                seen.poisoned,
                seen.expired,
                seen.queue_full,
                seen.cancelled,
            ],
            [3, 1, 1, 1, 1, 1, 1, 1, 1],
            "{stats:?}"
        );
        assert_eq!(
            [
                seen.failed,
                seen.protocol,
                seen.pool_down,
                seen.shutting_down
            ],
            [0; 4],
            "{stats:?}"
        );
        // Those that had a place have waited, those that had a worker have run.
        assert_eq!(
            (stats.wait.count(), stats.run.count()),
            (10, 8),
            "{stats:?}"
        );
        let left = pool.submit(Job::new("deaf"));
        stats_when(&pool, "a job", |stats| stats.running == 1).await;
        let mut report = in_time(pool.shutdown(Duration::from_secs(30))).await;
        report.took = Duration::ZERO;
        assert_eq!((report.ended, report.clean, report.killed), (1, 1, 0));
        let error = in_time(left).await.unwrap_err();
        assert_eq!(error, JobError::ShuttingDown);
    });
}

#[test]
fn outcomes_of_other_framings_are_counted() {
    run(async {
        let pool = Pool::one_shot(Command::new("false")).start().unwrap();
        refused(&pool, Job::new("")).await;
        assert_eq!(pool.stats().await.unwrap().outcomes.failed, 1);
        ended(pool).await;
        let noise = Command::new("sh").args(["-c", "read line; echo noise; cat"]);
        let pool = Pool::new(noise).framing(Framing::JsonLines).workers(1..=1);
        let pool = pool.start().unwrap();
        let mut events = pool.events();
        let error = refused(&pool, Job::new("1")).await;
        assert!(matches!(error, JobError::Protocol { .. }), "{error:?}");
        assert_eq!(pool.stats().await.unwrap().outcomes.protocol, 1);
        event(&mut events, |what| {
            matches!(what, PoolEventKind::OutOfStep { .. }).then_some(())
        })
        .await;
        shut(pool).await;
    });
}

#[test]
fn what_is_refused_before_the_pool_has_it_is_counted() {
    run(async {
        let folder = Folder::new();
        let pool = one().max_frame(1000).start().unwrap();
        let large = || Job::new("x".repeat(1001));
        let with_args = || Job::new("pid").args(["an", "argument"]);
        let wrong = |error| assert!(matches!(error, JobError::Protocol { .. }), "{error:?}");
        let too_large = |error| assert!(matches!(error, JobError::TooLarge { .. }), "{error:?}");
        too_large(refused(&pool, large()).await);
        wrong(refused(&pool, with_args()).await);
        wrong(in_time(pool.submit_wait(with_args())).await.unwrap_err());
        too_large(in_time(pool.stream(large())).await.unwrap_err());
        let message = Submit { job: with_args() };
        wrong(
            in_time(pool.addr().send(message))
                .await
                .unwrap()
                .unwrap_err(),
        );
        let held = pool.submit(Job::new(folder.job("gate", "gate")));
        stats_when(&pool, "a job", |stats| stats.running == 1).await;
        let draining = pool.clone();
        let drained = actix_rt::spawn(async move { draining.drain(Duration::from_secs(60)).await });
        in_time(pool.closing()).await;
        let late = [
            refused(&pool, Job::new("pid")).await,
            in_time(pool.submit_wait(Job::new("pid")))
                .await
                .unwrap_err(),
            in_time(pool.checkout()).await.unwrap_err(),
        ];
        assert_eq!(late, [(); 3].map(|()| JobError::ShuttingDown));
        let stats = pool.stats().await.unwrap();
        let seen = stats.outcomes;
        assert_eq!(
            (seen.too_large, seen.protocol, seen.shutting_down),
            (2, 3, 3),
            "{stats:?}"
        );
        // No time is counted for what has taken none.
        assert_eq!(stats.wait.count(), 0, "{stats:?}");
        folder.make("gate");
        in_time(held).await.unwrap();
        let report = in_time(drained).await.unwrap();
        // They were never jobs of the pool.
        assert_eq!((report.finished, report.ended), (1, 0), "{report:?}");

        let pool = Pool::one_shot(Command::new("cat")).start().unwrap();
        wrong(in_time(pool.checkout()).await.unwrap_err());
        assert_eq!(pool.stats().await.unwrap().outcomes.protocol, 1);
        ended(pool).await;
    });
}

/// In how many times a job with this sum and more was counted.
fn at_least(times: &Histogram, least: Duration) -> u64 {
    let buckets = times.buckets();
    let longer = buckets.filter(|(bound, _)| bound.is_none_or(|bound| bound >= least));
    longer.map(|(_, count)| count).sum()
}

#[test]
fn the_times_of_jobs_are_counted() {
    run(async {
        let pool = one().start().unwrap();
        ask(&pool, "pid").await;
        let first = pool.submit(Job::new("sleep 120"));
        let second = pool.submit(Job::new("pid"));
        in_time(first).await.unwrap();
        in_time(second).await.unwrap();
        let stats = pool.stats().await.unwrap();
        let least = Duration::from_millis(100);
        assert!(at_least(&stats.run, least) >= 1, "{stats:?}");
        assert!(at_least(&stats.wait, least) >= 1, "{stats:?}");
        assert!(
            stats.run.sum() >= least && stats.wait.sum() >= least,
            "{stats:?}"
        );
        assert_eq!((stats.run.count(), stats.wait.count()), (3, 3));
        ended(pool).await;
    });
}

#[test]
fn a_worker_is_in_one_state_at_a_time() {
    run(async {
        let folder = Folder::new();
        let pool = Pool::new(worker(["slow", "100"]))
            .workers(1..=1)
            .soft(Duration::from_secs(600))
            .start()
            .unwrap();
        let at = |stats: &actix_process::pool::PoolStats| {
            [stats.starting, stats.idle, stats.busy, stats.cancelling]
        };
        stats_when(&pool, "its start", |stats| at(stats) == [1, 0, 0, 0]).await;
        stats_when(&pool, "its rest", |stats| at(stats) == [0, 1, 0, 0]).await;
        let job = pool.submit(Job::new(folder.job("gate", "gate")));
        stats_when(&pool, "its work", |stats| at(stats) == [0, 0, 1, 0]).await;
        drop(job);
        stats_when(&pool, "its cancel", |stats| at(stats) == [0, 0, 0, 1]).await;
        folder.make("gate");
        let stats = stats_when(&pool, "its rest", |stats| at(stats) == [0, 1, 0, 0]).await;
        assert_eq!((stats.stale, stats.outcomes.cancelled), (1, 1), "{stats:?}");
        ended(pool).await;
    });
}

/// The rest of the events, with the pool's name.
async fn rest(events: PoolEvents) -> Vec<PoolEventKind> {
    let events = events.map(|reported| match reported {
        PoolReported::Event(event) => {
            assert_eq!(&*event.pool, "told");
            event.what
        }
        other => panic!("{other:?}"),
    });
    in_time(events.collect()).await
}

#[test]
fn the_life_of_a_worker_is_told() {
    run(async {
        let pool = one().name("told").start().unwrap();
        let events = pool.events();
        ask(&pool, "pid").await;
        in_time(pool.reload(worker([]))).await.unwrap();
        ended(pool).await;
        let events = rest(events).await;
        let is_end = |what: &PoolEventKind| match what {
            PoolEventKind::Ended {
                exit, leftovers, ..
            } => {
                assert_eq!((exit.kind, *leftovers), (ExitKind::Stopped, 0));
                assert!(exit.status.unwrap().success());
                true
            }
            _ => false,
        };
        // The old worker's end and the new one's start go side by side.
        let expected = [
            "started",
            "told is ready",
            "recycled by a reload",
            "started",
            "told is ready",
            "reloaded",
            "shutdown began",
        ];
        let name = |what: &PoolEventKind| match what {
            PoolEventKind::Started => "started",
            PoolEventKind::Ready { name, .. } if &**name == "told" => "told is ready",
            PoolEventKind::Recycled {
                why: Recycling::Reload,
                ..
            } => "recycled by a reload",
            PoolEventKind::Reloaded => "reloaded",
            PoolEventKind::ShutdownBegan => "shutdown began",
            other => panic!("{other:?}"),
        };
        let others = events.iter().filter(|what| !is_end(what)).map(name);
        assert_eq!(others.collect::<Vec<_>>(), expected);
        assert_eq!(events.len(), expected.len() + 2, "{events:?}");
    });
}

#[test]
fn failures_are_told() {
    run(async {
        let folder = Folder::new();
        let flag = folder.path("flag");
        let backoff = Backoff::new()
            .first(Duration::from_millis(1))
            .cap(Duration::from_millis(1));
        let pool = Pool::new(worker(["needs", flag.to_str().unwrap()]))
            .workers(1..=1)
            .backoff(backoff)
            .start()
            .unwrap();
        let mut events = pool.events();
        event(&mut events, |what| match what {
            PoolEventKind::Ended { exit, .. } => {
                assert_eq!(exit.kind, ExitKind::Unready);
                Some(())
            }
            _ => None,
        })
        .await;
        event(&mut events, |what| {
            matches!(what, PoolEventKind::Down).then_some(())
        })
        .await;
        folder.make("flag");
        event(&mut events, |what| {
            matches!(what, PoolEventKind::Up).then_some(())
        })
        .await;
        refused(&pool, Job::new(folder.job("die", "tries"))).await;
        event(&mut events, |what| match what {
            PoolEventKind::Ended { exit, .. } if exit.kind == ExitKind::Signal => Some(()),
            _ => None,
        })
        .await;
        assert_eq!(ask(&pool, "echo on").await, "on");
        let events = events_until_now(&mut events);
        let failed = |what: &PoolEventKind| matches!(what, PoolEventKind::StartFailed { .. });
        assert!(!events.iter().any(failed), "{events:?}");
        ended(pool).await;
    });
}

#[test]
fn a_guard_that_is_killed_is_told_and_replaced() {
    isolated(|| {
        run(async {
            let pool = one().start().unwrap();
            let mut events = pool.events();
            let worker: i32 = ask(&pool, "pid").await.parse().unwrap();
            let mut others = children().into_iter().map(|(pid, _)| pid);
            let guard = others.find(|pid| *pid != worker).unwrap();
            kill(Pid::from_raw(guard), Signal::SIGKILL).unwrap();
            let missing = event(&mut events, |what| match what {
                PoolEventKind::GuardMissing { problem, .. } => Some(problem.clone()),
                _ => None,
            });
            assert!(missing.await.starts_with("the guard is gone"));
            event(&mut events, |what| {
                matches!(what, PoolEventKind::GuardReplaced).then_some(())
            })
            .await;
            assert_eq!(ask(&pool, "pid").await, worker.to_string());
            ended(pool).await;
        });
    });
}
