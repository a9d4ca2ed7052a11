//! Arguments, values of the environment, jobs, answers and what workers print are in no event, line of the log, error or `Debug` of a pool.

use std::fmt::{Debug, Display};
use std::sync::Mutex;
use std::time::Duration;

use actix_process::monitor::Backoff;
use actix_process::pool::{Framing, Job, JobError, Noise, Pool, PoolHandle};
use actix_process::{Bytes, Command};
use futures::StreamExt;

use crate::common::helper::helper;
use crate::common::isolated::isolated;
use crate::common::{in_time, run};
use crate::workers::LONG;

const SECRETS: [&str; 5] = [
    "sentinel-argument",
    "sentinel-value",
    "sentinel-of-a-job",
    "sentinel-answer",
    "sentinel-key",
];

/// All that was shown to anybody.
static SHOWN: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // With what the crates below say.
        show(format!("LOG {} {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

fn show(text: String) {
    SHOWN.lock().unwrap().push(text);
}

fn debug(value: &dyn Debug) {
    show(format!("{value:?}"));
    show(format!("{value:#?}").split_whitespace().collect());
}

fn error(value: &(impl Debug + Display)) {
    debug(value);
    show(value.to_string());
}

fn secretive(command: Command) -> Command {
    command.env("TOKEN", SECRETS[1])
}

fn shell(script: &str) -> Command {
    secretive(Command::new("sh").args(["-c", script, SECRETS[0]]))
}

/// A job whose body the worker needs as it is.
fn job(word: &str) -> Job {
    let job = Job::new(format!("{word} {}", SECRETS[3])).key(SECRETS[4]);
    debug(&job);
    job
}

/// The outcome of a job, shown.
async fn outcome(pool: &PoolHandle, job: Job) -> Option<Bytes> {
    let answer = pool.submit(job);
    debug(&answer);
    match in_time(answer).await {
        Ok(answer) => Some(answer),
        Err(failed) => {
            error(&failed);
            None
        }
    }
}

async fn ended(pool: PoolHandle, events: actix_process::pool::PoolEvents) {
    debug(&(&pool, pool.addr(), &events));
    debug(&pool.stats().await.unwrap());
    debug(&pool.shutdown(LONG).await);
    debug(&pool.submit(job("echo")).await);
    for item in in_time(events.collect::<Vec<_>>()).await {
        debug(&item);
    }
}

async fn frames() {
    let pool = Pool::new(secretive(helper(["worker"]))).workers(1..=1);
    debug(&pool);
    let pool = pool.start().unwrap();
    let events = pool.events();
    assert_eq!(outcome(&pool, job("echo")).await.unwrap(), SECRETS[3]);
    for word in ["twice", "other", "garble", "noisy"] {
        outcome(&pool, job(word)).await;
    }
    for bytes in ["exit 3", "raise 9", "half", "huge"] {
        outcome(&pool, Job::new(bytes)).await;
    }
    outcome(&pool, job("cancelled").timeout(Duration::from_millis(50))).await;
    outcome(&pool, job("hang").timeout(Duration::from_millis(50))).await;
    let stream = in_time(pool.stream(job("echo"))).await.unwrap();
    debug(&stream);
    drop(stream);
    outcome(&pool, job("echo").arg(SECRETS[0])).await;
    ended(pool, events).await;
}

async fn lines() {
    let script = "read line; echo sentinel-answer; echo sentinel-answer >&2; echo '{\"id\":2,\"ok\":\"sentinel-answer\"}'; cat";
    for noise in [Noise::Error, Noise::Log] {
        let pool = Pool::new(shell(script))
            .framing(Framing::JsonLines)
            .noise(noise);
        let pool = pool.workers(1..=1).start().unwrap();
        let events = pool.events();
        for _ in 0..2 {
            outcome(&pool, Job::new(format!("\"{}\"", SECRETS[2]))).await;
        }
        outcome(&pool, Job::new(SECRETS[2])).await;
        ended(pool, events).await;
    }
}

async fn one_shots() {
    let pool = Pool::one_shot(secretive(Command::new("sh")));
    let pool = pool.start().unwrap();
    let events = pool.events();
    for script in ["cat", "cat >&2; exit 3", "cat; kill -9 $$"] {
        let job = Job::new(SECRETS[2]).args(["-c", script, SECRETS[0]]);
        debug(&job);
        outcome(&pool, job).await;
    }
    let long = Job::new("x").arg(SECRETS[0].repeat(20_000));
    assert_eq!(outcome(&pool, long).await, None);
    let bad = Job::new("x").arg("sentinel-argument\0");
    assert_eq!(outcome(&pool, bad).await, None);
    ended(pool, events).await;
}

/// Commands that are not acceptable, or cannot be started.
async fn starts() {
    let bad = Command::new("sh")
        .arg("sentinel-argument\0")
        .env("A\0", SECRETS[1]);
    error(&Pool::new(bad.clone()).start().unwrap_err());
    let quick = Backoff::new().first(Duration::from_millis(1)).factor(1.0);
    for command in [
        secretive(Command::new("/no/such/program").arg(SECRETS[0])),
        shell("echo sentinel-answer >&2; exit 3"),
    ] {
        let pool = Pool::new(command).workers(1..=1).backoff(quick);
        let pool = pool.start().unwrap();
        let events = pool.events();
        let down = in_time(pool.submit(job("echo"))).await.unwrap_err();
        assert!(matches!(down, JobError::PoolDown { .. }), "{down:?}");
        error(&down);
        error(&pool.reload(bad.clone()).await.unwrap_err());
        error(&in_time(pool.reload(shell("exit 4"))).await.unwrap_err());
        ended(pool, events).await;
    }
}

#[test]
fn no_secret_is_shown_by_a_pool() {
    isolated(|| {
        log::set_logger(&Log).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        run(async {
            frames().await;
            lines().await;
            one_shots().await;
            starts().await;
        });
        let shown = SHOWN.lock().unwrap();
        let logged = shown.iter().filter(|text| text.contains("actix_process"));
        let logged = logged.count();
        assert!(
            logged > 20 && shown.len() > 100,
            "{logged} of {}",
            shown.len()
        );
        for text in &*shown {
            for secret in SECRETS {
                let numbers = format!("{:?}", secret.as_bytes());
                let numbers = numbers.trim_matches(['[', ']']);
                let squeezed = numbers.replace(' ', "");
                assert!(
                    !text.contains(secret) && !text.contains(numbers) && !text.contains(&squeezed),
                    "{secret} is in {text}"
                );
            }
        }
    });
}
