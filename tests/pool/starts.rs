//! Workers that do not start, start slowly, or start in numbers.

use std::sync::Arc;
use std::time::Duration;

use actix_process::Command;
use actix_process::monitor::{Backoff, ExitKind};
use actix_process::pool::{Job, JobError, Pool, PoolEventKind};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{in_time, run};
use crate::told_worker::{
    Folder, ask, ended, event, events_until_now, refused, shut, stats_when, worker,
};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// With next to no waiting.
fn quickly(pool: Pool) -> Pool {
    let backoff = Backoff::new().first(millis(1)).cap(millis(5));
    pool.workers(1..=1).backoff(backoff)
}

fn down(error: JobError) -> Arc<str> {
    match error {
        JobError::PoolDown { last, .. } => last,
        other => panic!("{other:?}"),
    }
}

#[test]
fn five_failed_starts_in_a_row_end_jobs_until_one_succeeds() {
    run(async {
        let folder = Folder::new();
        let flag = folder.path("flag");
        let command = worker(["needs", flag.to_str().unwrap()]);
        let pool = quickly(Pool::new(command)).start().unwrap();
        let mut events = pool.events();
        let waiting = pool.submit(Job::new("echo it"));
        let last = down(in_time(waiting).await.unwrap_err());
        assert!(
            last.contains("exit code 3") || last.contains("status: 3"),
            "{last}"
        );
        // And the next ones, at once.
        down(refused(&pool, Job::new("echo it")).await);
        assert!(pool.stats().await.unwrap().down);
        let mut failed = 0;
        in_time(async {
            while !matches!(
                event(&mut events, |what| Some(what.clone())).await,
                PoolEventKind::Down
            ) {
                failed += 1;
            }
        })
        .await;
        assert!(failed >= 5, "{failed}");
        folder.make("flag");
        event(&mut events, |what| {
            matches!(what, PoolEventKind::Up).then_some(())
        })
        .await;
        assert_eq!(ask(&pool, "echo on").await, "on");
        let stats = pool.stats().await.unwrap();
        assert_eq!(
            (stats.down, stats.outcomes.pool_down),
            (false, 2),
            "{stats:?}"
        );
        ended(pool).await;
    });
}

#[test]
fn a_pool_that_is_down_lets_the_jobs_of_its_workers_end() {
    run(async {
        let folder = Folder::new();
        let flag = folder.path("flag");
        folder.make("flag");
        let command = worker(["needs", flag.to_str().unwrap()]);
        let pool = quickly(Pool::new(command)).workers(1..=2).start().unwrap();
        ask(&pool, "pid").await;
        std::fs::remove_file(&flag).unwrap();
        let runs = pool.submit(Job::new(folder.job("gate", "gate")));
        let waits = pool.submit(Job::new("echo it"));
        down(in_time(waits).await.unwrap_err());
        folder.make("gate");
        in_time(runs).await.unwrap();
        // Its worker has nothing to do, and new jobs are refused nevertheless.
        down(refused(&pool, Job::new("echo it")).await);
        folder.make("flag");
        stats_when(&pool, "the first success", |stats| !stats.down).await;
        assert_eq!(ask(&pool, "echo on").await, "on");
        ended(pool).await;
    });
}

#[test]
fn a_worker_that_does_not_begin_with_its_greeting_is_a_start_that_failed() {
    run(async {
        // The frame `ready` of another version, an answer, and no frame at all.
        for (says, expected) in [
            (r"\0\0\0\012\006\0\0\0\0\0\0\0\0\003", "version 3"),
            (
                r"\0\0\0\011\003\0\0\0\0\0\0\0\001",
                "answered before it was ready",
            ),
            (r"HTTP/1.1 200 OK\r\n", "1213486151 bytes"),
        ] {
            let script = format!("printf '{says}' >&4; exec sleep 600");
            let pool = quickly(Pool::new(Command::new("sh").args(["-c", &script])));
            let pool = pool.start().unwrap();
            let last = down(in_time(pool.submit(Job::new("1"))).await.unwrap_err());
            assert!(last.contains(expected), "{says}: {last}");
            shut(pool).await;
        }
    });
}

#[test]
fn a_command_that_is_not_there_is_told() {
    run(async {
        for pool in [Pool::new, Pool::one_shot] {
            let pool = quickly(pool(Command::new("/no/such/program")))
                .start()
                .unwrap();
            let last = down(refused(&pool, Job::new("it")).await);
            assert!(last.contains("/no/such/program"), "{last}");
            ended(pool).await;
        }
    });
}

#[test]
fn a_worker_that_is_not_ready_in_time_is_a_start_that_failed() {
    run(async {
        let pool = quickly(Pool::new(worker(["unready"])))
            .ready_within(millis(80))
            .start()
            .unwrap();
        let mut events = pool.events();
        let last = down(refused(&pool, Job::new("pid")).await);
        assert_eq!(&*last, "it was not ready within 80ms");
        let exit = event(&mut events, |what| match what {
            PoolEventKind::Ended { exit, .. } => Some(exit.kind),
            _ => None,
        });
        assert_eq!(exit.await, ExitKind::Unready);
        shut(pool).await;
    });
}

#[test]
fn progress_gives_a_start_its_whole_time_again() {
    run(async {
        let pool = quickly(Pool::new(worker(["progress", "6", "400"])))
            .ready_within(millis(1500))
            .start()
            .unwrap();
        let mut events = pool.events();
        assert_eq!(ask(&pool, "echo on").await, "on");
        let events = events_until_now(&mut events);
        let failed = |what: &PoolEventKind| matches!(what, PoolEventKind::StartFailed { .. });
        assert!(!events.iter().any(failed), "{events:?}");
        ended(pool).await;
    });
}

#[test]
fn a_quarter_of_the_workers_starts_at_a_time() {
    run(async {
        let folder = Folder::new();
        let pool = Pool::new(worker(["slow", "60"]))
            .workers(1..=8)
            .start()
            .unwrap();
        let mut events = pool.events();
        let jobs = (0..9).map(|_| pool.submit(Job::new(folder.job("gate", "gate"))));
        let jobs: Vec<_> = jobs.collect();
        stats_when(&pool, "all of them at work", |stats| {
            let all = stats.starting + stats.idle + stats.busy + stats.stopping;
            assert!(all <= 8 && stats.starting <= 2, "{stats:?}");
            (stats.busy, stats.waiting) == (8, 1)
        })
        .await;
        folder.make("gate");
        for job in jobs {
            in_time(job).await.unwrap();
        }
        let mut starting = 0_i32;
        for what in events_until_now(&mut events) {
            match what {
                PoolEventKind::Started => starting += 1,
                PoolEventKind::Ready { .. } => starting -= 1,
                _ => {}
            }
            assert!(starting <= 2);
        }
        ended(pool).await;
    });
}

#[test]
fn the_least_number_of_workers_is_kept_without_a_job() {
    run(async {
        let pool = Pool::new(worker([])).workers(3..=4).start().unwrap();
        stats_when(&pool, "three of them", |stats| stats.idle == 3).await;
        let pid = ask(&pool, "pid").await.parse().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        stats_when(&pool, "three again", |stats| stats.idle == 2).await;
        stats_when(&pool, "three again", |stats| stats.idle == 3).await;
        ended(pool).await;
    });
}
