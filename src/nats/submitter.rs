//! Who submits jobs, and hears of their results.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, HeaderMap};
use futures_core::Stream;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::api::{Api, ApiError, Stored};
use super::error::SubmitError;
use super::names::{beside, check_subject};
use super::request::JobRequest;
use super::result::{JobId, JobResult};
use super::results::{self, ReadFrom, Results};
use super::waiters::{ReadingTask, ResultWaiters};
use crate::Bytes;

/// How long a server that does not answer is asked again.
const ASKED_FOR: Duration = Duration::from_secs(10);

/// A client without a connection says at once that there is no answer. Then it has so long to connect.
const BETWEEN: Duration = Duration::from_millis(100);

/// Submits jobs to a stream that [feeds](super::Feed) of any host take them from. A clone is the same submitter.
///
/// ```no_run
/// use std::time::Duration;
///
/// use actix_process::nats::{JobRequest, Submitter};
/// use actix_process::pool::Job;
///
/// # async fn submit() -> Result<(), Box<dyn std::error::Error>> {
/// let client = async_nats::connect("nats://127.0.0.1:4222").await?;
/// let submitter = Submitter::new(client, "jobs.convert");
/// // The stream has it, and does not lose it.
/// let id = submitter.submit(JobRequest::new(Job::new("a picture")).id("picture-17")).await?;
/// // And one whose result is waited for.
/// let result = submitter.submit_and_wait(Job::new("another"), Duration::from_secs(60)).await?;
/// println!("{id} is submitted; {} ended with {}", result.id, result.status);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Submitter {
    api: Api,
    subject: String,
    results: Option<String>,
    waiters: Arc<ResultWaiters>,
    /// Reads results for those who wait, once somebody does.
    reading: Arc<Mutex<Option<ReadingTask>>>,
}

impl Submitter {
    /// Submits to this subject, which a stream must have.
    pub fn new(client: Client, subject: impl Into<String>) -> Self {
        Self {
            api: Api::new(client, None),
            subject: subject.into(),
            results: None,
            waiters: Arc::default(),
            reading: Arc::default(),
        }
    }

    /// Where results are, as it was said to the [feeds](super::Feed::results). The same holds if it is not set.
    #[must_use]
    pub fn results_at(mut self, subject: impl Into<String>) -> Self {
        self.results = Some(subject.into());
        self
    }

    /// The domain of the JetStream, on a leaf node.
    #[must_use]
    pub fn domain(mut self, domain: &str) -> Self {
        self.api = Api::new(self.api.client, Some(domain));
        self
    }

    /// Gives the stream a job, and waits until it is stored. A job of an [id](JobRequest::id) that the stream has, or had inside of its window of
    /// duplicates, counts as stored. A server that does not answer is asked again, for 10 seconds.
    ///
    /// # Errors
    ///
    /// [`SubmitError`]. After [`SubmitError::Unknown`] the job may be stored: to submit it again under the same id is safe.
    pub async fn submit(&self, job: impl Into<JobRequest>) -> Result<JobId, SubmitError> {
        let (id, headers, body) = self.message(job.into())?;
        self.store(&id, headers, body).await?;
        Ok(id)
    }

    /// The results of all jobs of the subject, whoever submitted them, from now on. A server that does not answer is asked again, for 10 seconds.
    ///
    /// # Errors
    ///
    /// [`SubmitError::NoStream`] if no feed has made a stream of results yet, and [`SubmitError::Refused`].
    pub async fn results(&self) -> Result<Results, SubmitError> {
        if Handle::try_current().is_err() {
            return Err(SubmitError::NoRuntime);
        }
        self.read(ReadFrom::Now, ASKED_FOR).await
    }

