//! A full queue: jobs are refused at once, or wait for a place in their order, and cost no worker anything.

use std::time::{Duration, Instant};

use actix_process::pool::{Job, JobError, PoolHandle};
use futures::FutureExt;
use futures::future::{join, join_all};

use crate::common::{amount, in_time, run};
use crate::workers::{answer, ended, pid, stats, submit, workers};

/// One worker that is busy until its job is dropped, and a queue of so many jobs.
async fn busy(queue: usize) -> (PoolHandle, actix_process::pool::Answer) {
    let pool = workers()
        .workers(1..=1)
        .queue(queue)
        .soft(Duration::from_secs(30))
        .start()
        .unwrap();
    let job = submit(&pool, "cancelled x");
    stats(&pool, "the job to run", |stats| stats.busy == 1).await;
    (pool, job)
}

#[test]
fn a_job_for_which_there_is_no_place_is_refused_at_once_and_the_others_are_done() {
    run(async {
        let (pool, running) = busy(3).await;
        let waiting: Vec<_> = (0..3).map(|_| submit(&pool, "echo x")).collect();
        for _ in 0..5 {
            let refused = submit(&pool, "echo x").now_or_never();
            assert_eq!(refused, Some(Err(full(&pool).await)));
        }
        drop(running);
        for done in in_time(join_all(waiting)).await {
            assert_eq!(done.unwrap(), "x");
        }
        assert_eq!(answer(&pool, "echo y").await, "y");
        let stats = pool.stats().await.unwrap();
        assert_eq!(stats.outcomes.queue_full, 10, "{stats:?}");
        assert_eq!(stats.outcomes.answered, 4, "{stats:?}");
        ended(pool).await;
    });
}

/// The refusal of a pool whose queue has three places.
async fn full(pool: &PoolHandle) -> JobError {
    let refused = in_time(submit(pool, "echo x")).await.unwrap_err();
    assert!(
        matches!(refused, JobError::QueueFull { limit: 3, .. }),
        "{refused:?}"
    );
    refused
}

#[test]
fn those_who_wait_for_a_place_get_it_in_their_order() {
    run(async {
        let (pool, running) = busy(1).await;
        // The worker had one before.
        let waiting = (1..=50).map(|number: u32| {
            let pool = &pool;
            async move {
                let done = pool.submit_wait(Job::new("count")).await;
                assert_eq!(done.unwrap(), number.to_string());
            }
        });
        let let_go = async {
            let waiting = stats(&pool, "a job to wait", |stats| stats.waiting == 1).await;
            assert_eq!((waiting.busy, waiting.running), (1, 1), "{waiting:?}");
            drop(running);
        };
        in_time(join(join_all(waiting), let_go)).await;
        ended(pool).await;
    });
}

#[test]
fn ready_for_more_resolves_when_there_is_a_place_and_takes_none() {
    run(async {
        let (pool, running) = busy(1).await;
        in_time(pool.ready_for_more()).await.unwrap();
        let waiting = submit(&pool, "echo x");
        let mut ready = Box::pin(pool.ready_for_more());
        assert!(ready.as_mut().now_or_never().is_none());
        drop(running);
        in_time(ready).await.unwrap();
        assert_eq!(in_time(waiting).await.unwrap(), "x");
        let two = [submit(&pool, "echo a"), submit(&pool, "echo b")];
        for done in in_time(join_all(two)).await {
            done.unwrap();
        }
        let mut waits = {
            let (pool, _running) = busy(1).await;
            let _waiting = submit(&pool, "echo x");
            let ready = pool.ready_for_more();
            // A shutdown ends it.
            let (ready, report) =
                in_time(join(ready, pool.shutdown(Duration::from_secs(60)))).await;
            assert_eq!(ready, Err(JobError::ShuttingDown));
            vec![report]
        };
        assert_eq!(waits.pop().unwrap().ended, 2);
        ended(pool).await;
    });
}

#[test]
fn one_who_waits_for_a_place_and_goes_has_cost_nothing() {
    run(async {
        let (pool, running) = busy(1).await;
        let waiting = submit(&pool, "echo x");
        let mut goes: Vec<_> = (0..100)
            .map(|_| Box::pin(pool.submit_wait(Job::new("exit 3"))))
            .collect();
        for one in &mut goes {
            assert!(one.as_mut().now_or_never().is_none());
        }
        let stays = pool.submit_wait(Job::new("echo stays"));
        let mut stays = Box::pin(stays);
        assert!(stays.as_mut().now_or_never().is_none());
        drop(goes);
        drop(running);
        let (waiting, stays) = in_time(join(waiting, stays)).await;
        assert_eq!(
            (waiting.unwrap(), stays.unwrap()),
            ("x".into(), "stays".into())
        );
        let stats = pool.stats().await.unwrap();
        let outcomes = (
            stats.outcomes.answered,
            stats.outcomes.cancelled,
            stats.outcomes.worker_lost,
        );
        assert_eq!(outcomes, (2, 1, 0), "{stats:?}");
        ended(pool).await;
    });
}

#[test]
fn ten_thousand_submitters_at_a_full_queue_cost_no_worker_and_no_time_of_those_that_run() {
    run(async {
        let pool = workers().workers(1..=1).queue(1).start().unwrap();
        let before = pid(&pool).await;
        let alone = round_trips(&pool).await;
        let running = submit(&pool, "cancelled x");
        stats(&pool, "the job to run", |stats| stats.busy == 1).await;
        let waiting = submit(&pool, "echo x");
        let refused = (0..10_000).map(|_| submit(&pool, "exit 3"));
        for refused in in_time(join_all(refused)).await {
            assert!(
                matches!(refused, Err(JobError::QueueFull { limit: 1, .. })),
                "{refused:?}"
            );
        }
        let count = amount(10_000, 2_000);
        let mut crowd: Vec<_> = (0..count)
            .map(|_| Box::pin(pool.submit_wait(Job::new("echo crowd"))))
            .collect();
        for one in &mut crowd {
            assert!(one.as_mut().now_or_never().is_none());
        }
        drop(running);
        assert_eq!(in_time(waiting).await.unwrap(), "x");
        let begun = Instant::now();
        for done in in_time(join_all(crowd)).await {
            assert_eq!(done.unwrap(), "crowd");
        }
        // Each took no longer than a job alone, by far.
        let each = begun.elapsed() / count as u32;
        assert!(each < 20 * alone, "{each:?}, alone {alone:?}");
        assert_eq!(pid(&pool).await, before);
        let stats = pool.stats().await.unwrap();
        assert_eq!(stats.outcomes.queue_full, 10_000, "{stats:?}");
        assert_eq!(stats.outcomes.worker_lost, 0, "{stats:?}");
        ended(pool).await;
    });
}

/// How long one job takes, on average of some.
async fn round_trips(pool: &PoolHandle) -> Duration {
    let begun = Instant::now();
    for _ in 0..200 {
        answer(pool, "echo x").await;
    }
    begun.elapsed() / 200
}
