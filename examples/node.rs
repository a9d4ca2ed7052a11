//! A host of workers for jobs from NATS JetStream. Each machine runs one, and they share the work.
//!
//! `cargo run --features nats --example node -- --server nats://127.0.0.1:4222 --workers 4 -- python3 examples/workers/worker.py` prints
//! a line a second. At SIGTERM or SIGINT it finishes what its workers have, gives back the rest, and ends.
//!
//! `node submit --server nats://127.0.0.1:4222 --jobs 100` submits jobs for such hosts, and prints a line for each result as it is stored.
//! `cluster.sh` uses both. For credentials and TLS see the documentation of `actix_process::nats`.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_process::Command;
use actix_process::nats::{Feed, FeedStats, JobRequest, JobResult, Submitter};
use actix_process::pool::{Job, Pool};
use async_nats::{Client, ConnectOptions, jetstream};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::signal::unix::{SignalKind, signal};

type Error = Box<dyn std::error::Error>;

const USAGE: &str = "\
node [OPTIONS] -- WORKER ARGS...   does jobs
node submit [OPTIONS]              submits jobs, and prints their results
    --server URL      nats://127.0.0.1:4222; of a cluster several, with commas between
    --workers COUNT   4
    --stream NAME     JOBS
    --consumer NAME   convert
    --subject SUBJECT `jobs.` and the consumer
    --ack-wait SECS   30: after how long without a word of its host a job goes to another
    --jobs COUNT      100, which are submitted";

/// The time for what runs when the host ends.
const END_WITHIN: Duration = Duration::from_secs(20);

/// So many jobs are submitted at a time.
const AT_ONCE: usize = 100;

struct Options {
    submits: bool,
    server: String,
    workers: usize,
    stream: String,
    consumer: String,
    subject: Option<String>,
    ack_wait: Duration,
    jobs: usize,
    worker: Vec<String>,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Error> {
        let mut options = Self {
            submits: false,
            server: "nats://127.0.0.1:4222".to_owned(),
            workers: 4,
            stream: "JOBS".to_owned(),
            consumer: "convert".to_owned(),
            subject: None,
            ack_wait: Duration::from_secs(30),
            jobs: 100,
            worker: Vec::new(),
        };
        while let Some(word) = words.next() {
            match &*word {
                "submit" => {
                    options.submits = true;
                    continue;
                }
                "--" => {
                    options.worker = words.collect();
                    break;
                }
                _ => {}
            }
            let value = words.next().ok_or(USAGE)?;
            match &*word {
                "--server" => options.server = value,
                "--workers" => options.workers = value.parse()?,
                "--stream" => options.stream = value,
                "--consumer" => options.consumer = value,
                "--subject" => options.subject = Some(value),
                "--ack-wait" => options.ack_wait = Duration::from_secs(value.parse()?),
                "--jobs" => options.jobs = value.parse()?,
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }

    fn subject(&self) -> String {
        let subject = self.subject.clone();
        subject.unwrap_or_else(|| format!("jobs.{}", self.consumer))
    }

    /// A client that notices within two seconds that the network is gone. The client's own times are a minute and more.
    async fn connect(&self) -> Result<Client, Error> {
        let options = ConnectOptions::new()
            .ping_interval(Duration::from_secs(1))
            .connection_timeout(Duration::from_secs(1))
            .reconnect_delay_callback(|tries| {
                Duration::from_millis(100 * tries.clamp(1, 5) as u64)
            });
        let servers: Vec<&str> = self.server.split(',').collect();
        Ok(options.connect(&servers[..]).await?)
    }
}

/// Does jobs until a signal comes.
async fn work(options: Options) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (program, args) = options.worker.split_first().ok_or(USAGE)?;
    let worker = Command::new(program).args(args);
    let pool = Pool::new(worker).workers(options.workers..=options.workers);
    let pool = pool.start()?;
    // Streams remember ids for the longest time between two deliveries of a job: the ack wait, a backoff of up to a minute, and room.
    let remember = Duration::from_secs(120).max(options.ack_wait + Duration::from_secs(80));
    let feed = Feed::new(options.connect().await?, &options.stream, &options.consumer)
        .subject(options.subject())
        .ack_wait(options.ack_wait)
        .dedup_window(remember)
        .start(&pool)
        .await?;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let ended_by_itself = loop {
        tokio::select! {
            _ = second.tick() => println!("{}", line(&feed.stats())),
            _ = terminate.recv() => break false,
            _ = interrupt.recv() => break false,
            _ = feed.closed() => break true,
        }
    };
    let report = feed.stop(END_WITHIN).await;
    let last = line(&feed.stats());
    pool.drain(END_WITHIN).await;
    let (finished, given_back) = (report.finished, report.given_back);
    println!("{last}; at the end {finished} finished, {given_back} given back");
    if ended_by_itself {
        return Err("the pool has ended".into());
    }
    Ok(())
}

fn line(stats: &FeedStats) -> String {
    let FeedStats {
        running,
        waiting,
        done,
        lost_workers,
        dead,
        ..
    } = stats;
    format!("running {running}, waiting {waiting}, done {done}, lost {lost_workers}, dead {dead}")
}

/// Submits jobs, and prints each result that the stream stores until nobody has any of the jobs.
async fn submit(options: Options) -> Result<(), Error> {
    let client = options.connect().await?;
    let submitter = Submitter::new(client.clone(), options.subject());
    let mut results = submitter.results().await?;
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let request = |number: usize| {
        let job = Job::new(format!("echo {number}"));
        JobRequest::new(job).id(format!("{run}-{number}"))
    };
    let submitted = async {
        let submitted =
            stream::iter(0..options.jobs).map(|number| submitter.submit(request(number)));
        let mut submitted = submitted.buffer_unordered(AT_ONCE);
        while submitted.try_next().await?.is_some() {}
        // A job whose host was lost after its result was stored is delivered once more: its second result, if there were one, is waited for.
        while under_way(&client, &options).await? > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok::<_, Error>(())
    };
    let mut submitted = Box::pin(submitted);
    let mut are_over = false;
    let is_own = |result: &JobResult| result.id.as_str().starts_with(&format!("{run}-"));
    let mut seen = 0;
    loop {
        tokio::select! {
            biased;
            result = results.next() => match result {
                Some(result) if is_own(&result) => {
                    seen += 1;
                    let body = String::from_utf8_lossy(&result.body);
                    println!("{} {} {} {body}", result.id, result.status, result.attempts);
                }
                Some(_) => {}
                None => return Err("the results have ended".into()),
            },
            over = &mut submitted, if !are_over => {
                over?;
                are_over = true;
            }
            // What is stored comes at once.
            () = tokio::time::sleep(Duration::from_secs(1)), if are_over => break,
        }
    }
    if seen < options.jobs {
        return Err(format!("{seen} results of {} jobs", options.jobs).into());
    }
    Ok(())
}

/// How many jobs of the consumer wait, or are on some host.
async fn under_way(client: &Client, options: &Options) -> Result<u64, Error> {
    let stream = jetstream::new(client.clone())
        .get_stream(&options.stream)
        .await?;
    let info = stream.consumer_info(&options.consumer).await?;
    Ok(info.num_pending + info.num_ack_pending as u64)
}

#[actix::main]
async fn main() -> ExitCode {
    env_logger::init();
    let ran = match Options::parse(std::env::args().skip(1)) {
        Ok(options) if options.submits => submit(options).await,
        Ok(options) => work(options).await,
        Err(error) => Err(error),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
