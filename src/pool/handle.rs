//! What a program has of a running pool.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Addr;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::Pool;
use super::access::{LastPoolHandle, PoolAccess};
use super::actor::{Outlet, PoolAsk, Submission};
use super::answer::{Answer, AnswerStream, CancelOnDrop};
use super::error::{JobError, PoolError};
use super::event::PoolEvents;
use super::job::Job;
use super::report::PoolReport;
use super::session::Session;
use super::shared::PoolShared;
use super::stats::PoolStats;
use crate::Command;
use crate::monitor::Follow;
use crate::monitor::Since;

/// A handle of a running [`Pool`]. A clone is a handle of the same pool. It works on any thread, with any runtime or none.
///
/// When the last handle, and the last future that waits for an answer, are dropped, all workers are killed at once, and a warning in the log says so. A
/// program that ends in order calls [`drain`](Self::drain) or [`shutdown`](Self::shutdown) first.
#[derive(Clone)]
pub struct PoolHandle {
    last: Arc<LastPoolHandle>,
}

impl PoolHandle {
    pub(super) fn new(access: PoolAccess) -> Self {
        Self {
            last: Arc::new(LastPoolHandle { access }),
        }
    }

    fn access(&self) -> &PoolAccess {
        &self.last.access
    }

    fn shared(&self) -> &PoolShared {
        &self.access().shared
    }

    /// The pool as an actor, for the messages of [`messages`](super::messages).
    #[must_use]
    pub fn addr(&self) -> Addr<Pool> {
        self.access().address.clone()
    }

    /// Gives the pool a job, now. The future has its one outcome: the whole answer, or why there is none. Dropping the future cancels the job.
    ///
    /// Answers in the order of the jobs, or in that of their ends, are adapters of `futures`:
    ///
    /// ```
    /// use actix_process::Command;
    /// use actix_process::pool::{Job, Pool};
    /// use futures::{StreamExt, TryStreamExt, stream};
    ///
    /// # actix::System::new().block_on(async {
    /// let pool = Pool::one_shot(Command::new("cat")).workers(1..=2).start()?;
    /// let jobs = stream::iter(["a", "b", "c"]).map(|text| pool.submit(Job::new(text)));
    /// // Two at a time, in order. `buffer_unordered` gives them as they come.
    /// let answers: Vec<_> = jobs.buffered(2).try_collect().await?;
    /// assert_eq!(answers, ["a", "b", "c"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// The future's: [`JobError`]. [`JobError::QueueFull`], [`JobError::TooLarge`] and what is wrong with the job itself are there at once.
    pub fn submit(&self, job: impl Into<Job>) -> Answer {
        let job = job.into();
        match self.shared().admit(&job) {
            Ok(place) => self.submitted(job, place),
            Err(error) => Answer::refused(error),
        }
    }

    /// As [`submit`](Self::submit), and waits for a place in a queue that is full. Those who wait get places in their order. Dropping the future
    /// before it has one takes the job back.
    ///
    /// # Errors
    ///
    /// As for [`submit`](Self::submit), without [`JobError::QueueFull`].
    pub async fn submit_wait(&self, job: impl Into<Job>) -> Result<crate::Bytes, JobError> {
        let job = job.into();
        let place = self.shared().admit_later(&job).await?;
        self.submitted(job, place).await
    }

    /// Gives the pool a job, and waits for the first part of its answer, which is a stream of all of them. Dropping the future or the stream cancels the
    /// job.
    ///
    /// # Errors
    ///
    /// As for [`submit`](Self::submit), if the job ends before there is a part. What ends it later is the last item of the stream.
    pub async fn stream(&self, job: impl Into<Job>) -> Result<AnswerStream, JobError> {
        let job = job.into();
        let place = self.shared().admit(&job)?;
        let (chunks, read) = mpsc::channel(self.shared().settings.window);
        let (end, ended) = oneshot::channel();
        let cancel = self.send(job, place, Outlet::Parts { chunks, end });
        AnswerStream::new(read, ended, cancel).begun().await
    }

    /// Waits for a worker that nobody else uses until the [`Session`] is dropped. Dropping the future takes the request back. It waits in the queue as a
    /// job does, and holds its place for as long as it has the worker. No [`job_timeout`](super::Pool::job_timeout) ends it.
    ///
    /// # Errors
    ///
    /// As for [`submit`](Self::submit). [`JobError::Protocol`] in a pool of one-shot processes, which take one job each.
    pub async fn checkout(&self) -> Result<Session, JobError> {
        Session::take(&self.last).await
    }

