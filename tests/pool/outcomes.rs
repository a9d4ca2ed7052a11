//! Each outcome that a job may have, and that it is counted once.

use std::time::Duration;

use actix_process::Command;
use actix_process::monitor::Backoff;
use actix_process::pool::{Job, JobError, Pool, PoolHandle};
use futures::StreamExt;

use crate::common::{in_time, run};
use crate::workers::{LONG, answer, ended, error, stats, submit, workers};

/// How many jobs ended in any way.
async fn total(pool: &PoolHandle) -> u64 {
    let all = pool.stats().await.unwrap().outcomes;
    [
        all.answered,
        all.remote,
        all.failed,
        all.queue_full,
        all.too_large,
        all.expired,
        all.timeout,
        all.cancelled,
        all.worker_lost,
        all.poisoned,
        all.protocol,
        all.pool_down,
        all.shutting_down,
    ]
    .iter()
    .sum()
}

#[test]
fn the_error_of_a_worker_is_told_and_it_takes_the_next_job() {
    run(async {
        let pool = workers().workers(1..=1).start().unwrap();
        let before = answer(&pool, "pid").await;
        for text in ["it is wrong", ""] {
            let job = Job::new(format!("fail {text}"));
            match in_time(pool.submit(job)).await {
                Err(JobError::Remote(said)) => assert_eq!(said, text),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(answer(&pool, "pid").await, before);
        assert_eq!(pool.stats().await.unwrap().outcomes.remote, 2);
        assert_eq!(total(&pool).await, 4);
        ended(pool).await;
    });
}

#[test]
fn what_is_too_large_is_refused_or_given_up_and_a_stream_may_be_larger() {
    run(async {
        let pool = workers().workers(1..=1).max_frame(2000).max_answer(10_000);
        let pool = pool.soft(LONG).start().unwrap();
        let before = answer(&pool, "pid").await;
        let job = pool.submit(Job::new(vec![b'x'; 2001]));
        let refused = in_time(job).await.unwrap_err();
        assert!(
            matches!(refused, JobError::TooLarge { limit: 2000, .. }),
            "{refused:?}"
        );
        assert_eq!(answer(&pool, "chunks 10").await.len(), 10_000);
        let given_up = error(&pool, "chunks 11").await;
        assert!(
            matches!(given_up, JobError::TooLarge { limit: 10_000, .. }),
            "{given_up:?}"
        );
        let stream = in_time(pool.stream(Job::new("chunks 100"))).await.unwrap();
        let parts: Vec<_> = in_time(stream.collect()).await;
        assert_eq!(parts.len(), 100);
        assert!(
            parts
                .iter()
                .all(|part| part.as_ref().is_ok_and(|part| part.len() == 1000))
        );
        // It is a worker of the kind that says when it has heard.
        assert_eq!(answer(&pool, "pid").await, before);
        let outcomes = pool.stats().await.unwrap().outcomes;
        assert_eq!(
            (outcomes.too_large, outcomes.answered),
            (2, 4),
            "{outcomes:?}"
        );
        ended(pool).await;
    });
}

#[test]
fn a_job_that_no_worker_has_begun_with_in_its_time_expires_and_one_that_runs_does_not() {
    run(async {
        let pool = workers().workers(1..=1).start().unwrap();
        answer(&pool, "echo ready").await;
        let time = Duration::from_secs(1);
        let running = pool.submit(Job::new("cancelled x").expires(time).timeout(LONG));
        stats(&pool, "the job to run", |stats| stats.busy == 1).await;
        let expires = pool.submit(Job::new("echo late").expires(time));
        let waits = submit(&pool, "echo x");
        assert_eq!(in_time(expires).await, Err(JobError::Expired));
        let now = pool.stats().await.unwrap();
        assert_eq!((now.busy, now.waiting), (1, 1), "{now:?}");
        drop(running);
        assert_eq!(in_time(waits).await.unwrap(), "x");
        let outcomes = pool.stats().await.unwrap().outcomes;
        let told = (outcomes.expired, outcomes.cancelled, outcomes.answered);
        assert_eq!(told, (1, 1, 2), "{outcomes:?}");
        ended(pool).await;
    });
}

#[test]
fn a_pool_that_cannot_start_a_worker_says_so_to_those_that_wait_and_that_come() {
    run(async {
        let quick = Backoff::new().first(Duration::from_millis(5)).factor(1.0);
        for command in [
            Command::new("/no/such/program"),
            Command::new("sh").args(["-c", "exit 3"]),
        ] {
            let pool = Pool::new(command).workers(1..=2).backoff(quick);
            let pool = pool.start().unwrap();
            let jobs: Vec<_> = (0..10).map(|_| submit(&pool, "echo x")).collect();
            for down in in_time(futures::future::join_all(jobs)).await {
                let down = down.unwrap_err();
                assert!(matches!(down, JobError::PoolDown { .. }), "{down:?}");
            }
            let down = error(&pool, "echo x").await;
            assert!(matches!(down, JobError::PoolDown { .. }), "{down:?}");
            assert!(pool.stats().await.unwrap().down);
            assert_eq!(total(&pool).await, 11);
            let report = in_time(pool.shutdown(LONG)).await;
            assert_eq!((report.killed, report.ended), (0, 0), "{report:?}");
        }
    });
}

#[test]
fn every_error_reads_as_a_sentence() {
    run(async {
        let pool = workers().workers(1..=1).start().unwrap();
        for (job, text) in [
            ("fail x", "the worker answered with an error of 1 bytes"),
            ("raise 9", "its worker was lost: "),
            ("other x", "an answer to a job that it does not have"),
        ] {
            let error = error(&pool, job).await.to_string();
            assert!(error.starts_with(text), "{error}");
        }
        ended(pool).await;
    });
}
