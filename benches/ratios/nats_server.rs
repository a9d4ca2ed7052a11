//! A nats-server for the benches of jobs from it: on a free port, in a directory of its own, with the streams and the consumer of a feed.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_process::Bytes;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, HeaderMap};
use futures::{StreamExt, stream};
use tempfile::TempDir;

use crate::harness::Skipped;

pub(crate) const JOBS: &str = "jobs.convert";
pub(crate) const RESULTS: &str = "results.convert";
pub(crate) const ID: &str = "Nats-Msg-Id";

/// How long the server has until it listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    child: Child,
    directory: TempDir,
    url: String,
}

impl Server {
    pub(crate) fn start() -> Result<Self, Skipped> {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = std::env::var("PATH").unwrap_or_default();
        let child = Command::new("nats-server")
            .args(["--addr", "127.0.0.1", "--port", "-1", "--jetstream"])
            .arg("--ports_file_dir")
            .arg(directory.path())
            .arg("--store_dir")
            .arg(directory.path().join("store"))
            .env("PATH", format!("{path}:/usr/sbin"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.map_err(|error| Skipped(format!("no nats-server: {error}")))?;
        let mut server = Self {
            child,
            directory,
            url: String::new(),
        };
        server.url = server.listens();
        Ok(server)
    }

    /// The URL that the server writes down.
    fn listens(&self) -> String {
        let file = format!("nats-server_{}.ports", self.child.id());
        let file = self.directory.path().join(file);
        let begun = Instant::now();
        loop {
            let ports = std::fs::read(&file).unwrap_or_default();
            let ports: serde_json::Value = serde_json::from_slice(&ports).unwrap_or_default();
            if let Some(url) = ports["nats"][0].as_str() {
                return url.to_owned();
            }
            assert!(begun.elapsed() < LISTENS_WITHIN, "nats-server listens");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) async fn client(&self) -> Client {
        let client = async_nats::connect(&self.url).await;
        client.expect("the server takes connections")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A consumer of jobs, and what it comes with.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) client: Client,
    pub(crate) jetstream: Context,
    pub(crate) consumer: jetstream::consumer::Consumer<pull::Config>,
}

impl Streams {
    /// As a feed makes them.
    pub(crate) async fn make(client: Client) -> Self {
        let jetstream = jetstream::new(client.clone());
        let window = Duration::from_secs(120);
        let config = |name: &str, subject: &str, retention| Config {
            name: name.to_owned(),
            subjects: vec![subject.to_owned()],
            retention,
            discard: DiscardPolicy::New,
            duplicate_window: window,
            ..Config::default()
        };
        let jobs = config("JOBS", JOBS, RetentionPolicy::WorkQueue);
        let jobs = jetstream.create_stream(jobs).await.expect("it is made");
        let results = config("JOBS_RESULTS", RESULTS, RetentionPolicy::Limits);
        jetstream.create_stream(results).await.expect("it is made");
        let consumer = pull::Config {
            durable_name: Some("convert".to_owned()),
            filter_subject: JOBS.to_owned(),
            ack_wait: Duration::from_secs(30),
            max_ack_pending: 20_000,
            max_waiting: 16_384,
            max_deliver: -1,
            ..pull::Config::default()
        };
        let consumer = jobs.create_consumer(consumer).await.expect("it is made");
        Self {
            client,
            jetstream,
            consumer,
        }
    }

    /// Of a server where they are made.
    pub(crate) async fn found(client: Client) -> Self {
        let jetstream = jetstream::new(client.clone());
        let consumer = jetstream.get_consumer_from_stream("convert", "JOBS").await;
        let consumer = consumer.expect("it is there");
        Self {
            client,
            jetstream,
            consumer,
        }
    }

    /// Stores so many jobs, under ids that begin with `round`, and forgets the results of earlier ones.
    pub(crate) async fn fill(&self, round: usize, jobs: usize, at_once: usize, body: &Bytes) {
        let results = self.jetstream.get_stream("JOBS_RESULTS").await;
        let purged = results.expect("it is there").purge().await;
        purged.expect("it can be purged");
        let stored = stream::iter(0..jobs)
            .map(|number| self.store(JOBS, format!("{round}-{number}"), body.clone()));
        let stored = stored.buffer_unordered(at_once);
        stored.for_each(async |()| {}).await;
    }

    /// Stores a message under an id, and waits for the server's word.
    pub(crate) async fn store(&self, subject: &'static str, id: String, body: Bytes) {
        let mut headers = HeaderMap::new();
        headers.insert(ID, id);
        let stored = self.jetstream.publish_with_headers(subject, headers, body);
        let stored = stored
            .await
            .expect("it is sent")
            .await
            .expect("it is stored");
        assert!(!stored.duplicate);
    }

    /// What a program writes by hand: so many jobs at a time, the result stored under the job's id, and the job acknowledged after that, both answered. It
    /// ends when so many are done, here and by others that count them.
    pub(crate) async fn work(&self, jobs: usize, at_once: usize, done: &AtomicUsize) {
        let messages = self.consumer.stream();
        let messages = messages.max_messages_per_batch(at_once).messages().await;
        let messages = messages.expect("there is a consumer");
        let work = messages.for_each_concurrent(at_once, async |message| {
            let message = message.expect("a job");
            let headers = message.headers.as_ref().expect("it has an id");
            let id = headers.get(ID).expect("it has an id").to_string();
            self.store(RESULTS, id, message.payload.clone()).await;
            let reply = message.reply.clone().expect("it is acknowledged");
            let acknowledged = self.client.request(reply, "+ACK".into()).await;
            acknowledged.expect("the server has heard");
            done.fetch_add(1, Ordering::Relaxed);
        });
        let all = async {
            while done.load(Ordering::Relaxed) < jobs {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = all => {}
        }
    }
}
