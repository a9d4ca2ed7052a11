//! What a job must be to have a place in the pool.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, TryAcquireError};

use super::error::JobError;
use super::framing::Framing;
use super::job::Job;
use super::link::is_json;
use super::shared::PoolShared;
use crate::Bytes;

impl PoolShared {
    /// A place for this job, now.
    pub(super) fn admit(&self, job: &Job) -> Result<OwnedSemaphorePermit, JobError> {
        let place = self.check_job(job).and_then(|()| self.place());
        place.map_err(|why| self.refuse(why))
    }

    /// A place for this job, when there is one.
    pub(super) async fn admit_later(&self, job: &Job) -> Result<OwnedSemaphorePermit, JobError> {
        let place = match self.check_job(job) {
            Ok(()) => self.wait_for_place().await,
            Err(why) => Err(why),
        };
        place.map_err(|why| self.refuse(why))
    }

    /// A place for the checkout of a worker, now.
    pub(super) fn admit_checkout(&self) -> Result<OwnedSemaphorePermit, JobError> {
        let place = match self.settings.framing {
            Framing::OneShot => Err(JobError::protocol(
                "a one-shot process takes one job: there is no session with it",
            )),
            _ => self.place(),
        };
        place.map_err(|why| self.refuse(why))
    }

    /// The pool never has this job.
    fn refuse(&self, why: JobError) -> JobError {
        self.refused.count(&why);
        why
    }

    /// What can be said of a job before it has a place.
    fn check_job(&self, job: &Job) -> Result<(), JobError> {
        if self.settings.framing != Framing::OneShot && !job.args.is_empty() {
            return Err(JobError::protocol(
                "only jobs of one-shot pools have arguments",
            ));
        }
        self.check_body(&job.body)?;
        if job
            .args
            .iter()
            .any(|arg| arg.as_encoded_bytes().contains(&0))
        {
            return Err(JobError::protocol("an argument holds a NUL byte"));
        }
        Ok(())
    }

    /// Whether the workers can be sent this.
    pub(super) fn check_body(&self, body: &Bytes) -> Result<(), JobError> {
        let settings = &self.settings;
        if settings.framing != Framing::OneShot && body.len() > settings.max_frame {
            let limit = settings.max_frame;
            return Err(JobError::TooLarge { limit });
        }
        if settings.framing == Framing::JsonLines && !is_json(body) {
            return Err(JobError::protocol("the job is no JSON value"));
        }
        Ok(())
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, JobError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map_err(|error| match error {
            TryAcquireError::NoPermits => JobError::QueueFull {
                limit: self.settings.queue,
            },
            TryAcquireError::Closed => JobError::ShuttingDown,
        })
    }

    pub(super) async fn wait_for_place(&self) -> Result<OwnedSemaphorePermit, JobError> {
        let places = Arc::clone(&self.places);
        places
            .acquire_owned()
            .await
            .map_err(|_| JobError::ShuttingDown)
    }
}
