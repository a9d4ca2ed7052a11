//! What a worker says of its progress.

use actix_process::Command;
use actix_process::monitor::Backoff;
use actix_process::pool::{Job, JobError, Pool, SessionFrame};
use std::time::Duration;

use crate::common::{in_time, run};
use crate::workers::{answer, ended, error, gone, pid, workers};

#[test]
fn progress_of_a_job_is_no_part_of_its_answer() {
    run(async {
        let pool = workers().workers(1..=1).start().unwrap();
        let before = pid(&pool).await;
        assert_eq!(answer(&pool, "steps x").await, "x");
        assert_eq!(pid(&pool).await, before);
        ended(pool).await;
    });
}

#[test]
fn progress_of_a_job_that_the_worker_does_not_have_is_told_and_the_worker_is_replaced() {
    run(async {
        let pool = workers().workers(1..=1).start().unwrap();
        // 0 is for a worker that is not ready.
        for job in ["stray 0", "stray 1000"] {
            let before = pid(&pool).await;
            match error(&pool, job).await {
                JobError::Protocol { what, .. } => {
                    assert!(what.contains("does not have"), "{job}: {what}");
                }
                other => panic!("{job}: {other:?}"),
            }
            gone(before).await;
        }
        ended(pool).await;
    });
}

#[test]
fn progress_of_a_job_before_a_worker_is_ready_is_a_start_that_failed() {
    run(async {
        let script = r"printf '\0\0\0\011\007\0\0\0\0\0\0\0\001' >&4; exec sleep 600";
        let backoff = Backoff::new().first(Duration::from_millis(1));
        let pool = Pool::new(Command::new("sh").args(["-c", script])).workers(1..=1);
        let pool = pool.backoff(backoff).start().unwrap();
        match in_time(pool.submit(Job::new("1"))).await {
            Err(JobError::PoolDown { last, .. }) => {
                assert!(last.contains("before it was ready"), "{last}");
            }
            other => panic!("{other:?}"),
        }
        in_time(pool.shutdown(Duration::from_secs(30))).await;
    });
}

#[test]
fn a_session_is_told_of_progress_between_the_parts() {
    run(async {
        let pool = workers().workers(1..=1).start().unwrap();
        let mut session = in_time(pool.checkout()).await.unwrap();
        in_time(session.send("steps x")).await.unwrap();
        for expected in [
            SessionFrame::Progress("half".into()),
            SessionFrame::End("x".into()),
        ] {
            assert_eq!(in_time(session.next()).await, Some(Ok(expected)));
        }
        assert_eq!(in_time(session.ask("steps y")).await.unwrap(), "y");
        let worker = session.pid();
        drop(session);
        assert_eq!(pid(&pool).await, worker);
        ended(pool).await;
    });
}
