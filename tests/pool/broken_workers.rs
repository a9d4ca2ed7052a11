//! Each fault of a worker is the loss of its own job alone: the next worker does the next one.

use std::time::Duration;

use actix_process::monitor::ExitKind;
use actix_process::pool::{Job, JobError, PoolHandle};
use actix_process::{Bytes, ExitStatus};
use futures::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::isolated::isolated;
use crate::common::{amount, in_time, peak_memory, run};
use crate::workers::{answer, ended, error, gone, pid, pids, stats, submit, workers};

/// Far less than anything here takes, and enough for what is told at once.
const SHORT: Duration = Duration::from_millis(200);

/// One worker.
fn one() -> PoolHandle {
    workers().workers(1..=1).start().unwrap()
}

/// That one worker is well, and that it is not the one with this pid.
async fn replaced(pool: &PoolHandle, before: i32) {
    assert_ne!(pid(pool).await, before);
    gone(before).await;
}

#[derive(Debug, PartialEq)]
struct Loss {
    status: Option<ExitStatus>,
    kind: ExitKind,
    attempts: u32,
}

fn loss(error: JobError) -> Loss {
    match error {
        JobError::WorkerLost {
            status,
            kind,
            attempts,
            ..
        } => Loss {
            status,
            kind,
            attempts,
        },
        other => panic!("{other:?}"),
    }
}

/// That the loss of this job is told as that of a worker with this exit code or signal.
fn assert_ended(error: JobError, code: Option<i32>, signal: Option<i32>, kind: ExitKind) {
    let loss = loss(error);
    let status = loss.status.unwrap_or_else(|| panic!("{loss:?}"));
    assert_eq!(
        (status.code(), status.signal().map(|signal| signal.number())),
        (code, signal)
    );
    assert_eq!((loss.kind, loss.attempts), (kind, 1));
}

#[test]
fn a_worker_that_dies_in_a_job_loses_it_with_its_status() {
    run(async {
        let pool = one();
        for (job, code, signal, kind) in [
            ("exit 0", Some(0), None, ExitKind::Ok),
            ("exit 7", Some(7), None, ExitKind::Code),
            ("raise 9", None, Some(9), ExitKind::Signal),
            ("half", Some(0), None, ExitKind::Ok),
        ] {
            let before = pid(&pool).await;
            assert_ended(error(&pool, job).await, code, signal, kind);
            replaced(&pool, before).await;
        }
        ended(pool).await;
    });
}

#[test]
fn what_is_no_answer_is_told_and_the_worker_is_replaced() {
    run(async {
        let pool = one();
        for (job, said) in [
            ("garble", "4294967286 bytes"),
            ("huge", "4294967286 bytes"),
            ("other x", "does not have"),
        ] {
            let before = pid(&pool).await;
            match error(&pool, job).await {
                JobError::Protocol { what, .. } => assert!(what.contains(said), "{job}: {what}"),
                other => panic!("{job}: {other:?}"),
            }
            replaced(&pool, before).await;
        }
        ended(pool).await;
    });
}

#[test]
fn a_second_answer_replaces_the_worker_and_takes_no_other_job_with_it() {
    run(async {
        let pool = one();
        let before = pid(&pool).await;
        // The next job is there when the second answer is.
        let (twice, next) = (submit(&pool, "twice a"), submit(&pool, "echo b"));
        let (twice, next) = in_time(futures::future::join(twice, next)).await;
        assert_eq!((twice.unwrap(), next.unwrap()), ("a".into(), "b".into()));
        replaced(&pool, before).await;
        ended(pool).await;
    });
}

#[test]
fn a_worker_that_is_stopped_loses_its_job_by_the_timeout_and_others_go_on() {
    run(async {
        let pool = workers().workers(2..=2).soft(SHORT).start().unwrap();
        stats(&pool, "two workers", |stats| stats.idle == 2).await;
        let frozen = pid(&pool).await;
        kill(Pid::from_raw(frozen), Signal::SIGSTOP).unwrap();
        // The most recently idle one gets it.
        let lost = pool.submit(Job::new("echo x").timeout(2 * SHORT));
        stats(&pool, "the job to run", |stats| stats.busy == 1).await;
        assert_ne!(pid(&pool).await, frozen);
        match in_time(lost).await.unwrap_err() {
            JobError::Timeout { ran, .. } => assert!(ran >= 2 * SHORT, "{ran:?}"),
            other => panic!("{other:?}"),
        }
        assert_ne!(pid(&pool).await, frozen);
        gone(frozen).await;
        stats(&pool, "two workers", |stats| stats.idle == 2).await;
        ended(pool).await;
    });
}

