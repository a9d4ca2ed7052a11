//! Jobs that run longer than they may: the caller hears at once, and the worker is told first.

use std::time::{Duration, Instant};

use actix_process::Command;
use actix_process::monitor::ExitKind;
use actix_process::pool::{Framing, Job, JobError, Pool, PoolEventKind};

use crate::common::{in_time, run};
use crate::told_worker::{Folder, ask, ended, event, refused, shut, stats_when, worker};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(600);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn one() -> Pool {
    Pool::new(worker([])).workers(1..=1)
}

fn timed_out(error: &JobError) -> Duration {
    match error {
        JobError::Timeout { ran, .. } => *ran,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_worker_that_answers_the_cancel_is_used_again() {
    run(async {
        let pool = one().soft(LONG).start().unwrap();
        let before = ask(&pool, "pid").await;
        let error = refused(&pool, Job::new("wait").timeout(millis(100))).await;
        assert!(timed_out(&error) >= millis(100), "{error:?}");
        assert_eq!(ask(&pool, "pid").await, before);
        let stats = pool.stats().await.unwrap();
        assert_eq!((stats.outcomes.timeout, stats.stale), (1, 1), "{stats:?}");
        ended(pool).await;
    });
}

#[test]
fn the_caller_hears_at_once_whatever_the_worker_does() {
    run(async {
        let pool = one().soft(LONG).start().unwrap();
        ask(&pool, "pid").await;
        let error = refused(&pool, Job::new("deaf").timeout(millis(50))).await;
        timed_out(&error);
        let stats = pool.stats().await.unwrap();
        assert_eq!((stats.cancelling, stats.running), (1, 0), "{stats:?}");
        shut(pool).await;
    });
}

#[test]
fn a_worker_that_does_not_answer_the_cancel_is_stopped_and_replaced() {
    run(async {
        let pool = one().soft(millis(50)).start().unwrap();
        let mut events = pool.events();
        let before = ask(&pool, "pid").await;
        let error = refused(&pool, Job::new("deaf").timeout(millis(50))).await;
        timed_out(&error);
        assert_ne!(ask(&pool, "pid").await, before);
        let exit = event(&mut events, |what| match what {
            PoolEventKind::Ended { exit, .. } => Some(exit.clone()),
            _ => None,
        });
        assert_eq!(exit.await.kind, ExitKind::Stopped);
        let stats = pool.stats().await.unwrap();
        assert_eq!(stats.outcomes.worker_lost, 0, "{stats:?}");
        ended(pool).await;
    });
}

#[test]
fn a_job_may_have_a_time_of_its_own() {
    run(async {
        let pool = one().job_timeout(millis(100)).start().unwrap();
        timed_out(&refused(&pool, Job::new("wait")).await);
        let own = Job::new("sleep 300").timeout(LONG);
        in_time(pool.submit(own)).await.unwrap();
        ended(pool).await;
    });
}

#[test]
fn the_time_of_a_job_begins_when_a_worker_gets_it() {
    run(async {
        // Neither the start of the worker nor the queue counts.
        let pool = Pool::new(worker(["slow", "1100"]))
            .workers(1..=1)
            .job_timeout(millis(1000))
            .start()
            .unwrap();
        let first = pool.submit(Job::new("sleep 1100").timeout(LONG));
        let second = pool.submit(Job::new("echo on"));
        in_time(first).await.unwrap();
        assert_eq!(in_time(second).await.unwrap(), "on");
        ended(pool).await;
    });
}

#[test]
fn the_time_of_a_start_is_no_limit_for_a_job() {
    run(async {
        let pool = one().ready_within(millis(1500)).start().unwrap();
        ask(&pool, "sleep 1700").await;
        ended(pool).await;
    });
}

#[test]
fn a_streamed_job_ends_with_its_timeout() {
    use futures::StreamExt;
    run(async {
        let pool = one().start().unwrap();
        ask(&pool, "pid").await;
        let endless = Job::new("chunks 1000000000 10").timeout(millis(300));
        let stream = in_time(pool.stream(endless)).await.unwrap();
        let last = in_time(stream.fold(None, async |_, item| Some(item))).await;
        timed_out(&last.unwrap().unwrap_err());
        assert_eq!(ask(&pool, "echo on").await, "on");
        ended(pool).await;
    });
}

#[test]
fn workers_that_cannot_be_told_are_stopped_at_once() {
    run(async {
        let sleeps = || Command::new("sleep").arg("600");
        let lines = Pool::new(sleeps()).framing(Framing::JsonLines);
        for pool in [lines, Pool::one_shot(sleeps()).spare(1)] {
            let pool = pool.workers(1..=1).soft(LONG).start().unwrap();
            // A start that is given up has no end.
            stats_when(&pool, "a process", |stats| stats.idle == 1).await;
            let begun = Instant::now();
            let mut events = pool.events();
            timed_out(&refused(&pool, Job::new("1").timeout(millis(50))).await);
            event(&mut events, |what| {
                matches!(what, PoolEventKind::Ended { .. }).then_some(())
            })
            .await;
            assert!(begun.elapsed() < LONG);
            shut(pool).await;
        }
    });
}

#[test]
fn times_without_an_end_are_as_good_as_none() {
    run(async {
        let pool = one()
            .job_timeout(Duration::MAX)
            .idle_timeout(Duration::MAX)
            .ready_within(Duration::MAX)
            .soft(Duration::MAX)
            .max_age(Duration::MAX);
        let pool = pool.start().unwrap();
        for _ in 0..2 {
            let job = Job::new("echo x")
                .expires(Duration::MAX)
                .timeout(Duration::MAX);
            assert_eq!(in_time(pool.submit(job)).await.unwrap(), "x");
        }
        let cancelled = pool.submit(Job::new("wait").expires(Duration::MAX));
        stats_when(&pool, "the job to run", |stats| stats.busy == 1).await;
        drop(cancelled);
        assert_eq!(ask(&pool, "echo y").await, "y");
        let report = in_time(pool.drain(Duration::MAX)).await;
        assert_eq!((report.killed, report.ended), (0, 0), "{report:?}");
    });
}

#[test]
fn a_job_that_no_worker_begins_in_time_expires() {
    run(async {
        let folder = Folder::new();
        let pool = one().start().unwrap();
        let held = pool.submit(Job::new(folder.job("gate", "gate")));
        let note = folder.job("note", "notes") + " late";
        let error = refused(&pool, Job::new(note).expires(millis(50))).await;
        assert_eq!(error, JobError::Expired);
        folder.make("gate");
        in_time(held).await.unwrap();
        // One that has begun goes on.
        let begun = Job::new("sleep 1200").expires(millis(1000));
        in_time(pool.submit(begun)).await.unwrap();
        assert!(folder.lines("notes").is_empty());
        let stats = stats_when(&pool, "an idle worker", |stats| stats.idle == 1).await;
        assert_eq!(stats.outcomes.expired, 1, "{stats:?}");
        ended(pool).await;
    });
}
