//! Drain and shutdown: what becomes of jobs that run and wait, of workers of each kind and of starts under way, and the report of that.

use std::time::{Duration, Instant};

use actix_process::Command;
use actix_process::pool::{Framing, Job, JobError, Pool, PoolError, PoolHandle, PoolReport};
use futures::StreamExt;
use futures::future::join_all;

use crate::common::hanging_exec::HangingExec;
use crate::common::heap::{heap, isolated_for_heap};
use crate::common::helper::helper;
use crate::common::isolated::isolated;
use crate::common::{block_on_thread, in_time, on_tokio, run};
use crate::workers::{LONG, answer, ended, gone, pid, stats, submit, workers};

const SIGTERM: &str = "15";

/// That no job is taken any more.
async fn is_over(pool: &PoolHandle) {
    assert_eq!(
        in_time(submit(pool, "echo x")).await,
        Err(JobError::ShuttingDown)
    );
    let waits = in_time(pool.submit_wait(Job::new("echo x"))).await;
    assert_eq!(waits, Err(JobError::ShuttingDown));
    let streams = in_time(pool.stream(Job::new("echo x"))).await;
    assert!(
        matches!(streams, Err(JobError::ShuttingDown)),
        "{streams:?}"
    );
    assert_eq!(
        in_time(pool.ready_for_more()).await,
        Err(JobError::ShuttingDown)
    );
    in_time(pool.closing()).await;
}

#[test]
fn a_drain_does_the_jobs_that_run_and_wait() {
    run(async {
        let pool = workers().workers(2..=2).start().unwrap();
        let jobs: Vec<_> = (0..200)
            .map(|number| pool.submit(Job::new(format!("echo {number}"))))
            .collect();
        let report = in_time(pool.drain(LONG)).await;
        for (number, done) in in_time(join_all(jobs)).await.into_iter().enumerate() {
            assert_eq!(done.unwrap(), number.to_string());
        }
        assert_eq!(report.finished, 200, "{report:?}");
        let workers = (report.clean, report.killed, report.ended, report.unkillable);
        // The first one may have done all of them before there is a process of the second.
        assert!(matches!(workers, (1..=2, 0, 0, 0)), "{report:?}");
        is_over(&pool).await;
        assert_eq!(in_time(pool.closed()).await, report);
        assert!(matches!(pool.stats().await, Err(PoolError::Ended)));
    });
}

#[test]
fn the_deadline_of_a_drain_ends_what_is_left() {
    run(async {
        let pool = workers().workers(1..=1).start().unwrap();
        let worker = pid(&pool).await;
        let jobs = [submit(&pool, "hang"), submit(&pool, "echo x")];
        let begun = Instant::now();
        let deadline = Duration::from_millis(300);
        let report = in_time(pool.drain(deadline)).await;
        assert!(begun.elapsed() >= deadline, "{report:?}");
        for ended in in_time(join_all(jobs)).await {
            assert_eq!(ended, Err(JobError::ShuttingDown));
        }
        let left = (report.finished, report.ended, report.killed, report.clean);
        assert_eq!(left, (0, 2, 1, 0), "{report:?}");
        gone(worker).await;
    });
}

#[test]
fn a_shutdown_ends_the_jobs_and_stops_the_workers() {
    run(async {
        let pool = workers().workers(2..=2).start().unwrap();
        stats(&pool, "two workers", |stats| stats.idle == 2).await;
        let mut events = pool.events();
        let jobs: Vec<_> = (0..10).map(|_| submit(&pool, "hang")).collect();
        stats(&pool, "two to be busy", |stats| stats.busy == 2).await;
        let stream = pool.stream(Job::new("echo x"));
        let (report, stream) = futures::future::join(pool.shutdown(LONG), stream).await;
        for ended in in_time(join_all(jobs)).await {
            assert_eq!(ended, Err(JobError::ShuttingDown));
        }
        assert!(matches!(stream, Err(JobError::ShuttingDown)), "{stream:?}");
        let told = (report.ended, report.clean, report.killed, report.finished);
        // The stream was refused, or ended.
        assert!(told == (10, 2, 0, 0) || told == (11, 2, 0, 0), "{report:?}");
        assert!(report.took < LONG, "{report:?}");
        is_over(&pool).await;
        // The events end with the pool.
        in_time(async { while events.next().await.is_some() {} }).await;
    });
}

