//! The figures of `docs/scale.md`: what a nats-server takes, and what a host takes. They are printed, not judged.

use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use actix_process::nats::Feed;
use actix_process::pool::Pool;
use actix_process::{Bytes, Command};
use futures::future::join_all;
use nix::unistd::{SysconfVar, sysconf};

use crate::harness::{Scale, Skipped, Verdict};
use crate::helper;
use crate::measure::cpu_time;
use crate::nats_server::{Server, Streams};
use crate::pools::{started, task};
use crate::sides::Ours;

const SIZE: usize = 1024;

/// How often each is measured; the fastest is printed, since what else the machine does makes all of them slower.
const ROUNDS: usize = 3;

pub(crate) fn print(scale: Scale) -> Verdict {
    let printed = [stored, by_hand, connections, hosts, ids, quiet_feeds];
    for print in printed {
        if let Err(Skipped(why)) = print(scale) {
            println!("nats_scale SKIPPED {why}");
            return Verdict::Skipped;
        }
        println!();
    }
    Verdict::Ok
}

/// Jobs a second, and CPU a job.
struct Taken {
    rate: f64,
    server: f64,
    host: f64,
}

impl Taken {
    /// Of so many jobs.
    async fn by(server: &Server, jobs: usize, work: impl Future<Output = ()>) -> Self {
        let (begun, server_before, host_before) = (Instant::now(), cpu_of(server), cpu_time());
        work.await;
        let each = |seconds: f64| seconds / jobs as f64 * 1e6;
        Self {
            rate: jobs as f64 / begun.elapsed().as_secs_f64(),
            server: each(cpu_of(server) - server_before),
            host: each(cpu_time() - host_before),
        }
    }

    fn row(&self, first: impl std::fmt::Display) {
        let Self { rate, server, host } = self;
        println!("| {first} | {rate:.0} | {server:.0} | {host:.0} |");
    }
}

fn head(title: &str, first: &str) {
    println!("{title}\n");
    println!("| {first} | jobs/s | CPU of the server, us a job | CPU of the client, us a job |");
    println!("|---|---|---|---|");
}

fn fastest(rounds: impl IntoIterator<Item = Taken>) -> Taken {
    let rounds = rounds.into_iter();
    let fastest = rounds.max_by(|one, other| one.rate.total_cmp(&other.rate));
    fastest.expect("there is a round")
}

fn body() -> Bytes {
    Bytes::from(vec![b'x'; SIZE])
}

/// A submitter alone.
fn stored(scale: Scale) -> Result<(), Skipped> {
    head("jobs of 1 KiB stored by one client", "at a time");
    let jobs = scale.pick(20_000, 100);
    for at_once in [1, 8, 32, 128, 500] {
        let server = Server::start()?;
        let taken = Ours::new().run(async {
            let streams = Streams::make(server.client().await).await;
            Taken::by(&server, jobs, streams.fill(0, jobs, at_once, &body())).await
        });
        taken.row(at_once);
    }
    Ok(())
}

/// Fetched, result stored, acknowledged by request.
fn by_hand(scale: Scale) -> Result<(), Skipped> {
    head(
        "jobs done by a loop by hand on one connection, without processes",
        "in flight",
    );
    for at_once in [1, 8, 32, 128] {
        let jobs = scale.pick(if at_once == 1 { 4_000 } else { 20_000 }, 100);
        let server = Server::start()?;
        let system = Ours::new();
        let streams = system.run(async { Streams::make(server.client().await).await });
        let rounds = (0..ROUNDS).map(|round| {
            system.run(async {
                streams.fill(round, jobs, 500, &body()).await;
                let done = AtomicUsize::new(0);
                Taken::by(&server, jobs, streams.work(jobs, at_once, &done)).await
            })
        });
        fastest(rounds).row(at_once);
    }
    Ok(())
}

/// The same from several connections, each on a thread of its own.
fn connections(scale: Scale) -> Result<(), Skipped> {
    head(
        "the same, 32 in flight on each of several connections",
        "connections",
    );
    let jobs = scale.pick(20_000, 100);
    for count in [1, 2, 4] {
        let server = Server::start()?;
        let system = Ours::new();
        let streams = system.run(async { Streams::make(server.client().await).await });
        let rounds = (0..ROUNDS).map(|round| {
            system.run(async {
                streams.fill(round, jobs, 500, &body()).await;
                let begun = (Instant::now(), cpu_of(&server), cpu_time());
                let done = AtomicUsize::new(0);
                std::thread::scope(|scope| {
                    for _ in 0..count {
                        scope.spawn(|| {
                            actix::System::new().block_on(async {
                                let streams = Streams::found(server.client().await).await;
                                streams.work(jobs, 32, &done).await;
                            });
                        });
                    }
                });
                let each = |seconds: f64| seconds / jobs as f64 * 1e6;
                Taken {
                    rate: jobs as f64 / begun.0.elapsed().as_secs_f64(),
                    server: each(cpu_of(&server) - begun.1),
                    host: each(cpu_time() - begun.2),
                }
            })
        });
        fastest(rounds).row(count);
    }
    Ok(())
}

