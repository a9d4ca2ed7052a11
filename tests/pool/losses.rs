//! A job that has lost its worker is given to another one only where that was asked for, at its old place in the queue, and never a fourth time.

use std::time::Duration;

use actix_process::pool::{Job, JobError};
use futures::StreamExt;
use futures::future::join;

use crate::common::{in_time, run};
use crate::workers::{answer, ended, pid, stats, submit, workers};

/// A job of this word and a file that is not there.
struct Once {
    folder: tempfile::TempDir,
}

impl Once {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn job(&self, word: &str) -> Job {
        Job::new(format!("{word} {}/file", self.folder.path().display()))
    }
}

#[test]
fn a_job_is_not_tried_again_unless_that_was_asked_for() {
    run(async {
        let pool = workers().workers(1..=1).start().unwrap();
        let once = Once::new();
        let lost = in_time(pool.submit(once.job("once"))).await.unwrap_err();
        assert!(
            matches!(lost, JobError::WorkerLost { attempts: 1, .. }),
            "{lost:?}"
        );
        ended(pool).await;
    });
}

#[test]
fn a_job_that_may_be_tried_again_is_done_by_another_worker_before_those_that_came_later() {
    run(async {
        let pool = workers().workers(1..=1).start().unwrap();
        let before = pid(&pool).await;
        let once = Once::new();
        let retried = pool.submit(once.job("once").retry_on_loss(1));
        let later = pool.submit(Job::new("count"));
        let (retried, later) = in_time(join(retried, later)).await;
        assert_eq!(retried.unwrap(), "again");
        // The new worker had the other one before.
        assert_eq!(later.unwrap(), "1");
        assert_ne!(pid(&pool).await, before);
        let stats = pool.stats().await.unwrap();
        assert_eq!(
            (stats.outcomes.answered, stats.outcomes.worker_lost),
            (4, 0),
            "{stats:?}"
        );
        ended(pool).await;
    });
}

#[test]
fn a_job_that_was_tried_as_often_as_it_may_be_is_lost_and_tells_how_often() {
    run(async {
        let pool = workers().workers(2..=2).start().unwrap();
        let lost = in_time(pool.submit(Job::new("raise 9").retry_on_loss(1))).await;
        let lost = lost.unwrap_err();
        assert!(
            matches!(lost, JobError::WorkerLost { attempts: 2, .. }),
            "{lost:?}"
        );
        ended(pool).await;
    });
}

#[test]
fn a_job_that_has_lost_three_workers_is_poisoned_however_often_it_may_be_tried() {
    run(async {
        let pool = workers().workers(2..=2).start().unwrap();
        for job in ["raise 9", "exit 0", "garble", "close 4"] {
            let poisoned = in_time(pool.submit(Job::new(job).retry_on_loss(10))).await;
            assert_eq!(poisoned, Err(poison()), "{job}");
        }
        let stats = stats(&pool, "two workers", |stats| stats.idle == 2).await;
        assert_eq!(
            (stats.outcomes.poisoned, stats.outcomes.worker_lost),
            (4, 0),
            "{stats:?}"
        );
        assert_eq!(answer(&pool, "echo on").await, "on");
        ended(pool).await;
    });
}

/// It cannot be made outside of the crate.
fn poison() -> JobError {
    static POISON: std::sync::OnceLock<JobError> = std::sync::OnceLock::new();
    let made = || {
        std::thread::spawn(|| {
            run(async {
                let pool = workers().workers(1..=1).start().unwrap();
                let job = Job::new("raise 9").retry_on_loss(2);
                let error = in_time(pool.submit(job)).await.unwrap_err();
                ended(pool).await;
                error
            })
        })
    };
    let error = POISON.get_or_init(|| made().join().unwrap()).clone();
    assert!(
        matches!(error, JobError::Poisoned { attempts: 3, .. }),
        "{error:?}"
    );
    error
}

#[test]
fn a_job_that_ran_too_long_is_not_tried_again() {
    run(async {
        let soft = Duration::from_millis(50);
        let pool = workers().workers(1..=1).soft(soft).start().unwrap();
        let job = Job::new("hang").timeout(soft).retry_on_loss(2);
        let late = in_time(pool.submit(job)).await.unwrap_err();
        assert!(matches!(late, JobError::Timeout { .. }), "{late:?}");
        ended(pool).await;
    });
}

#[test]
fn a_stream_of_which_a_part_was_given_out_ends_with_the_loss() {
    run(async {
        let pool = workers().workers(1..=1).start().unwrap();
        let (begun, once) = (Once::new(), Once::new());
        let stream = in_time(pool.stream(begun.job("begin").retry_on_loss(2))).await;
        let items: Vec<_> = in_time(stream.unwrap().collect()).await;
        assert_eq!(items.len(), 2, "{items:?}");
        assert_eq!(items[0].as_ref().unwrap(), "begun");
        assert!(
            matches!(items[1], Err(JobError::WorkerLost { attempts: 1, .. })),
            "{items:?}"
        );
        // One of which none was is tried again.
        let stream = in_time(pool.stream(once.job("once").retry_on_loss(2))).await;
        let items: Vec<_> = in_time(stream.unwrap().collect()).await;
        assert_eq!(items, [Ok("again".into())]);
        ended(pool).await;
    });
}

#[test]
fn a_job_that_is_cancelled_after_its_first_loss_is_not_tried_for_ever() {
    run(async {
        let pool = workers().workers(1..=1).start().unwrap();
        let once = Once::new();
        let retried = pool.submit(once.job("wait").retry_on_loss(2));
        let file = once.folder.path().join("file");
        let there = || file.exists().then_some(());
        crate::common::eventually("the first try", there, String::new).await;
        drop(retried);
        assert_eq!(answer(&pool, "echo on").await, "on");
        let stats = pool.stats().await.unwrap();
        assert_eq!(
            (stats.outcomes.cancelled, stats.outcomes.answered),
            (1, 1),
            "{stats:?}"
        );
        ended(pool).await;
    });
}

#[test]
fn a_job_of_a_key_that_is_tried_again_keeps_its_turn() {
    run(async {
        let pool = workers().workers(2..=2).start().unwrap();
        let once = Once::new();
        let retried = pool.submit(once.job("once").retry_on_loss(1).key("k"));
        let later: Vec<_> = (1..=5)
            .map(|_| pool.submit(Job::new("count").key("k")))
            .collect();
        assert_eq!(in_time(retried).await.unwrap(), "again");
        for (number, later) in (1..).zip(in_time(futures::future::join_all(later)).await) {
            assert_eq!(later.unwrap(), number.to_string());
        }
        let _ = in_time(submit(&pool, "echo x")).await;
        ended(pool).await;
    });
}