#[test]
fn workers_that_are_killed_all_at_once_lose_their_jobs_and_those_that_wait_are_done() {
    isolated(|| {
        run(async {
            let pool = workers().workers(4..=4).start().unwrap();
            stats(&pool, "four workers", |stats| stats.idle == 4).await;
            let running: Vec<_> = (0..4).map(|_| submit(&pool, "hang")).collect();
            let waiting: Vec<_> = (0..20)
                .map(|number| pool.submit(Job::new(format!("echo {number}"))))
                .collect();
            let busy = stats(&pool, "all to be busy", |stats| stats.busy == 4).await;
            assert_eq!(busy.waiting, 20, "{busy:?}");
            let killed = pids();
            assert_eq!(killed.len(), 4);
            for pid in killed {
                kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            }
            for lost in in_time(join_all(running)).await {
                assert_ended(lost.unwrap_err(), None, Some(9), ExitKind::Signal);
            }
            for (number, done) in in_time(join_all(waiting)).await.into_iter().enumerate() {
                assert_eq!(done.unwrap(), number.to_string());
            }
            stats(&pool, "four workers", |stats| stats.idle == 4).await;
            ended(pool).await;
        });
    });
}

#[test]
fn a_worker_that_closes_its_answers_and_lives_is_lost_and_stopped() {
    run(async {
        let pool = one();
        let before = pid(&pool).await;
        let lost = loss(error(&pool, "close 4").await);
        assert_eq!((lost.status, lost.kind), (None, ExitKind::Unhealthy));
        replaced(&pool, before).await;
        ended(pool).await;
    });
}

#[test]
fn a_worker_that_closes_its_jobs_and_lives_is_replaced_before_it_costs_a_job_or_with_the_job_that_it_did_not_read()
 {
    run(async {
        let pool = one();
        let before = pid(&pool).await;
        assert_eq!(answer(&pool, "last 3").await, "");
        // It went to the one that does not read, or to the next one.
        match in_time(submit(&pool, "echo x")).await {
            Ok(answer) => assert_eq!(answer, "x"),
            Err(error) => drop(loss(error)),
        }
        replaced(&pool, before).await;
        ended(pool).await;
    });
}

#[test]
fn a_process_that_holds_the_channel_of_a_dead_worker_holds_up_nobody() {
    run(async {
        let pool = one();
        let before = pid(&pool).await;
        let holder = answer(&pool, "leave").await.parse().unwrap();
        assert_ended(error(&pool, "exit 3").await, Some(3), None, ExitKind::Code);
        replaced(&pool, before).await;
        gone(holder).await;
        ended(pool).await;
    });
}

#[test]
fn what_a_worker_prints_while_it_answers_harms_nothing() {
    run(async {
        let pool = workers().workers(2..=2).start().unwrap();
        let jobs = (0..amount(200, 40)).map(|n| pool.submit(Job::new(format!("noisy {n}"))));
        for (number, done) in in_time(join_all(jobs)).await.into_iter().enumerate() {
            assert_eq!(done.unwrap(), number.to_string());
        }
        ended(pool).await;
    });
}

#[test]
fn the_answer_to_a_job_that_was_cancelled_is_counted_and_goes_to_nobody() {
    run(async {
        let pool = workers()
            .workers(1..=1)
            .soft(Duration::from_secs(30))
            .start()
            .unwrap();
        let before = pid(&pool).await;
        for round in 1..=20 {
            let cancelled = submit(&pool, "cancelled old");
            stats(&pool, "the job to run", |stats| stats.busy == 1).await;
            let next = submit(&pool, "echo new");
            drop(cancelled);
            assert_eq!(in_time(next).await.unwrap(), "new");
            let stats = pool.stats().await.unwrap();
            assert_eq!(
                (stats.stale, stats.outcomes.cancelled),
                (round, round),
                "{stats:?}"
            );
        }
        // It heard of each cancel.
        assert_eq!(pid(&pool).await, before);
        ended(pool).await;
    });
}

#[test]
fn a_large_job_for_a_worker_that_reads_none_ends_by_its_timeout_and_takes_no_memory_of_its_own() {
    isolated(|| {
        run(async {
            let pool = workers().workers(1..=1).soft(SHORT).start().unwrap();
            let body = Bytes::from(vec![b'x'; 8 << 20]);
            let before = peak_memory();
            for _ in 0..5 {
                stats(&pool, "a worker", |stats| stats.idle == 1).await;
                let frozen = pids()[0];
                kill(Pid::from_raw(frozen), Signal::SIGSTOP).unwrap();
                let large = pool.submit(Job::new(body.clone()).timeout(SHORT));
                let error = in_time(large).await.unwrap_err();
                assert!(matches!(error, JobError::Timeout { .. }), "{error:?}");
                gone(frozen).await;
            }
            let grown = peak_memory() - before;
            assert!(grown < 6 << 20, "{grown} bytes");
            assert_eq!(answer(&pool, "echo on").await, "on");
            ended(pool).await;
        });
    });
}

#[test]
fn a_worker_that_sends_pings_and_reads_nothing_is_replaced_before_it_takes_much_memory() {
    isolated(|| {
        run(async {
            let pool = workers().workers(1..=1).max_frame(1 << 20).start().unwrap();
            let before = pid(&pool).await;
            let memory = peak_memory();
            match error(&pool, "ping").await {
                JobError::Protocol { what, .. } => assert!(what.contains("pings"), "{what}"),
                other => panic!("{other:?}"),
            }
            replaced(&pool, before).await;
            let grown = peak_memory() - memory;
            assert!(grown < 16 << 20, "{grown} bytes");
            ended(pool).await;
        });
    });
}
