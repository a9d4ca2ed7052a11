//! Jobs for a pool from NATS JetStream: on as many hosts as one likes, and none is lost with its host.
//!
//! A pool on one host ends where the host does. A [`Feed`] takes jobs from a durable stream that hosts share, gives them to the local
//! [pool](crate::pool), and stores their results; a [`Submitter`] puts jobs in and reads results. The server does the distribution: a host asks for jobs
//! when its workers have room. A program in another language submits by the headers of `docs/nats.md` of the sources.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use actix_process::Command;
//! use actix_process::nats::{Feed, Submitter};
//! use actix_process::pool::{Job, Pool};
//!
//! # actix::System::new().block_on(async {
//! let secs = Duration::from_secs;
//! let client = async_nats::connect("nats://127.0.0.1:4222").await?;
//! // On each host.
//! let pool = Pool::one_shot(Command::new("tr").args(["a-z", "A-Z"])).workers(1..=4).start()?;
//! let feed = Feed::new(client.clone(), "JOBS", "convert").start(&pool).await?;
//! // Anywhere.
//! let submitter = Submitter::new(client, "jobs.convert");
//! let result = submitter.submit_and_wait(Job::new("loud"), secs(60)).await?;
//! assert_eq!(result.body, "LOUD");
//! // What runs is done, the rest goes back.
//! let report = feed.stop(secs(20)).await;
//! println!("{} jobs were finished, {} went back", report.finished, report.given_back);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # The way of a job
//!
//! ```text
//! Submitter ──► stream JOBS ──► Feed ──► pool ──► answer ────────► results ──► acknowledged, gone
//!                   ▲            │         ├────► worker's error ─► results ──► acknowledged, gone
//!                   │            │         └────► worker lost, timeout
//!                   ├────────────┴── queue full, stop ──┘ │
//!                   ├──────── after a backoff ◄───────────┤
//!                   │                                     └─ max_deliver times ─► dead, and a result that says so
//!                   └── no word of the host for ack_wait
//! ```
//!
//! # Promises
//!
//! **N1, at least once, one result.** A job is acknowledged after its result is stored, and the server's word for that has come. A job that is done twice,
//! because its host or the server was lost in between, has one result: the stream of results knows what it has, for its
//! [window of duplicates](Feed::dedup_window), and a host that was cut off for longer than that stores none. Each outcome that is final has a result, with its [`JobStatus`]. Only a lost worker, a timeout and a full queue
//! make a job come again.
//!
//! **N2, no more than the pool can take.** A feed asks for as many jobs as there are free places among one for each worker and the
//! [prefetch](Feed::prefetch), and no more than the pool's queue has room for. What waits, waits in the stream, for any host. At most
//! as many again, and 16, wait for the server to store their results.
//!
//! **N3, long jobs.** The server hears three times in each [`ack_wait`](Feed::ack_wait) that a job is in progress, so a job may take any time.
//!
//! **N4, poison.** A job that has lost [`max_deliver`](Feed::max_deliver) attempts goes to the subject of [dead](Feed::dead) jobs, with how the last one was
//! lost, the worker's standard error and the number of attempts; it has a result, [`JobStatus::Dead`], and leaves the stream. Attempts are counted in a stream,
//! since the server's deliveries are more than attempts. A job that takes whole hosts with it is tried a little more often: an attempt
//! that the server calls a first delivery leaves no trace when its host is killed, and a server that is busy does so more than once.
//!
//! **N5, losses.** The jobs of a host that is killed are delivered to others after `ack_wait`. A feed goes on by itself when a server or the network was away:
//! it misses two heartbeats, asks until the server answers, and asks for jobs anew. A consumer or a stream that was removed is made anew. Jobs that wait while none come are a
//! [stall](FeedStats::stalls), which is counted.
//!
//! **N6, stop.** [`stop`](FeedHandle::stop) fetches no more, finishes what workers have, and gives back the rest at once.
//!
//! **N7, checks.** [`start`](Feed::start) makes what is missing, and alters nothing that is there, unless [`adopt`](Feed::adopt) is said. What differs, or is not
//! permitted, is an error that says so: the subjects of results, dead jobs, attempts, requests for jobs and acknowledgements are tried, without effect.
//!
//! **N8, secrets.** Servers, credentials and TLS are the client's business. Neither they nor the content of jobs is in a log line, an event or `Debug`. The ids of jobs are.
//!
//! # The streams
//!
//! | stream | what it has | made with |
//! |---|---|---|
//! | the jobs' | jobs that nobody has done | work queue, in a file |
//! | of results, `_RESULTS` | results | a day, in a file |
//! | of dead jobs, `_DEAD` | jobs with how they died | a day, in a file |
//! | `_ATTEMPTS` | counts of lost attempts | a day, in a file |
//!
//! # Connections
//!
//! The client is made by the program. One that is to notice a network that is cut, within seconds, needs short times: the client's own are a minute and more.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use async_nats::ConnectOptions;
//!
//! # async fn connect() -> Result<(), async_nats::ConnectError> {
//! let options = ConnectOptions::new()
//!     .ping_interval(Duration::from_secs(1))
//!     .connection_timeout(Duration::from_secs(1))
//!     .reconnect_delay_callback(|tries| Duration::from_millis(100).min(Duration::from_millis(10) * tries as u32));
//! let client = options.connect(["nats://n1:4222", "nats://n2:4222", "nats://n3:4222"].as_slice()).await?;
//! # Ok(()) }
//! ```
//!
//! TLS needs a provider of cryptography, and a file of credentials needs `nkeys`. Both are features of async-nats, which the program's own `Cargo.toml` names:
//!
//! ```toml
//! async-nats = { version = "0.51", default-features = false, features = ["jetstream", "ring", "nkeys"] }
//! ```
//!
//! ```ignore
//! let options = ConnectOptions::with_credentials_file("host.creds").await?
//!     .require_tls(true)
//!     .add_root_certificates("ca.pem".into());
//! let client = options.connect("tls://nats.example.org:4222").await?;
//! ```
//!
//! # Caveats
//!
//! - A job may be done twice, so what it does to the world must bear that.
//! - The order of jobs is that of the stream for each host, and there is none among hosts; a [key](crate::pool::Job::key) keeps order on one host only.
//! - [`expires`](crate::pool::Job::expires) counts from when the stream stored the job, by the clocks of the server and of the host.
//! - [`retry_on_loss`](crate::pool::Job::retry_on_loss) and arguments of jobs do not travel. Who may submit must not say what hosts run.
//! - async-nats 0.51 ends its connection on a message whose headers are not UTF-8 or have a line without a colon, and fails for good on a lone carriage return in them. Such a message
//!   does so to each host. Who may publish to the subject of jobs must be trusted so far.
//! - A job that takes longer than the window of duplicates may have two results when a server is killed: [`dedup_window`](Feed::dedup_window) is to be longer.
//! - The feed is a task of the runtime where it was started. When that ends, its jobs are delivered to others after `ack_wait`.
//!
//! # Features
//!
//! `nats`, off by default, is this module; it needs `pool`. The client is a type of async-nats 0.51. It was tried with nats-server 2.9.10.

mod ack_reply;
mod api;
mod attempts;
mod context;
mod dead;
mod error;
mod event;
mod feed;
mod feeder;
mod handle;
mod held;
mod message;
mod names;
mod permissions;
mod phantoms;
mod pull;
mod puller;
mod recover;
mod report;
mod request;
mod result;
mod results;
mod settings;
mod setup;
mod stage;
mod stats;
mod submitter;
mod verdict;
mod waiters;
mod wanted;

pub use error::{FeedError, SubmitError};
pub use event::{FeedEvent, FeedEvents, FeedReported};
pub use feed::Feed;
pub use handle::FeedHandle;
pub use report::FeedReport;
pub use request::JobRequest;
pub use result::{JobId, JobResult, JobStatus};
pub use results::Results;
pub use stats::FeedStats;
pub use submitter::Submitter;
pub use verdict::LostHow;
