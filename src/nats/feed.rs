//! The feed: what it is made of, and its start.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::api::Api;
use super::context::{FeedContext, FeedShared};
use super::error::FeedError;
use super::feeder::Feeder;
use super::handle::FeedHandle;
use super::permissions;
use super::report::FeedReport;
use super::settings::{FeedSettings, backoff};
use super::setup::{created, prepare};
use super::stage::{FeedStage, FeedStages};
use crate::pool::PoolHandle;

/// Feeds a [pool](crate::pool) from a consumer of a JetStream stream. [`start`](Self::start) gives a [`FeedHandle`].
///
/// ```no_run
/// use std::time::Duration;
///
/// use actix_process::Command;
/// use actix_process::nats::Feed;
/// use actix_process::pool::Pool;
///
/// # actix::System::new().block_on(async {
/// let secs = Duration::from_secs;
/// let pool = Pool::new(Command::new("python3").arg("worker.py")).workers(4..=4).start()?;
/// let client = async_nats::connect("nats://127.0.0.1:4222").await?;
/// let feed = Feed::new(client, "JOBS", "convert")
///     .subject("jobs.convert")
///     .results("results.convert")
///     .dead("dead.convert")
///     .ack_wait(secs(30))
///     .max_deliver(5)
///     .backoff(secs(1), secs(60))
///     .start(&pool)
///     .await?;
/// // Until this program is to end.
/// feed.stop(secs(20)).await;
/// pool.drain(secs(20)).await;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[must_use = "a feed does nothing until it is started"]
pub struct Feed {
    client: Client,
    settings: FeedSettings,
}

impl Feed {
    /// A feed from this stream, by a durable consumer of this name that all hosts share. Both are made if they are missing, and checked
    /// if they are there. The client brings servers, credentials and TLS.
    ///
    /// Feeds for other subjects take streams of their own, or one that was made for all of the subjects (`jobs.>`): a stream that is there without the subject differs.
    ///
    /// Names have no space, dot, slash or wildcard.
    pub fn new(client: Client, stream: impl Into<String>, consumer: impl Into<String>) -> Self {
        Self {
            client,
            settings: FeedSettings::new(stream.into(), consumer.into()),
        }
    }