    /// Submits a job, and waits for its result, for so long in all. A job whose id was submitted before has the result of that time, if it is kept still.
    ///
    /// A submitter reads the results of all jobs of the subject for this. Dropping the future takes nothing back: the job is done.
    ///
    /// # Errors
    ///
    /// [`SubmitError`]; [`SubmitError::TimedOut`] if there is no result in time. The job may have one later.
    pub async fn submit_and_wait(
        &self,
        job: impl Into<JobRequest>,
        wait: Duration,
    ) -> Result<JobResult, SubmitError> {
        let (id, headers, body) = self.message(job.into())?;
        let is_stored = AtomicBool::new(false);
        let waited = async {
            // It must not miss the result, so it listens first.
            let mut waiter = self.waiters.wait_for(&id);
            self.start_reading(wait).await?;
            let stored = self.store(&id, headers, body).await?;
            is_stored.store(true, Ordering::Relaxed);
            if !stored.is_duplicate {
                return Ok(waiter.result().await);
            }
            let earlier = self.read(ReadFrom::First, wait).await?;
            // What is unique of a result begins so.
            let job = format!("{id}/{}:{}:", stored.stream, stored.sequence);
            tokio::select! {
                result = waiter.result() => Ok(result),
                result = find(earlier, &job) => Ok(result),
            }
        };
        match timeout(wait, waited).await {
            Ok(waited) => waited,
            Err(_) if is_stored.load(Ordering::Relaxed) => Err(SubmitError::TimedOut { id }),
            Err(_) => Err(SubmitError::Unknown { id }),
        }
    }

    fn message(&self, request: JobRequest) -> Result<(JobId, HeaderMap, Bytes), SubmitError> {
        if Handle::try_current().is_err() {
            return Err(SubmitError::NoRuntime);
        }
        if check_subject(&self.subject).is_err() {
            let what = "its subject is none to publish to";
            return Err(SubmitError::Invalid { what });
        }
        // The client makes names of which no two are the same.
        let new_id = || {
            let inbox = self.api.client.new_inbox();
            inbox.rsplit('.').next().unwrap_or_default().to_owned()
        };
        let (id, headers, body) = request
            .into_message(new_id)
            .map_err(|what| SubmitError::Invalid { what })?;
        Ok((JobId::new(&id), headers, body))
    }

    async fn store(
        &self,
        id: &JobId,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Stored, SubmitError> {
        let begun = Instant::now();
        loop {
            let stored = self
                .api
                .store(&self.subject, headers.clone(), body.clone())
                .await;
            match stored {
                Err(ApiError::Silent) if begun.elapsed() < ASKED_FOR => sleep(BETWEEN).await,
                Err(ApiError::Silent) => return Err(SubmitError::Unknown { id: id.clone() }),
                stored => return stored.map_err(|error| self.error(error)),
            }
        }
    }

    fn error(&self, error: ApiError) -> SubmitError {
        match error {
            ApiError::TooLarge => SubmitError::TooLarge,
            ApiError::Refused { code, description } => SubmitError::Refused { code, description },
            ApiError::NoResponders => SubmitError::NoStream {
                subject: self.subject.clone(),
            },
            ApiError::Silent => SubmitError::Refused {
                code: 0,
                description: error.to_string(),
            },
        }
    }

    /// A server that does not answer is asked again for as long as `patience`.
    async fn read(&self, from: ReadFrom, patience: Duration) -> Result<Results, SubmitError> {
        let begun = Instant::now();
        let mut read = self.try_to_read(from).await;
        while matches!(read, Err(ApiError::Silent)) && begun.elapsed() < patience {
            sleep(BETWEEN).await;
            read = self.try_to_read(from).await;
        }
        let subject = self.results_subject();
        let read = read.map_err(|error| self.error(error))?;
        read.ok_or(SubmitError::NoStream { subject })
    }

    /// `None` if no stream has the subject of results.
    async fn try_to_read(&self, from: ReadFrom) -> Result<Option<Results>, ApiError> {
        let subject = self.results_subject();
        match self.api.stream_of(&subject).await? {
            Some(stream) => {
                let read = results::read(self.api.clone(), stream, subject, from);
                read.await.map(Some)
            }
            None => Ok(None),
        }
    }

    fn results_subject(&self) -> String {
        let given = self.results.clone();
        given.unwrap_or_else(|| beside(&self.subject, "results"))
    }

    async fn start_reading(&self, patience: Duration) -> Result<(), SubmitError> {
        let mut reading = self.reading.lock().await;
        if reading.as_ref().is_none_or(ReadingTask::has_ended) {
            let results = self.read(ReadFrom::Now, patience).await?;
            *reading = Some(self.waiters.read(results));
        }
        Ok(())
    }
}

/// The result of this job among all. It never ends if there is none.
async fn find(mut results: Results, job: &str) -> JobResult {
    loop {
        match std::future::poll_fn(|cx| Pin::new(&mut results).poll_next(cx)).await {
            Some(result) if result.unique.starts_with(job) => return result,
            Some(_) => {}
            None => return std::future::pending().await,
        }
    }
}

/// Without the client, which may know secrets.
impl fmt::Debug for Submitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitter")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}