/// A feed of a pool. The client's CPU is without that of the workers.
fn hosts(scale: Scale) -> Result<(), Skipped> {
    head(
        "jobs done by a feed, with workers that answer each with itself",
        "workers, prefetch",
    );
    let jobs = scale.pick(10_000, 100);
    for (workers, prefetch) in [
        (1, 1),
        (2, 2),
        (2, 6),
        (2, 14),
        (2, 30),
        (2, 62),
        (4, 28),
        (8, 24),
    ] {
        let server = Server::start()?;
        let system = Ours::new();
        let streams = system.run(async { Streams::make(server.client().await).await });
        let worker = Command::new(helper::program()).args(["@worker"]);
        let pool = Pool::new(worker).workers(workers..=workers);
        let pool = system.run(started(pool, workers));
        let rounds = (0..ROUNDS).map(|round| {
            let (streams, pool) = (streams.clone(), pool.clone());
            system.run(async {
                streams.fill(round, jobs, 500, &body()).await;
                let work = task(async move {
                    let feed = Feed::new(streams.client, "JOBS", "convert").prefetch(prefetch);
                    let feed = feed.start(&pool).await.expect("the streams are right");
                    while feed.stats().done < jobs as u64 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    feed.stop(Duration::from_secs(10)).await;
                });
                Taken::by(&server, jobs, work).await
            })
        });
        fastest(rounds).row(format!("{workers}, {prefetch}"));
    }
    Ok(())
}

/// What the server keeps for each id of its window.
fn ids(scale: Scale) -> Result<(), Skipped> {
    let jobs = scale.pick(500_000, 100);
    let server = Server::start()?;
    let (before, after) = Ours::new().run(async {
        let streams = Streams::make(server.client().await).await;
        let empty = Bytes::new();
        // What the server needs for any flood is there.
        streams.fill(0, jobs / 10, 500, &empty).await;
        let before = memory_of(&server);
        streams.fill(1, jobs, 500, &empty).await;
        (before, memory_of(&server))
    });
    let each = (after - before) / jobs as f64 * 1024.0;
    println!("{jobs} ids of some 8 bytes in a window: {each:.0} bytes each of the server's memory");
    println!("({before:.0} KiB resident before, {after:.0} KiB after; empty messages in a file)");
    Ok(())
}

/// Feeds that have nothing to do: a connection each, and a pull request with a heartbeat a second.
fn quiet_feeds(scale: Scale) -> Result<(), Skipped> {
    println!(
        "| quiet feeds | CPU of the server | CPU of the clients | memory of the server, KiB |"
    );
    println!("|---|---|---|---|");
    let time = Duration::from_secs(scale.pick(10, 1));
    for count in [0, 100, 400] {
        let server = Server::start()?;
        let line = Ours::new().run(async {
            let streams = Streams::make(server.client().await).await;
            let pool = Pool::one_shot(Command::new("true")).workers(1..=1);
            let pool = pool.start().expect("a pool can be started");
            let mut feeds = Vec::new();
            for _ in 0..count {
                let feed = Feed::new(server.client().await, "JOBS", "convert");
                feeds.push(feed.start(&pool).await.expect("the streams are right"));
            }
            let before = (cpu_of(&server), cpu_time());
            tokio::time::sleep(time).await;
            let share = |seconds: f64| seconds / time.as_secs_f64() * 100.0;
            let (cpu_server, cpu_clients) = (
                share(cpu_of(&server) - before.0),
                share(cpu_time() - before.1),
            );
            let stops = feeds.iter().map(|feed| feed.stop(Duration::ZERO));
            let memory = memory_of(&server);
            join_all(stops).await;
            drop(streams);
            format!("{cpu_server:.1} % | {cpu_clients:.1} % | {memory:.0}")
        });
        println!("| {count} | {line} |");
    }
    Ok(())
}

/// Of the server so far, in seconds.
fn cpu_of(server: &Server) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid()));
    let stat = stat.expect("the server lives");
    let (_, fields) = stat.rsplit_once(") ").expect("its name is in parentheses");
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks: f64 = ticks
        .map(|field| field.parse::<f64>().expect("a number"))
        .sum();
    let second = sysconf(SysconfVar::CLK_TCK).ok().flatten();
    ticks / second.expect("the kernel counts ticks") as f64
}

/// What is resident, in KiB.
fn memory_of(server: &Server) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()));
    let status = status.expect("the server lives");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.expect("the kernel tells it")
}
