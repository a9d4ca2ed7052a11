//! Processes of one job each: those that are started ahead, and arguments of a job's own.

use std::collections::HashSet;

use actix_process::Command;
use actix_process::pool::{Job, JobError, Pool, PoolEventKind, PoolEvents, PoolReported};
use futures::future::join_all;
use futures::{FutureExt, StreamExt};

use crate::common::{in_time, run};
use crate::told_worker::{Folder, ask, ended, refused, stats_when};

/// Answers with its pid, its arguments and its input.
fn tells() -> Command {
    Command::new("sh").args(["-c", "echo $$ \"$@\" \"$(cat)\"", "sh"])
}

fn sh(script: &str) -> Pool {
    Pool::one_shot(Command::new("sh").args(["-c", script, "sh"]))
}

/// The pids of those that were started by now.
fn started(events: &mut PoolEvents) -> HashSet<String> {
    let next = || events.next().now_or_never().flatten();
    let events = std::iter::from_fn(next).filter_map(|reported| match reported {
        PoolReported::Event(event) => match event.what {
            PoolEventKind::Started => Some(event.pid?.to_string()),
            _ => None,
        },
        _ => None,
    });
    events.collect()
}

#[test]
fn spares_are_used_and_replaced() {
    run(async {
        let pool = Pool::one_shot(tells()).workers(1..=4).spare(2);
        let pool = pool.start().unwrap();
        let mut events = pool.events();
        let mut spares = HashSet::new();
        for _ in 0..4 {
            stats_when(&pool, "the spares", |stats| {
                (stats.idle, stats.stopping) == (2, 0)
            })
            .await;
            spares.extend(started(&mut events));
            assert!(spares.len() >= 2);
            let answer = ask(&pool, "input").await;
            let (pid, rest) = answer.split_once(' ').unwrap();
            assert!(spares.remove(pid), "{answer} is of none of {spares:?}");
            assert_eq!(rest, "input\n");
        }
        // A shell that is stopped while it starts may leave its child for a moment.
        stats_when(&pool, "the spares", |stats| stats.idle == 2).await;
        ended(pool).await;
    });
}

#[test]
fn a_job_with_arguments_of_its_own_has_a_process_of_its_own() {
    run(async {
        let pool = Pool::one_shot(tells()).workers(1..=2).spare(2);
        let pool = pool.start().unwrap();
        let mut events = pool.events();
        stats_when(&pool, "the spares", |stats| stats.idle == 2).await;
        let spares = started(&mut events);
        // Both places are taken by spares: one gives its own.
        let job = Job::new("input").arg("a b").args(["c"]);
        let answer = in_time(pool.submit(job)).await.unwrap();
        let answer = String::from_utf8(answer.to_vec()).unwrap();
        let (pid, rest) = answer.split_once(' ').unwrap();
        assert!(!spares.contains(pid), "{answer} is of {spares:?}");
        assert_eq!(rest, "a b c input\n");
        stats_when(&pool, "the spares again", |stats| stats.idle == 2).await;
        ended(pool).await;
    });
}

#[test]
fn arguments_that_the_kernel_refuses_are_one_jobs_problem() {
    run(async {
        let pool = Pool::one_shot(tells()).workers(1..=2);
        let pool = pool.start().unwrap();
        for _ in 0..6 {
            let others = (0..3).map(|_| pool.submit(Job::new("input")));
            let others: Vec<_> = others.collect();
            let long = Job::new("input").arg("x".repeat(3 << 20)).retry_on_loss(2);
            let error = refused(&pool, long).await;
            assert!(matches!(error, JobError::Protocol { .. }), "{error:?}");
            for answer in in_time(join_all(others)).await {
                answer.unwrap();
            }
        }
        let stats = pool.stats().await.unwrap();
        assert_eq!((stats.outcomes.protocol, stats.down), (6, false));
        ended(pool).await;
    });
}

#[test]
fn what_is_wrong_with_a_job_is_told_at_once() {
    run(async {
        let pool = Pool::one_shot(tells()).start().unwrap();
        let error = refused(&pool, Job::new("").arg("a\0b")).await;
        assert_eq!(error.to_string(), "an argument holds a NUL byte");
        ended(pool).await;
        let pool = Pool::new(crate::told_worker::worker([])).start().unwrap();
        let error = refused(&pool, Job::new("pid").arg("a")).await;
        assert_eq!(
            error.to_string(),
            "only jobs of one-shot pools have arguments"
        );
        ended(pool).await;
    });
}

#[test]
fn the_codes_that_are_a_success_are_the_pools() {
    run(async {
        let pool = sh("echo it; exit $1")
            .success_codes([0, 3])
            .start()
            .unwrap();
        for code in ["0", "3"] {
            let answer = in_time(pool.submit(Job::new("").arg(code))).await;
            assert_eq!(answer.unwrap(), "it\n");
        }
        let error = refused(&pool, Job::new("").arg("4")).await;
        assert!(matches!(error, JobError::Failed { .. }), "{error:?}");
        ended(pool).await;
    });
}

#[test]
fn a_process_that_does_not_read_its_job_may_answer() {
    run(async {
        let pool = sh("exec 0<&-; echo it").start().unwrap();
        let answer = in_time(pool.submit(Job::new(vec![b'x'; 1 << 20]))).await;
        assert_eq!(answer.unwrap(), "it\n");
        ended(pool).await;
    });
}

/// Some programs, ripgrep for one, look for other work where their input is no pipe.
#[test]
fn the_input_of_a_job_without_a_body_is_a_pipe_that_has_ended() {
    run(async {
        for pool in [
            sh("stat -Lc %F /proc/self/fd/0; cat"),
            sh("stat -Lc %F /proc/self/fd/0; cat").spare(1),
        ] {
            let pool = pool.workers(1..=1).start().unwrap();
            for _ in 0..2 {
                assert_eq!(ask(&pool, "").await, "fifo\n");
            }
            stats_when(&pool, "no start", |stats| {
                stats.starting + stats.stopping == 0
            })
            .await;
            ended(pool).await;
        }
    });
}

#[test]
fn as_many_run_at_a_time_as_there_may_be() {
    run(async {
        let folder = Folder::new();
        let wait = "while ! test -e \"$0\"; do sleep 0.01; done";
        let command = Command::new("sh").args(["-c", wait]);
        let command = command.arg(folder.path("gate"));
        let pool = Pool::one_shot(command).workers(1..=3).start().unwrap();
        let jobs = (0..5).map(|_| pool.submit(Job::new("")));
        let jobs: Vec<_> = jobs.collect();
        stats_when(&pool, "three at work", |stats| {
            assert!(stats.busy + stats.starting + stats.stopping <= 3);
            (stats.busy, stats.waiting) == (3, 2)
        })
        .await;
        folder.make("gate");
        for answer in in_time(join_all(jobs)).await {
            answer.unwrap();
        }
        ended(pool).await;
    });
}