    /// Waits until there is a place in the queue. Somebody else may take it first.
    ///
    /// # Errors
    ///
    /// [`JobError::ShuttingDown`].
    pub async fn ready_for_more(&self) -> Result<(), JobError> {
        self.shared().wait_for_place().await.map(drop)
    }

    /// How many workers there are at most.
    #[cfg(feature = "nats")]
    pub(crate) fn most_workers(&self) -> usize {
        self.shared().settings.max
    }

    /// How many more jobs the pool would take now.
    #[cfg(feature = "nats")]
    pub(crate) fn free_places(&self) -> usize {
        self.shared().places.available_permits()
    }

    /// How many workers there are, what they do, and how jobs ended.
    ///
    /// # Errors
    ///
    /// [`PoolError::Ended`].
    pub async fn stats(&self) -> Result<PoolStats, PoolError> {
        let (tell, told) = oneshot::channel();
        self.access().tell(PoolAsk::Stats(tell));
        told.await.map_err(|_| PoolError::Ended)
    }

    /// What happens to the pool from now on.
    pub fn events(&self) -> PoolEvents {
        PoolEvents::new(self.shared().events.subscribe(Since::Now))
    }

    /// The lines that a worker prints: those that are kept first, 64 KiB of them, then each as it comes. They end when the worker is gone. The number of a worker is in
    /// the [events](Self::events). Of a worker that is not there: nothing.
    pub fn follow(&self, worker: u64, since: Since) -> Follow {
        self.shared().follow(worker, since)
    }

    /// Another command for the workers. The first one of it is started and must become ready; then the others are replaced, each after its job, a quarter of
    /// them at a time. Jobs go on. The future waits until all are of the new command.
    ///
    /// # Errors
    ///
    /// [`PoolError::Spec`]; [`PoolError::Reload`] if the first one does not become ready: the old ones stay. [`PoolError::Overtaken`] by another reload.
    /// [`PoolError::Ended`].
    pub async fn reload(&self, command: impl Into<Command>) -> Result<(), PoolError> {
        let command = command.into();
        self.shared()
            .settings
            .with_command(command.clone())
            .checked()?;
        let (tell, told) = oneshot::channel();
        self.access().tell(PoolAsk::Reload(Box::new(command), tell));
        told.await.unwrap_or(Err(PoolError::Ended))
    }

    /// Takes no more jobs, lets those that are there run to their end, and ends the workers. At the deadline what is left is killed, and jobs end with
    /// [`JobError::ShuttingDown`].
    pub async fn drain(&self, deadline: Duration) -> PoolReport {
        self.ended_by(|tell| PoolAsk::Drain(deadline, tell)).await
    }

    /// Ends all jobs with [`JobError::ShuttingDown`], and stops the workers by their ladder. At the deadline what is left is killed.
    pub async fn shutdown(&self, deadline: Duration) -> PoolReport {
        self.ended_by(|tell| PoolAsk::Shutdown(deadline, tell))
            .await
    }

    async fn ended_by(
        &self,
        ask: impl FnOnce(oneshot::Sender<PoolReport>) -> PoolAsk,
    ) -> PoolReport {
        let over = self.shared().closing.over();
        let (tell, told) = oneshot::channel();
        self.access().tell(ask(tell));
        match told.await {
            Ok(report) => report,
            // The pool ended before it came to this request.
            Err(_) => over.await,
        }
    }

    /// Resolves when a drain or a shutdown has begun.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared().closing.begun()
    }

    /// Resolves when the pool has ended, in whatever way.
    pub fn closed(&self) -> impl Future<Output = PoolReport> + Send + use<> {
        self.shared().closing.over()
    }

    fn submitted(&self, job: Job, place: OwnedSemaphorePermit) -> Answer {
        let (tell, told) = oneshot::channel();
        let cancel = self.send(job, place, Outlet::Whole(tell));
        Answer::new(told, cancel)
    }

    fn send(&self, job: Job, place: OwnedSemaphorePermit, outlet: Outlet) -> CancelOnDrop {
        let id = self.shared().next_job();
        let at = Instant::now();
        let submission = Submission {
            id,
            job,
            outlet,
            place,
            at,
        };
        self.access().submit(submission);
        CancelOnDrop::new(id, Arc::clone(&self.last))
    }
}

impl fmt::Debug for PoolHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolHandle").finish_non_exhaustive()
    }
}
