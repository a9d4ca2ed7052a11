//! What these tests share: servers, workers, hosts, and looks at what a server has.

pub(crate) mod hosts;
pub(crate) mod jetstream;
pub(crate) mod proxy;
pub(crate) mod server;
pub(crate) mod worker;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use actix_process::nats::{
    Feed, FeedEvent, FeedEvents, FeedHandle, FeedReported, FeedStats, JobResult, Submitter,
};
use async_nats::Client;
use futures::StreamExt;
use tempfile::TempDir;

use crate::common::{DEADLINE, in_time, run};
use server::Server;

/// Longer than anything takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The ack wait of [`feed`].
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(1);

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs a test with a server of its own.
pub(crate) fn on_server(test: impl AsyncFnOnce(&mut Server)) {
    on(Server::start(), test);
}

/// Runs a test with this server, if there is one.
pub(crate) fn on(server: Option<Server>, test: impl AsyncFnOnce(&mut Server)) {
    if let Some(mut server) = server {
        run(test(&mut server));
    }
}

/// The feed of most tests: the consumer `convert` of the stream `JOBS`, with a short ack wait and a short backoff.
pub(crate) fn feed(client: Client) -> Feed {
    Feed::new(client, "JOBS", "convert")
        .ack_wait(ACK_WAIT)
        .backoff(millis(50), millis(200))
}

pub(crate) fn submitter(client: &Client) -> Submitter {
    Submitter::new(client.clone(), "jobs.convert")
}

/// Submits a job, and waits for its result.
pub(crate) async fn result(submitter: &Submitter, job: impl Into<String>) -> JobResult {
    let job = actix_process::pool::Job::new(job.into());
    submitter.submit_and_wait(job, LONG).await.unwrap()
}

/// Submits a job.
pub(crate) async fn submit(submitter: &Submitter, job: impl Into<String>) {
    let job = actix_process::pool::Job::new(job.into());
    in_time(submitter.submit(job)).await.unwrap();
}

/// Looks until there is something; fails with what it saw last.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(seen) => assert!(begun.elapsed() < DEADLINE, "waited for {what}; saw {seen}"),
        }
        actix_rt::time::sleep(millis(10)).await;
    }
}

/// Looks until it is this.
pub(crate) async fn until_is<T>(what: &str, wanted: T, mut look: impl AsyncFnMut() -> T)
where
    T: PartialEq + std::fmt::Debug,
{
    until(what, async || {
        let seen = look().await;
        if seen == wanted {
            Ok(())
        } else {
            Err(format!("{seen:?}, not {wanted:?}"))
        }
    })
    .await;
}

/// The first look at a feed of which this holds.
pub(crate) async fn stats(
    feed: &FeedHandle,
    what: &str,
    holds: impl Fn(&FeedStats) -> bool,
) -> FeedStats {
    until(what, async || {
        let stats = feed.stats();
        if holds(&stats) {
            Ok(stats)
        } else {
            Err(format!("{stats:?}"))
        }
    })
    .await
}

/// The next event of which this holds.
pub(crate) async fn event(events: &mut FeedEvents, holds: impl Fn(&FeedEvent) -> bool) {
    let mut seen = Vec::new();
    let found = async {
        while let Some(told) = events.next().await {
            if matches!(&told, FeedReported::Event(event) if holds(event)) {
                return true;
            }
            seen.push(told);
        }
        false
    };
    let found = actix_rt::time::timeout(DEADLINE, found).await;
    assert_eq!(found, Ok(true), "{seen:?}");
}

/// The files by which jobs tell that they run, and are told to go on.
pub(crate) struct Signs(TempDir);

impl Signs {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A file that is not there yet.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A job that writes `line` down, and waits for [`go`](Self::go) before it does the rest.
    pub(crate) fn waits(&self, line: &str, rest: &str) -> String {
        let go = self.path("go");
        format!("{} until {} {rest}", self.logs(line), go.display())
    }

    /// The part of a job that writes `line` down.
    pub(crate) fn logs(&self, line: &str) -> String {
        format!("log {} {line}", self.path("log").display())
    }

    /// Lets the jobs go on that wait.
    pub(crate) fn go(&self) {
        fs::write(self.path("go"), "").unwrap();
    }

    /// What jobs have written down.
    pub(crate) fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// Waits until jobs have written so many lines.
    pub(crate) async fn logged(&self, lines: usize) -> Vec<String> {
        until(&format!("{lines} lines of jobs"), async || {
            let log = self.log();
            if log.len() == lines {
                Ok(log)
            } else {
                Err(format!("{log:?}"))
            }
        })
        .await
    }
}
