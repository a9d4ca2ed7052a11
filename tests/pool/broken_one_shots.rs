//! One-shot processes that end in other ways than they should: the status decides, and a job of another process is not touched.

use std::time::{Duration, Instant};

use actix_process::Command;
use actix_process::monitor::ExitKind;
use actix_process::pool::{Job, JobError, Pool, PoolHandle};

use crate::common::{in_time, run};
use crate::workers::{ended, gone, stats};

/// Each job is a script of the shell.
fn shells() -> PoolHandle {
    let pool = Pool::one_shot(Command::new("/bin/sh")).workers(1..=2);
    pool.start().unwrap()
}

/// A script that gets a large job that it need not read.
async fn script(pool: &PoolHandle, script: &str) -> Result<String, JobError> {
    let job = Job::new(vec![b'x'; 1 << 20]).args(["-c", script]);
    let answer = in_time(pool.submit(job.timeout(Duration::from_secs(20)))).await?;
    Ok(String::from_utf8(answer.to_vec()).unwrap())
}

#[test]
fn the_status_decides_whatever_was_read_and_written() {
    run(async {
        let pool = shells();
        // It does not read its job, or not all of it.
        assert_eq!(script(&pool, "echo done").await.unwrap(), "done\n");
        assert_eq!(script(&pool, "head -c 3; exec <&-").await.unwrap(), "xxx");
        // It closes its output, and runs on for a while.
        let closes = "echo done; exec >&-; sleep 0.2; exit 0";
        assert_eq!(script(&pool, closes).await.unwrap(), "done\n");
        let closes = "echo done; exec >&-; echo but >&2; exit 9";
        match script(&pool, closes).await {
            Err(JobError::Failed { status, tail, .. }) => {
                assert_eq!((status.code(), &tail[..]), (Some(9), &b"but\n"[..]));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(pool.stats().await.unwrap().outcomes.worker_lost, 0);
        ended(pool).await;
    });
}

#[test]
fn the_whole_complaint_of_one_that_fails_is_told() {
    run(async {
        let pool = shells();
        for _ in 0..20 {
            match script(
                &pool,
                "cat >/dev/null; echo first >&2; echo last >&2; exit 1",
            )
            .await
            {
                Err(JobError::Failed { tail, .. }) => assert_eq!(&tail[..], b"first\nlast\n"),
                other => panic!("{other:?}"),
            }
        }
        ended(pool).await;
    });
}

#[test]
fn one_that_is_killed_is_lost_with_its_signal() {
    run(async {
        let pool = shells();
        for (signal, number) in [("KILL", 9), ("SEGV", 11), ("TERM", 15)] {
            let lost = script(&pool, &format!("echo x; kill -{signal} $$")).await;
            let Err(JobError::WorkerLost {
                status,
                kind,
                attempts,
                ..
            }) = lost
            else {
                panic!("{signal}: {lost:?}");
            };
            let killed = status
                .and_then(|status| status.signal())
                .map(|signal| signal.number());
            assert_eq!(
                (killed, kind, attempts),
                (Some(number), ExitKind::Signal, 1)
            );
        }
        assert_eq!(script(&pool, "echo on").await.unwrap(), "on\n");
        ended(pool).await;
    });
}

#[test]
fn a_process_that_holds_the_output_of_one_that_has_exited_holds_up_nobody() {
    run(async {
        let pool = shells();
        let begun = Instant::now();
        let left = script(&pool, "sleep 300 & echo $!").await.unwrap();
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
        gone(left.trim().parse().unwrap()).await;
        // One that has left the group as well.
        let left = script(&pool, "setsid sleep 300 & echo $!").await.unwrap();
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(script(&pool, "echo on").await.unwrap(), "on\n");
        let left = nix::unistd::Pid::from_raw(left.trim().parse().unwrap());
        let _ = nix::sys::signal::kill(left, nix::sys::signal::Signal::SIGKILL);
        in_time(pool.drain(Duration::from_secs(60))).await;
    });
}

#[test]
fn one_that_closes_its_output_and_runs_on_ends_by_the_timeout() {
    run(async {
        let pool = shells();
        let job = Job::new("").args(["-c", "exec >&- 2>&-; exec sleep 300"]);
        let begun = Instant::now();
        let error = in_time(pool.submit(job.timeout(Duration::from_millis(300)))).await;
        assert!(matches!(error, Err(JobError::Timeout { .. })), "{error:?}");
        assert!(begun.elapsed() >= Duration::from_millis(300));
        ended(pool).await;
    });
}

#[test]
fn one_whose_job_is_cancelled_is_stopped_with_its_children() {
    run(async {
        let pool = shells();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!(
            "sleep 300 & echo $! > {}.new; mv {0}.new {0}; wait",
            file.display()
        );
        let cancelled = pool.submit(Job::new("").args(["-c", &script]));
        let written = || std::fs::read_to_string(&file).ok();
        let child = crate::common::eventually("the file", written, String::new).await;
        drop(cancelled);
        gone(child.trim().parse().unwrap()).await;
        let cancelled = stats(&pool, "nobody to be left", |stats| stats.stopping == 0).await;
        assert_eq!(cancelled.outcomes.cancelled, 1, "{cancelled:?}");
        ended(pool).await;
    });
}

#[test]
fn a_spare_that_dies_before_it_has_a_job_costs_none() {
    run(async {
        let pool = Pool::one_shot(Command::new("cat"))
            .spare(1)
            .workers(1..=2)
            .start()
            .unwrap();
        for _ in 0..10 {
            let spare = stats(&pool, "a spare", |stats| stats.idle == 1).await;
            assert_eq!(spare.outcomes.worker_lost, 0, "{spare:?}");
            assert_eq!(in_time(pool.submit(Job::new("x"))).await.unwrap(), "x");
        }
        ended(pool).await;
    });
}

#[test]
fn one_that_writes_without_end_is_stopped_when_its_answer_is_too_large() {
    run(async {
        let pool = Pool::one_shot(Command::new("yes")).max_answer(1 << 20);
        let pool = pool.workers(1..=1).start().unwrap();
        for _ in 0..3 {
            let error = in_time(pool.submit(Job::new(""))).await.unwrap_err();
            let is_too_large = matches!(
                error,
                JobError::TooLarge {
                    limit: 1_048_576,
                    ..
                }
            );
            assert!(is_too_large, "{error:?}");
        }
        ended(pool).await;
    });
}

#[test]
fn jobs_that_are_cancelled_at_any_moment_of_their_start_leave_the_place_to_the_next_one() {
    run(async {
        for round in 0..20 {
            let pool = Pool::one_shot(Command::new("cat")).workers(1..=1);
            let pool = pool.start().unwrap();
            let cancelled = pool.submit(Job::new("x"));
            // At once, while the guard is started, or while the process is.
            std::thread::sleep(Duration::from_micros(round * 300));
            drop(cancelled);
            assert_eq!(in_time(pool.submit(Job::new("y"))).await.unwrap(), "y");
            ended(pool).await;
        }
    });
}
