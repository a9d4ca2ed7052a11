//! Jobs to workers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use actix::Arbiter;
use actix_process::pool::{Job, Pool, PoolHandle};
use actix_process::{Bytes, Command};
use futures::{StreamExt, stream};
use tokio::sync::oneshot;

use crate::harness::{Bench, MANY, Metric, Scale, Side, Skipped, USUAL, median};
use crate::helper;
use crate::measure::{Counting, pin, settle};
use crate::pool_peers::{self, HandWritten};
use crate::sides::{ByHand, Ours};
use crate::streaming::apart;

pub(crate) fn benches() -> Vec<Bench> {
    vec![
        // 20,000 jobs of 1 KiB that are answered with themselves, by 2 workers in Rust, against a loop over tokio::process
        // that is written by hand: a task for each worker, a channel of jobs, a length before each. Both on the caller's thread, in a
        // System, and asked by a task there.
        Bench {
            name: "pool_jobs",
            metrics: vec![Metric::at_least("", "jobs/s", 0.9, 1.1)],
            rounds: MANY,
            ours: |scale| jobs_ours(scale, Command::new(helper::program()).args(["@worker"]), ""),
            peer: jobs_by_hand,
        },
        // The same by 2 workers in Python, against Python's own ProcessPoolExecutor with as many.
        Bench {
            name: "pool_python",
            metrics: vec![Metric::at_least("", "jobs/s", 3.0, 5.0)],
            rounds: USUAL,
            ours: |scale| {
                jobs_ours(
                    scale,
                    Command::new("python3").args([pool_peers::WORKER_PY]),
                    "echo ",
                )
            },
            peer: pool_peers::executor,
        },
        // One job at a time, against a bare round trip through two pipes by tokio. Both by a task of a System, as what an
        // application does is.
        Bench {
            name: "pool_latency",
            metrics: vec![Metric::at_most("p50", "us", 1.5, 1.2)],
            rounds: MANY,
            ours: latency_ours,
            peer: latency_bare,
        },
        // The same, all on one CPU: nobody waits for another CPU to wake up, so that it is the work of both sides alone.
        Bench {
            name: "pool_latency_one_cpu",
            metrics: vec![Metric::at_most("p50", "us", 1.5, 1.2)],
            rounds: MANY,
            ours: |scale| on_one_cpu(latency_ours, scale),
            peer: |scale| on_one_cpu(latency_bare, scale),
        },
        // 400 times `true`, 16 at a time, against our own bare `status()`.
        Bench {
            name: "pool_one_shot",
            metrics: vec![Metric::at_least("", "jobs/s", 0.9, 0.97)],
            rounds: MANY,
            ours: one_shot_ours,
            peer: one_shot_bare,
        },
        // 1 GB in chunks of 64 KiB by one streamed answer, against our own bare stream.
        Bench {
            name: "pool_stream",
            metrics: vec![Metric::at_least("", "GB/s", 0.7, 0.9)],
            rounds: USUAL,
            ours: stream_ours,
            peer: stream_bare,
        },
        // Bytes of heap for each of 100,000 queued jobs of 1 KiB, against a queue of them with the senders of their answers.
        Bench {
            name: "pool_crowd",
            metrics: vec![Metric::at_most("", "bytes a job", 2.0, 1.5)],
            rounds: USUAL,
            ours: crowd_ours,
            peer: crowd_bare,
        },
    ]
}

const SIZE: usize = 1024;

/// So many jobs are under way at a time.
const FLIGHT: usize = 64;

/// In a task of the arbiter.
pub(crate) async fn task<T: 'static>(work: impl Future<Output = T> + 'static) -> T {
    actix::spawn(work).await.expect("it comes to its end")
}

