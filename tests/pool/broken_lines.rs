//! Workers that speak lines of JSON: noise, answers that are none or not theirs, and their deaths.

use std::time::Duration;

use actix_process::Command;
use actix_process::monitor::{ExitKind, Followed, Since};
use actix_process::pool::{Framing, Job, JobError, Noise, Pool, PoolHandle};
use futures::StreamExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{in_time, run};
use crate::workers::{ended, gone, stats};

/// A worker that runs its jobs as statements of Python; they may `say` a line, and `answer`.
const RUNS_JOBS: &str = "
import json, os, sys, time
def say(line): print(line, flush=True)
def answer(value): say(json.dumps({'id': job['id'], 'ok': value}))
for line in sys.stdin:
    job = json.loads(line)
    exec(job['job'])
";

fn lines() -> Pool {
    Pool::new(Command::new("python3").args(["-c", RUNS_JOBS]))
        .framing(Framing::JsonLines)
        .workers(1..=1)
}

fn job(statements: &str) -> Job {
    Job::new(format!("\"{}\"", statements.replace('"', "\\\"")))
}

async fn outcome(pool: &PoolHandle, statements: &str) -> Result<String, JobError> {
    let answer = in_time(pool.submit(job(statements))).await?;
    Ok(String::from_utf8(answer.to_vec()).unwrap())
}

/// The pid of the only worker.
async fn pid(pool: &PoolHandle) -> i32 {
    let pid = outcome(pool, "answer(os.getpid())").await.unwrap();
    pid.parse().unwrap()
}

async fn replaced(pool: &PoolHandle, before: i32) {
    assert_ne!(pid(pool).await, before);
    gone(before).await;
}

#[test]
fn a_line_that_is_no_answer_or_not_its_own_is_told_and_the_worker_is_replaced() {
    run(async {
        let pool = lines().max_frame(100_000).start().unwrap();
        for (statements, said) in [
            ("say('noise')", "no answer"),
            ("say('')", "no answer"),
            ("say('{}')", "no answer"),
            ("say('[1, 2]')", "no answer"),
            ("say('{\\\\\"id\\\\\": 1}')", "no answer"),
            ("job['id'] += 1; answer('x')", "does not have"),
            ("say('x' * 200000)", "a line of more than 100000 bytes"),
            (
                "print('x' * 200000, end='', flush=True)",
                "a line of more than 100000 bytes",
            ),
        ] {
            let before = pid(&pool).await;
            match outcome(&pool, statements).await {
                Err(JobError::Protocol { what, .. }) => {
                    assert!(what.contains(said), "{statements}: {what}");
                }
                other => panic!("{statements}: {other:?}"),
            }
            replaced(&pool, before).await;
        }
        ended(pool).await;
    });
}

