//! Jobs that nobody wants any more, at every point of their way.

use std::time::Duration;

use actix_process::Command;
use actix_process::pool::{Job, Pool, PoolEventKind, PoolHandle};
use futures::FutureExt;

use crate::common::{amount, in_time, run};
use crate::told_worker::{Folder, ask, ended, events_until_now, stats_when, worker};

fn one() -> Pool {
    Pool::new(worker([])).workers(1..=1)
}

#[test]
fn in_the_queue() {
    run(async {
        let folder = Folder::new();
        let pool = one().start().unwrap();
        let held = pool.submit(Job::new(folder.job("gate", "gate")));
        let queued = pool.submit(Job::new(folder.job("note", "notes") + " queued"));
        stats_when(&pool, "a queue", |stats| stats.waiting == 1).await;
        drop(queued);
        stats_when(&pool, "none in the queue", |stats| stats.waiting == 0).await;
        folder.make("gate");
        in_time(held).await.unwrap();
        ask(&pool, "pid").await;
        assert!(folder.lines("notes").is_empty());
        let stats = pool.stats().await.unwrap();
        let outcomes = (stats.outcomes.cancelled, stats.outcomes.answered);
        assert_eq!(outcomes, (1, 2), "{stats:?}");
        ended(pool).await;
    });
}

#[test]
fn at_a_worker() {
    run(async {
        let pool = one().start().unwrap();
        let before = ask(&pool, "pid").await;
        let waits = pool.submit(Job::new("wait"));
        stats_when(&pool, "a running job", |stats| stats.running == 1).await;
        drop(waits);
        assert_eq!(ask(&pool, "pid").await, before);
        let stats = pool.stats().await.unwrap();
        let counts = (
            stats.outcomes.cancelled,
            stats.outcomes.answered,
            stats.stale,
        );
        assert_eq!(counts, (1, 2, 1), "{stats:?}");
        ended(pool).await;
    });
}

#[test]
fn after_the_answer() {
    run(async {
        let pool = one().start().unwrap();
        let before = ask(&pool, "pid").await;
        let answered = pool.submit(Job::new("echo it"));
        stats_when(&pool, "an answer", |stats| stats.outcomes.answered == 2).await;
        drop(answered);
        assert_eq!(ask(&pool, "pid").await, before);
        let stats = pool.stats().await.unwrap();
        assert_eq!((stats.outcomes.cancelled, stats.stale), (0, 0), "{stats:?}");
        ended(pool).await;
    });
}

#[test]
fn while_the_worker_starts() {
    run(async {
        let pool = Pool::new(worker(["slow", "200"]))
            .workers(1..=1)
            .start()
            .unwrap();
        let mut events = pool.events();
        drop(pool.submit(Job::new("echo it")));
        let stats = stats_when(&pool, "a cancelled job", |stats| {
            stats.outcomes.cancelled == 1
        });
        assert_eq!(stats.await.starting, 1);
        assert_eq!(ask(&pool, "echo on").await, "on");
        let started = |what: &&PoolEventKind| matches!(what, PoolEventKind::Started);
        let events = events_until_now(&mut events);
        assert_eq!(events.iter().filter(started).count(), 1, "{events:?}");
        ended(pool).await;
    });
}

/// Submits a job again and again, and drops it each time a little later: it has an answer by then or not.
async fn at_any_moment(pool: &PoolHandle, rounds: usize) {
    let mut answered = 0;
    for round in 0..rounds {
        let text = format!("echo {round}");
        let mut answer = pool.submit(Job::new(text.clone()));
        for _ in 0..round % 12 {
            actix_rt::task::yield_now().await;
        }
        actix_rt::time::sleep(Duration::from_micros(40 * (round % 30) as u64)).await;
        if let Some(answer) = (&mut answer).now_or_never() {
            let answer = answer.unwrap();
            assert!(
                answer == round.to_string() || answer == text,
                "{answer:?} to {text}"
            );
            answered += 1;
        }
    }
    let all = |stats: &actix_process::pool::PoolStats| {
        let outcomes = stats.outcomes;
        outcomes.answered + outcomes.cancelled >= rounds as u64 && stats.running == 0
    };
    let stats = stats_when(pool, "all outcomes", all).await;
    assert_eq!(
        stats.outcomes.answered + stats.outcomes.cancelled,
        rounds as u64,
        "{stats:?}"
    );
    assert!(stats.outcomes.answered >= answered, "{stats:?}");
}

#[test]
fn at_any_moment_of_a_job() {
    run(async {
        let pool = one().start().unwrap();
        let mut events = pool.events();
        in_time(at_any_moment(&pool, amount(5000, 400))).await;
        assert_eq!(ask(&pool, "echo on").await, "on");
        // The worker that they had is the first one.
        let events = events_until_now(&mut events);
        let ends = |what: &&PoolEventKind| matches!(what, PoolEventKind::Ended { .. });
        assert_eq!(events.iter().filter(ends).count(), 0, "{events:?}");
        ended(pool).await;
    });
}

#[test]
fn at_any_moment_of_a_spawn() {
    run(async {
        let pool = Pool::one_shot(Command::new("cat"))
            .workers(1..=2)
            .start()
            .unwrap();
        let mut events = pool.events();
        in_time(at_any_moment(&pool, amount(2000, 150))).await;
        stats_when(&pool, "no worker", |stats| {
            stats.starting + stats.busy + stats.stopping == 0
        })
        .await;
        assert_eq!(ask(&pool, "on").await, "on");
        // A start that was given up is none that failed.
        let events = events_until_now(&mut events);
        let failed = |what: &PoolEventKind| matches!(what, PoolEventKind::StartFailed { .. });
        assert!(!events.iter().any(failed), "{events:?}");
        ended(pool).await;
    });
}

#[test]
fn at_any_moment_of_a_start() {
    run(async {
        for round in 0..amount(300, 20) {
            let pool = one().guard(false).start().unwrap();
            let waits = pool.submit(Job::new("wait"));
            actix_rt::time::sleep(Duration::from_micros(300 * (round % 20) as u64)).await;
            drop(waits);
            let stats = stats_when(&pool, "a cancelled job", |stats| {
                stats.outcomes.cancelled == 1
            });
            assert_eq!(stats.await.outcomes.worker_lost, 0);
            assert_eq!(ask(&pool, "echo on").await, "on");
            ended(pool).await;
        }
    });
}
