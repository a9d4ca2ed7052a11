//! Jobs from NATS JetStream.

use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use actix_process::nats::Feed;
use actix_process::pool::Pool;
use actix_process::{Bytes, Command};

use crate::harness::{Bench, Metric, Scale, Side, Skipped, USUAL};
use crate::helper;
use crate::nats_server::{Server, Streams};
use crate::pools::{started, task};
use crate::sides::{ByHand, Ours};

pub(crate) fn benches() -> Vec<Bench> {
    vec![
        // 8,000 jobs of 1 KiB that wait in a stream, answered with themselves by 2 workers in Rust, each result stored and each job acknowledged,
        // against a loop by hand over the same client with the same guarantees, 8 jobs at a time and no processes. Each with a server of its own.
        Bench {
            name: "nats_jobs",
            metrics: vec![Metric::at_least("", "jobs/s", 0.6, 0.8)],
            rounds: USUAL,
            ours,
            peer: by_hand,
        },
    ]
}

const JOBS: usize = 8_000;
const SIZE: usize = 1024;
const AT_ONCE: usize = 8;

/// So many are stored at a time before they are done.
const FILLED_AT_ONCE: usize = 500;

/// As is right for short jobs (`docs/scale.md`): with the 2 for the workers twice what the peer does at a time, which has as many fetched ahead.
const PREFETCH: usize = 14;

/// For what is under way at the end, which is nothing.
const STOP_WITHIN: Duration = Duration::from_secs(10);

fn ours(scale: Scale) -> Result<Side, Skipped> {
    let jobs = scale.pick(JOBS, 100);
    let server = Server::start()?;
    let ours = Ours::new();
    let streams = ours.run(async { Streams::make(server.client().await).await });
    let worker = Command::new(helper::program()).args(["@worker"]);
    let pool = ours.run(started(Pool::new(worker).workers(2..=2), 2));
    let body = Bytes::from(vec![b'x'; SIZE]);
    let mut round = 0;
    Ok(Box::new(move || {
        // It lives as long as this does.
        let _ = &server;
        round += 1;
        let (streams, pool, body) = (streams.clone(), pool.clone(), body.clone());
        let took = ours.run(task(async move {
            streams.fill(round, jobs, FILLED_AT_ONCE, &body).await;
            let begun = Instant::now();
            let feed = Feed::new(streams.client.clone(), "JOBS", "convert").prefetch(PREFETCH);
            let feed = feed.start(&pool).await.expect("the streams are right");
            while feed.stats().done < jobs as u64 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // Until each is acknowledged.
            feed.stop(STOP_WITHIN).await;
            begun.elapsed()
        }));
        vec![jobs as f64 / took.as_secs_f64()]
    }))
}

fn by_hand(scale: Scale) -> Result<Side, Skipped> {
    let jobs = scale.pick(JOBS, 100);
    let server = Server::start()?;
    let tokio = ByHand::new();
    let streams = tokio.run(async { Streams::make(server.client().await).await });
    let body = Bytes::from(vec![b'x'; SIZE]);
    let mut round = 0;
    Ok(Box::new(move || {
        let _ = &server;
        round += 1;
        let (streams, body) = (streams.clone(), body.clone());
        let took = tokio.run(task(async move {
            streams.fill(round, jobs, FILLED_AT_ONCE, &body).await;
            let begun = Instant::now();
            streams.work(jobs, AT_ONCE, &AtomicUsize::new(0)).await;
            begun.elapsed()
        }));
        vec![jobs as f64 / took.as_secs_f64()]
    }))
}