#[test]
fn noise_is_a_line_of_the_worker_where_that_was_chosen() {
    run(async {
        let pool = lines().noise(Noise::Log).start().unwrap();
        let before = pid(&pool).await;
        let mut follow = pool.follow(1, Since::Start);
        let loud = "say('noise'); say('more [noise]'); answer('x')";
        assert_eq!(outcome(&pool, loud).await.unwrap(), "\"x\"");
        for noise in ["noise", "more [noise]"] {
            match in_time(follow.next()).await {
                Some(Followed::Line { fd: 1, bytes, .. }) => assert_eq!(bytes, noise),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(pid(&pool).await, before);
        // What begins as an answer is none.
        let broken = "say(json.dumps({'id': job['id']}).replace(' ', ''))";
        let error = outcome(&pool, broken).await;
        assert!(matches!(error, Err(JobError::Protocol { .. })), "{error:?}");
        replaced(&pool, before).await;
        ended(pool).await;
    });
}

#[test]
fn a_line_of_a_log_in_json_is_noise_as_well() {
    run(async {
        let pool = lines().noise(Noise::Log).start().unwrap();
        let before = pid(&pool).await;
        let mut follow = pool.follow(1, Since::Start);
        for log in [
            "{'level': 'info'}",
            "{'level': 'error', 'error': 'x'}",
            "{'level': 'info', 'id': 7}",
            "{}",
        ] {
            let loud = format!("say(json.dumps({log})); answer('x')");
            assert_eq!(outcome(&pool, &loud).await.unwrap(), "\"x\"");
            match in_time(follow.next()).await {
                Some(Followed::Line { fd: 1, bytes, .. }) => {
                    assert_eq!(bytes, log.replace('\'', "\""));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(pid(&pool).await, before);
        let error = outcome(&pool, "say('{ ' + json.dumps({'id': 7})[1:])").await;
        assert!(matches!(error, Err(JobError::Protocol { .. })), "{error:?}");
        ended(pool).await;
    });
}

#[test]
fn a_second_answer_replaces_the_worker_and_takes_no_other_job_with_it() {
    run(async {
        let pool = lines().start().unwrap();
        let before = pid(&pool).await;
        let line = "json.dumps({'id': job['id'], 'ok': 1})";
        let twice = format!("os.write(1, ({line} + chr(10)).encode() * 2)");
        let twice = pool.submit(job(&twice));
        let next = pool.submit(job("answer(2)"));
        let (twice, next) = in_time(futures::future::join(twice, next)).await;
        assert_eq!((twice.unwrap(), next.unwrap()), ("1".into(), "2".into()));
        replaced(&pool, before).await;
        ended(pool).await;
    });
}

#[test]
fn a_worker_that_dies_or_closes_its_output_loses_its_job() {
    run(async {
        let pool = lines().start().unwrap();
        let half = "sys.stdout.write('{\\\\\"id\\\\\":'); sys.stdout.flush(); os._exit(0)";
        for (statements, code, signal, kind) in [
            ("os._exit(0)", Some(0), None, ExitKind::Ok),
            ("os._exit(3)", Some(3), None, ExitKind::Code),
            ("os.kill(os.getpid(), 9)", None, Some(9), ExitKind::Signal),
            ("raise ValueError()", Some(1), None, ExitKind::Code),
            (half, Some(0), None, ExitKind::Ok),
            (
                "os.close(1); time.sleep(300)",
                None,
                None,
                ExitKind::Unhealthy,
            ),
            (
                "os.fork() or time.sleep(300); os._exit(4)",
                Some(4),
                None,
                ExitKind::Code,
            ),
        ] {
            let before = pid(&pool).await;
            let lost = outcome(&pool, statements).await;
            let Err(JobError::WorkerLost {
                status,
                kind: told,
                attempts: 1,
                tail,
                ..
            }) = lost
            else {
                panic!("{statements}: {lost:?}");
            };
            let ended = status.map(|status| (status.code(), status.signal().map(|it| it.number())));
            let expected = (kind != ExitKind::Unhealthy).then_some((code, signal));
            assert_eq!((ended, told), (expected, kind), "{statements}");
            // The whole of it is there.
            let complains = statements.starts_with("raise");
            assert_eq!(tail.ends_with(b"ValueError\n"), complains, "{tail:?}");
            replaced(&pool, before).await;
        }
        ended(pool).await;
    });
}

#[test]
fn a_worker_that_is_stopped_or_reads_no_job_loses_it_by_the_timeout() {
    run(async {
        let pool = lines().start().unwrap();
        let before = pid(&pool).await;
        kill(Pid::from_raw(before), Signal::SIGSTOP).unwrap();
        let body = format!("\"{}\"", "x".repeat(4 << 20));
        let lost = pool.submit(Job::new(body).timeout(Duration::from_millis(200)));
        let error = in_time(lost).await.unwrap_err();
        assert!(matches!(error, JobError::Timeout { .. }), "{error:?}");
        replaced(&pool, before).await;
        ended(pool).await;
    });
}

#[test]
fn a_job_that_is_cancelled_costs_its_worker_and_no_other_job() {
    run(async {
        let pool = lines().start().unwrap();
        let before = pid(&pool).await;
        let cancelled = pool.submit(job("time.sleep(300)"));
        stats(&pool, "the job to run", |stats| stats.busy == 1).await;
        drop(cancelled);
        replaced(&pool, before).await;
        ended(pool).await;
    });
}

#[test]
fn a_job_that_is_no_json_is_refused_at_once() {
    run(async {
        let pool = lines().start().unwrap();
        for body in ["", "x", "{", "1 2", "\"a\nb\""] {
            let refused = in_time(pool.submit(Job::new(body))).await;
            assert!(
                matches!(refused, Err(JobError::Protocol { .. })),
                "{body}: {refused:?}"
            );
        }
        // Newlines between its parts are as spaces.
        let list = "[\n1,\r\n2]";
        let pool_of_lists = Pool::new(Command::new("python3").args([
            "-c",
            "import json, sys\nfor line in sys.stdin:\n job = json.loads(line)\n print(json.dumps({'id': job['id'], 'ok': job['job']}), flush=True)",
        ]));
        let echo = pool_of_lists.framing(Framing::JsonLines).start().unwrap();
        assert_eq!(
            in_time(echo.submit(Job::new(list))).await.unwrap(),
            "[1, 2]"
        );
        ended(echo).await;
        ended(pool).await;
    });
}
