//! Jobs whose worker is lost: tried again only where that was asked for.

use actix_process::monitor::ExitKind;
use actix_process::pool::{Job, JobError, Pool};
use actix_process::{Command, Signal};
use futures::StreamExt;

use crate::common::{in_time, run};
use crate::told_worker::{Folder, ask, ended, refused, worker};

fn two() -> Pool {
    Pool::new(worker([])).workers(2..=2)
}

/// How many workers a job has lost that was not tried again.
fn lost(error: &JobError) -> u32 {
    match error {
        JobError::WorkerLost {
            status: Some(status),
            kind: ExitKind::Signal,
            over_max_rss: false,
            attempts,
            ..
        } => {
            assert_eq!(status.signal(), Some(Signal::ABRT));
            *attempts
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_job_is_not_tried_again_unless_asked() {
    run(async {
        let folder = Folder::new();
        let pool = two().start().unwrap();
        let error = refused(&pool, Job::new(folder.job("die", "tries"))).await;
        assert_eq!(lost(&error), 1);
        ask(&pool, "pid").await;
        assert_eq!(folder.lines("tries").len(), 1);
        ended(pool).await;
    });
}

#[test]
fn another_worker_gets_a_job_that_may_be_tried_again() {
    run(async {
        let folder = Folder::new();
        let pool = two().start().unwrap();
        let job = Job::new(folder.job("die-once", "tries")).retry_on_loss(1);
        let second = in_time(pool.submit(job)).await.unwrap();
        let first = folder.lines("tries");
        assert_eq!(first.len(), 1);
        assert_ne!(second, first[0]);
        let stats = pool.stats().await.unwrap();
        let counts = (stats.outcomes.answered, stats.outcomes.worker_lost);
        assert_eq!(counts, (1, 0), "{stats:?}");
        ended(pool).await;
    });
}

#[test]
fn a_job_is_tried_again_as_often_as_asked() {
    run(async {
        let folder = Folder::new();
        let pool = two().start().unwrap();
        let job = Job::new(folder.job("die", "tries")).retry_on_loss(1);
        assert_eq!(lost(&refused(&pool, job).await), 2);
        let mut tries = folder.lines("tries");
        tries.dedup();
        assert_eq!(tries.len(), 2);
        ended(pool).await;
    });
}

#[test]
fn the_third_lost_worker_makes_it_poisoned() {
    run(async {
        let folder = Folder::new();
        let pool = two().start().unwrap();
        let job = Job::new(folder.job("die", "tries")).retry_on_loss(10);
        let error = refused(&pool, job).await;
        assert!(
            matches!(error, JobError::Poisoned { attempts: 3, .. }),
            "{error:?}"
        );
        assert_eq!(ask(&pool, "echo on").await, "on");
        assert_eq!(folder.lines("tries").len(), 3);
        ended(pool).await;
    });
}

#[test]
fn a_streamed_job_is_not_tried_again_after_its_first_part() {
    run(async {
        let folder = Folder::new();
        let pool = two().start().unwrap();
        let job = Job::new(folder.job("chunk-die", "tries")).retry_on_loss(5);
        let stream = in_time(pool.stream(job)).await.unwrap();
        let items: Vec<_> = in_time(stream.collect()).await;
        let [Ok(part), Err(error)] = &items[..] else {
            panic!("{items:?}")
        };
        assert_eq!(part, "part");
        assert_eq!(lost(error), 1);
        assert_eq!(folder.lines("tries").len(), 1);
        ended(pool).await;
    });
}

#[test]
fn a_streamed_job_without_a_part_is_tried_again() {
    run(async {
        let folder = Folder::new();
        let pool = two().start().unwrap();
        let job = Job::new(folder.job("die-once", "tries")).retry_on_loss(1);
        let stream = in_time(pool.stream(job)).await.unwrap();
        let items: Vec<_> = in_time(stream.collect()).await;
        assert_eq!(items.len(), 1);
        assert_ne!(items[0].as_ref().unwrap(), &folder.lines("tries")[0]);
        ended(pool).await;
    });
}

#[test]
fn a_one_shot_job_is_tried_again_when_its_process_is_killed_not_when_it_fails() {
    run(async {
        let folder = Folder::new();
        let script =
            "echo x >> \"$0\"; test -s \"$0.2\" || { echo x > \"$0.2\"; kill -9 $$; }; exit 3";
        let command = Command::new("sh")
            .args(["-c", script])
            .arg(folder.path("tries"));
        let pool = Pool::one_shot(command).start().unwrap();
        let error = refused(&pool, Job::new("").retry_on_loss(2)).await;
        assert!(matches!(error, JobError::Failed { .. }), "{error:?}");
        assert_eq!(folder.lines("tries").len(), 2);
        ended(pool).await;
    });
}