#[test]
fn workers_that_ignore_sigterm_take_the_next_step_and_the_report_says_so() {
    run(async {
        let deaf = helper(["ignore", SIGTERM, "worker"]);
        let pool = Pool::new(deaf).workers(3..=3).start().unwrap();
        stats(&pool, "three workers", |stats| stats.idle == 3).await;
        // They read no more.
        let _hung: Vec<_> = (0..3).map(|_| submit(&pool, "hang")).collect();
        stats(&pool, "three to be busy", |stats| stats.busy == 3).await;
        let report = in_time(pool.shutdown(LONG)).await;
        assert_eq!((report.killed, report.clean), (3, 0), "{report:?}");
        // A second for each step, of all of them together.
        assert!(report.took >= Duration::from_secs(1), "{report:?}");
    });
}

#[test]
fn the_deadline_of_a_shutdown_kills_at_once() {
    run(async {
        let deaf = helper(["ignore", SIGTERM, "worker"]);
        let ladder = actix_process::Ladder::new().term(LONG).kill();
        let pool = Pool::new(deaf).stop(ladder).workers(1..=1).start().unwrap();
        let _hung = submit(&pool, "hang");
        stats(&pool, "one to be busy", |stats| stats.busy == 1).await;
        let report = in_time(pool.shutdown(Duration::from_millis(100))).await;
        assert_eq!((report.killed, report.clean), (1, 0), "{report:?}");
    });
}

#[test]
fn what_a_worker_has_left_in_its_group_is_stopped_and_counted() {
    run(async {
        let pool = workers().workers(1..=1).start().unwrap();
        let left = answer(&pool, "leave").await.parse().unwrap();
        let report = in_time(pool.shutdown(LONG)).await;
        assert_eq!(report.clean + report.killed, 1, "{report:?}");
        gone(left).await;
    });
}

#[test]
fn of_several_ends_at_once_each_has_the_report() {
    run(async {
        let pool = workers().workers(2..=2).start().unwrap();
        let job = submit(&pool, "hang");
        stats(&pool, "one to be busy", |stats| stats.busy == 1).await;
        let ends = [pool.clone(), pool.clone()];
        let drains = ends.iter().map(|pool| pool.drain(LONG));
        let (drains, last) =
            in_time(futures::future::join(join_all(drains), pool.shutdown(LONG))).await;
        assert_eq!(drains, [last.clone(), last.clone()]);
        assert_eq!(in_time(job).await, Err(JobError::ShuttingDown));
        // One that comes later has it as well.
        assert_eq!(in_time(pool.shutdown(LONG)).await, last);
    });
}

#[test]
fn a_shutdown_at_once_after_the_start_leaves_nothing_and_waits_for_nothing() {
    isolated(|| {
        run(async {
            for framing in [Framing::Frames, Framing::JsonLines, Framing::OneShot] {
                for _ in 0..10 {
                    let pool = Pool::new(helper(["worker"]))
                        .framing(framing)
                        .workers(1..=4);
                    let pool = match framing {
                        Framing::OneShot => pool.spare(1),
                        _ => pool,
                    };
                    let pool = pool.start().unwrap();
                    let report = in_time(pool.shutdown(LONG)).await;
                    assert!(
                        report.took < Duration::from_secs(2),
                        "{framing:?}: {report:?}"
                    );
                    assert_eq!(report.killed, 0, "{framing:?}: {report:?}");
                }
            }
            crate::common::census::Census::quiet().await;
        });
    });
}

#[test]
fn a_drain_at_once_after_the_start_does_the_jobs() {
    run(async {
        for _ in 0..5 {
            let pool = workers().workers(1..=2).start().unwrap();
            let jobs = [submit(&pool, "echo a"), submit(&pool, "echo b")];
            let report = ended(pool).await;
            for done in in_time(join_all(jobs)).await {
                done.unwrap();
            }
            assert_eq!(report.finished, 2, "{report:?}");
        }
    });
}