/// On the caller's arbiter, and ready: so many workers.
pub(crate) async fn started(pool: Pool, workers: usize) -> PoolHandle {
    let pool = pool
        .on(&Arbiter::current())
        .start()
        .expect("a pool can be started");
    while pool.stats().await.expect("it runs").idle < workers {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    pool
}

fn jobs_ours(scale: Scale, worker: Command, before: &str) -> Result<Side, Skipped> {
    let jobs = scale.pick(20_000, 100);
    let ours = Ours::new();
    let pool = ours.run(started(Pool::new(worker).workers(2..=2), 2));
    let body = Bytes::from(before.to_owned() + &"x".repeat(SIZE));
    Ok(Box::new(move || {
        let begun = Instant::now();
        let (pool, body) = (pool.clone(), body.clone());
        ours.run(task(async move {
            let answers = stream::iter(0..jobs).map(|_| pool.submit(Job::new(body.clone())));
            let answers = answers.buffer_unordered(FLIGHT);
            answers
                .for_each(async |answer| assert_eq!(answer.expect("an echo").len(), SIZE))
                .await;
        }));
        vec![jobs as f64 / begun.elapsed().as_secs_f64()]
    }))
}

fn jobs_by_hand(scale: Scale) -> Result<Side, Skipped> {
    let jobs = scale.pick(20_000, 100);
    let tokio = ByHand::new();
    let pool = tokio.run(async { HandWritten::start(2) });
    Ok(Box::new(move || {
        let begun = Instant::now();
        let pool = pool.clone();
        tokio.run(task(async move {
            let body = Bytes::from(vec![b'x'; SIZE]);
            let answers = stream::iter(0..jobs).map(|_| pool.submit(body.clone()));
            let answers = answers.buffer_unordered(FLIGHT);
            answers
                .for_each(async |answer| assert_eq!(answer.len(), SIZE))
                .await;
        }));
        vec![jobs as f64 / begun.elapsed().as_secs_f64()]
    }))
}

fn on_one_cpu(side: fn(Scale) -> Result<Side, Skipped>, scale: Scale) -> Result<Side, Skipped> {
    pin(0);
    side(scale)
}

fn latency_ours(scale: Scale) -> Result<Side, Skipped> {
    let trips = scale.pick(20_000, 100);
    let ours = Ours::new();
    let worker = Command::new(helper::program()).args(["@worker"]);
    let pool = ours.run(started(Pool::new(worker).workers(2..=2), 2));
    Ok(Box::new(move || {
        let body = Bytes::from(vec![b'x'; SIZE]);
        let pool = pool.clone();
        let times = ours.run(task(async move {
            let mut times = Vec::with_capacity(trips);
            for _ in 0..trips {
                let sent = Instant::now();
                pool.submit(Job::new(body.clone())).await.expect("an echo");
                times.push(sent.elapsed().as_secs_f64() * 1e6);
            }
            times
        }));
        vec![median(&times)]
    }))
}

fn latency_bare(scale: Scale) -> Result<Side, Skipped> {
    let trips = scale.pick(20_000, 100);
    let tokio = ByHand::new();
    Ok(Box::new(move || {
        let times = tokio.run(task(pool_peers::round_trips(trips, SIZE)));
        vec![median(&times)]
    }))
}

fn one_shot_ours(scale: Scale) -> Result<Side, Skipped> {
    let jobs = scale.pick(400, 16);
    let ours = Ours::new();
    let pool = Pool::one_shot(Command::new("true")).workers(1..=16);
    let pool = ours.run(async {
        pool.on(&Arbiter::current())
            .start()
            .expect("a pool can be started")
    });
    Ok(Box::new(move || {
        let begun = Instant::now();
        ours.run(async {
            let answers = stream::iter(0..jobs).map(|_| pool.submit(Job::new("")));
            let answers = answers.buffer_unordered(16);
            answers
                .for_each(async |answer| drop(answer.expect("true succeeds")))
                .await;
        });
        vec![jobs as f64 / begun.elapsed().as_secs_f64()]
    }))
}

fn one_shot_bare(scale: Scale) -> Result<Side, Skipped> {
    let jobs = scale.pick(400, 16);
    let ours = Ours::new();
    Ok(Box::new(move || {
        let begun = Instant::now();
        ours.run(async {
            let command = Command::new("true");
            let ends = stream::iter(0..jobs).map(|_| command.status().into_future());
            let ends = ends.buffer_unordered(16);
            ends.for_each(async |end| assert!(end.expect("true can be spawned").success()))
                .await;
        });
        vec![jobs as f64 / begun.elapsed().as_secs_f64()]
    }))
}

fn stream_ours(scale: Scale) -> Result<Side, Skipped> {
    apart(1)?;
    let bytes = scale.pick(1_000_000_000, 1_000_000);
    let ours = Ours::new();
    let worker = Command::new(helper::program()).args(["@on", "1", "@worker"]);
    let pool = ours.run(started(Pool::new(worker).workers(2..=2), 2));
    Ok(Box::new(move || {
        let begun = Instant::now();
        let read = ours.run(async {
            let answer = pool
                .stream(Job::new(format!("pour {bytes}")))
                .await
                .expect("it pours");
            answer
                .fold(0, async |read, part| read + part.expect("it pours").len())
                .await
        });
        assert_eq!(read, bytes);
        vec![bytes as f64 / 1e9 / begun.elapsed().as_secs_f64()]
    }))
}

fn stream_bare(scale: Scale) -> Result<Side, Skipped> {
    apart(1)?;
    let bytes = scale.pick(1_000_000_000, 1_000_000);
    let ours = Ours::new();
    let size = bytes.to_string();
    let command = Command::new(helper::program()).args(["@on", "1", "@pour", &size, "65536"]);
    Ok(Box::new(move || {
        let begun = Instant::now();
        let read = ours.run(async {
            let child = command.open().await.expect("it can be spawned");
            child
                .stdout
                .fold(0, async |read, part| read + part.len())
                .await
        });
        assert_eq!(read, bytes);
        vec![bytes as f64 / 1e9 / begun.elapsed().as_secs_f64()]
    }))
}

fn crowd_ours(scale: Scale) -> Result<Side, Skipped> {
    let jobs = scale.pick(100_000, 100);
    let ours = Ours::new();
    // A worker that is never ready.
    let pool = Pool::new(Command::new("sleep").arg("1000"));
    let pool = pool
        .workers(1..=1)
        .queue(jobs)
        .ready_within(Duration::from_secs(600));
    let pool = ours.run(async {
        pool.on(&Arbiter::current())
            .start()
            .expect("a pool can be started")
    });
    Ok(Box::new(move || {
        ours.run(async {
            settle().await;
            let mut answers = Vec::with_capacity(jobs);
            Counting::start();
            answers.extend((0..jobs).map(|_| pool.submit(Job::new(vec![b'x'; SIZE]))));
            while pool.stats().await.expect("it runs").waiting < jobs {}
            let bytes = Counting::live() / jobs as f64;
            drop(answers);
            while pool.stats().await.expect("it runs").waiting > 0 {}
            vec![bytes]
        })
    }))
}

fn crowd_bare(scale: Scale) -> Result<Side, Skipped> {
    let jobs = scale.pick(100_000, 100);
    Ok(Box::new(move || {
        let mut answers = Vec::with_capacity(jobs);
        Counting::start();
        let mut queue = VecDeque::new();
        for _ in 0..jobs {
            let (tell, told) = oneshot::channel::<Bytes>();
            queue.push_back((Bytes::from(vec![b'x'; SIZE]), tell));
            answers.push(told);
        }
        let bytes = Counting::live() / jobs as f64;
        assert_eq!(queue.len(), answers.len());
        vec![bytes]
    }))
}