    /// The subject of the jobs: `jobs.` and the consumer's name unless set. No wildcards.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.settings.subject = subject.into();
        self
    }

    /// Where results go: the subject of the jobs with `results.` in place of a leading `jobs.` unless set. The stream that has this subject takes them; if
    /// there is none, one is made whose name is the jobs' stream's with `_RESULTS`.
    pub fn results(mut self, subject: impl Into<String>) -> Self {
        self.settings.results = Some(subject.into());
        self
    }

    /// Where jobs go that have had all of their attempts: with `dead.` in place of a leading `jobs.` unless set. The stream is found, or made with
    /// `_DEAD`, as for [`results`](Self::results).
    pub fn dead(mut self, subject: impl Into<String>) -> Self {
        self.settings.dead = Some(subject.into());
        self
    }

    /// After how long without a word of its host a job is delivered to another one: 30 seconds unless set, 100 ms at least. A host says three times in it that
    /// a job is in progress, so jobs may take longer.
    pub const fn ack_wait(mut self, time: Duration) -> Self {
        self.settings.ack_wait = time;
        self
    }

    /// How often a job is tried before it is dead: 5 times unless set, at least once. Attempts count in which the worker was lost or the time was over, on any
    /// host, and those whose host was lost. The consumer's own `max_deliver` is not used: it counts deliveries that nobody has seen.
    pub const fn max_deliver(mut self, attempts: u32) -> Self {
        self.settings.max_deliver = attempts;
        self
    }

    /// How long a job rests after a lost attempt: `first`, then twice as long each time, `most` at most, 10 % more or less. 1 and 60 seconds unless set.
    pub const fn backoff(mut self, first: Duration, most: Duration) -> Self {
        self.settings.backoff = backoff(first, most);
        self.settings.longest_backoff = most;
        self
    }

    /// How many jobs are fetched beyond one for each worker, so that a worker need not wait for the server: as many as there may be workers unless set. What is
    /// fetched ahead waits here, and no other host can have it: few, or 0, are right for long jobs.
    pub const fn prefetch(mut self, jobs: usize) -> Self {
        self.settings.prefetch = Some(jobs);
        self
    }

    /// How long the streams of results and dead jobs must know what they have, so that a job that is done twice has one result: 2 minutes unless set.
    /// At least `ack_wait`, the longest backoff and 10 seconds together. Jobs that take longer need a longer one, by the time that they take: a server that is killed may bring back a job that is done. The server keeps each id in memory for so long.
    pub const fn dedup_window(mut self, time: Duration) -> Self {
        self.settings.dedup_window = time;
        self
    }

    /// How long results, dead jobs and counts of attempts are kept, in streams that this feed makes: a day unless set.
    pub const fn keep_results(mut self, time: Duration) -> Self {
        self.settings.keep_results = time;
        self
    }

    /// On how many servers the streams that this feed makes are kept: 1 unless set. A cluster of three servers takes 3.
    pub const fn replicas(mut self, servers: usize) -> Self {
        self.settings.replicas = servers;
        self
    }

    /// How many jobs all hosts together may have at a time: 20,000 unless set, -1 for any number. Below the hosts' workers and what they fetch ahead, hosts stand
    /// idle.
    pub const fn max_ack_pending(mut self, jobs: i64) -> Self {
        self.settings.max_ack_pending = jobs;
        self
    }

    /// How long one request for jobs waits at the server: 30 seconds unless set, 1 second at least.
    pub const fn pull_expires(mut self, time: Duration) -> Self {
        self.settings.pull_expires = time;
        self
    }

    /// The domain of the JetStream, on a leaf node.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.settings.domain = Some(domain.into());
        self
    }

    /// Streams that are there and differ are changed to what the feed needs, in what differs; a consumer that differs is made anew, so that jobs which other hosts have are
    /// delivered once more. Without this, a difference is [`FeedError::Differs`], and nothing that is there is altered.
    pub const fn adopt(mut self) -> Self {
        self.settings.adopt = true;
        self
    }

    /// Makes or checks the streams and the consumer, tries whether the client may use their subjects, and begins. The feed is a task of the tokio runtime of
    /// this call, which may be a System's. It keeps the pool running, and ends with it. Who subscribes to the subjects of results and dead jobs without a stream sees an empty
    /// message: the try.
    ///
    /// # Errors
    ///
    /// [`FeedError`]. Of what differs, the first thing is told.
    pub async fn start(self, pool: &PoolHandle) -> Result<FeedHandle, FeedError> {
        let mut settings = self.settings;
        settings.check()?;
        let runtime = Handle::try_current().map_err(|_| FeedError::NoRuntime)?;
        let api = Api::new(self.client, settings.domain.as_deref());
        prepare(&api, &settings).await?;
        permissions::check(&api, &settings).await?;
        let created = created(&api, &settings).await;
        let created = created.map_err(|error| FeedError::refused("stream of jobs", error))?;
        let shared = Arc::new(FeedShared::new(&created));
        settings.adopt = false;
        let context = Arc::new(FeedContext {
            api,
            results: settings.results_subject(),
            dead: settings.dead_subject(),
            settings,
            pool: pool.clone(),
            shared: Arc::clone(&shared),
            mended: tokio::sync::Mutex::default(),
        });
        let (stage, stages) = watch::channel(FeedStage::Runs);
        let ends = EndsFeed(Arc::clone(&shared));
        let feeder = Feeder::new(context, FeedStages::new(stages));
        runtime.spawn(async move {
            let report = feeder.run().await;
            ends.0.closing.end(report);
            drop(ends);
        });
        Ok(FeedHandle::new(shared, stage))
    }
}

/// Ends a feed whose runtime ends before it.
struct EndsFeed(Arc<FeedShared>);

impl Drop for EndsFeed {
    fn drop(&mut self) {
        self.0.closing.end(FeedReport::default());
        self.0.events.close();
    }
}

/// Without the client, which may know secrets.
impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