#[test]
fn a_start_whose_exec_hangs_is_given_up_by_the_shutdown() {
    isolated(|| {
        run(async {
            let mut hung = HangingExec::new();
            let pool = Pool::new(hung.helper(["worker"]))
                .workers(2..=2)
                .start()
                .unwrap();
            let job = submit(&pool, "echo x");
            // The guard, and one that hangs: a quarter of them, at least one, is started at once.
            hung.until_children(2).await;
            let begun = Instant::now();
            let report = in_time(pool.shutdown(LONG)).await;
            assert!(begun.elapsed() < Duration::from_secs(10), "{report:?}");
            assert_eq!(report.unkillable, 0, "{report:?}");
            assert_eq!(in_time(job).await, Err(JobError::ShuttingDown));
            hung.until_children(0).await;
            hung.release();
        });
    });
}

#[test]
fn a_start_whose_exec_hangs_is_given_up_by_ready_within() {
    isolated(|| {
        run(async {
            let mut hung = HangingExec::new();
            let pool = Pool::new(hung.helper(["worker"]))
                .ready_within(Duration::from_millis(300))
                .workers(1..=1)
                .start()
                .unwrap();
            let mut events = pool.events();
            let job = submit(&pool, "echo x");
            let failed = async {
                loop {
                    if let Some(actix_process::pool::PoolReported::Event(event)) =
                        events.next().await
                        && let actix_process::pool::PoolEventKind::StartFailed { problem, .. } =
                            event.what
                    {
                        return problem;
                    }
                }
            };
            let problem = in_time(failed).await;
            assert!(problem.contains("ready"), "{problem}");
            hung.release();
            assert_eq!(in_time(job).await.unwrap(), "x");
            ended(pool).await;
        });
    });
}

#[test]
fn pools_that_have_ended_leave_nothing_on_an_arbiter_of_ours() {
    isolated_for_heap(|| {
        run(async {
            let arbiter = actix_rt::Arbiter::new();
            let pools = async |count| {
                for _ in 0..count {
                    let pool = Pool::one_shot(Command::new("cat"))
                        .guard(false)
                        .on(&arbiter);
                    let pool = pool.start().unwrap();
                    in_time(pool.drain(Duration::from_secs(3600))).await;
                    in_time(pool.closed()).await;
                }
                // What the last one leaves goes at once.
                let (tell, told) = futures::channel::oneshot::channel();
                arbiter.spawn(async move {
                    actix_rt::task::yield_now().await;
                    let _ = tell.send(());
                });
                in_time(told).await.unwrap();
                heap()
            };
            pools(20).await;
            let before = pools(20).await;
            let grown = pools(400).await.saturating_sub(before);
            assert!(grown < 400 * 300, "{grown} bytes");
            arbiter.stop();
            let _ = arbiter.join();
        });
    });
}

/// A job, and the end, on whatever thread this is.
async fn a_job_and_the_end() -> PoolReport {
    let pool = workers().workers(1..=2).start().unwrap();
    let answers = join_all((0..20).map(|_| submit(&pool, "echo x")));
    for answer in answers.await {
        assert_eq!(answer.unwrap(), "x");
    }
    pool.drain(LONG).await
}

#[test]
fn a_pool_works_on_any_runtime_and_on_none() {
    for workers in [0, 2] {
        let report = on_tokio(workers, a_job_and_the_end());
        assert_eq!(report.killed, 0, "{report:?}");
    }
    let report = block_on_thread(a_job_and_the_end());
    assert_eq!(report.killed, 0, "{report:?}");
    let report = futures::executor::block_on(a_job_and_the_end());
    assert_eq!(report.killed, 0, "{report:?}");
    let one_shot = async {
        let pool = Pool::one_shot(Command::new("cat")).start().unwrap();
        assert_eq!(pool.submit(Job::new("x")).await.unwrap(), "x");
        pool.drain(LONG).await
    };
    let report = futures::executor::block_on(one_shot);
    assert_eq!(report.killed, 0, "{report:?}");
}
