//! The jobs of a pool: what each is, and where its outcome goes.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::PoolEngine;
use super::outlet::{Outlet, Submission};
use crate::Bytes;
use crate::monitor::ExitKind;
use crate::pool::core::{Answered, JobNumber, JobTerms, NoAnswer, Refused, SubmitKind, WorkerId};
use crate::pool::error::JobError;
use crate::pool::link::{self, LinkCommand, LinkJob};

/// A job without an outcome.
pub(super) struct JobEntry {
    pub(super) body: Bytes,
    pub(super) args: Vec<OsString>,
    pub(super) outlet: Outlet,
    /// When it was submitted, and when a worker got it, since the begin of the pool.
    at: Duration,
    pub(super) begun: Option<Duration>,
    /// Its outcome, in place of that which the scheduler tells.
    instead: Option<JobError>,
    /// Given back before its outcome is told.
    place: OwnedSemaphorePermit,
}

impl PoolEngine {
    pub(super) fn submit(&mut self, submission: Submission) {
        let Submission {
            id,
            job,
            outlet,
            place,
            at,
        } = submission;
        // It may have waited for this actor.
        let at = match at == self.now {
            true => self.time,
            false => at.saturating_duration_since(self.began),
        };
        let expires = job.expires.map(|after| at.saturating_add(after));
        let terms = JobTerms {
            urgent: job.urgent,
            key: job.key,
            expires,
            timeout: job.timeout,
            retries: job.retries,
            own_args: !job.args.is_empty(),
            light: matches!(outlet, Outlet::Whole(_)) && link::fits_a_packet(&job.body),
        };
        let kind = match &outlet {
            Outlet::Checkout(_) => SubmitKind::Checkout,
            Outlet::Whole(_) | Outlet::Parts { .. } => SubmitKind::Job,
        };
        self.jobs.insert(
            id,
            JobEntry {
                body: job.body,
                args: job.args,
                outlet,
                at,
                begun: None,
                instead: None,
                place,
            },
        );
        match self.scheduler.submit(id, terms, kind) {
            Ok(()) => {}
            Err(Refused::Down) => self.no_answer(id, NoAnswer::Down),
            Err(Refused::ShuttingDown) => self.no_answer(id, NoAnswer::ShuttingDown),
        }
    }

    /// The one outcome of a job.
    pub(super) fn finish(&mut self, job: JobNumber, outcome: Result<Bytes, JobError>) {
        let Some(done) = self.jobs.remove(&job) else {
            return;
        };
        self.counters
            .outcome(&outcome, done.at, done.begun, self.time);
        if self.stage.has_begun() && !matches!(outcome, Err(JobError::ShuttingDown)) {
            self.counters.finished_in_shutdown += 1;
        }
        // Who hears of it may submit the next one at once.
        drop(done.place);
        // Who waits for it may be gone.
        match done.outlet {
            Outlet::Whole(tell) => drop(tell.send(outcome)),
            Outlet::Parts { chunks, end } => {
                drop(chunks);
                let _ = end.send(outcome);
            }
            Outlet::Checkout(outlet) => {
                if let Err(error) = outcome {
                    let _ = outlet.end.send(error);
                }
            }
        }
    }

    /// Ends a job by this outcome, whatever the scheduler says.
    pub(super) fn end_job(&mut self, job: JobNumber, error: JobError) {
        if let Some(there) = self.jobs.get_mut(&job) {
            there.instead = Some(error);
        }
        self.scheduler.cancel(job);
    }

    pub(super) fn no_answer(&mut self, job: JobNumber, why: NoAnswer) {
        let instead = self.jobs.get_mut(&job).and_then(|job| job.instead.take());
        let error = instead.unwrap_or_else(|| match why {
            NoAnswer::Expired => JobError::Expired,
            NoAnswer::Timeout { ran } => JobError::Timeout { ran },
            NoAnswer::Cancelled => JobError::Cancelled,
            NoAnswer::Lost { worker, attempts } => self.loss(worker, attempts),
            NoAnswer::Poisoned { attempts } => JobError::Poisoned { attempts },
            NoAnswer::Down => JobError::PoolDown {
                last: Arc::clone(&self.last_problem),
            },
            NoAnswer::ShuttingDown => JobError::ShuttingDown,
        });
        self.finish(job, Err(error));
    }

    /// How the worker of a job was lost.
    fn loss(&self, worker: WorkerId, attempts: u32) -> JobError {
        let place = self.workers.get(&worker);
        if let Some(what) = place.and_then(|place| place.wrong.clone()) {
            return JobError::Protocol { what };
        }
        let status = place.and_then(|place| place.status);
        let kind = place.map_or(ExitKind::Unhealthy, |place| place.kind());
        JobError::WorkerLost {
            status,
            kind,
            tail: place.map(|place| place.tail.clone()).unwrap_or_default(),
            over_max_rss: place.is_some_and(|place| place.over_max_rss),
            attempts,
        }
    }

    pub(super) fn answered(
        &mut self,
        worker: WorkerId,
        job: JobNumber,
        answer: Result<Bytes, JobError>,
    ) {
        self.memory.ended_a_job(worker);
        match self.scheduler.answered(worker, job) {
            Answered::Outcome => self.finish(job, answer),
            Answered::Stale => self.counters.stale += 1,
            Answered::OutOfTurn => {
                self.wrong(worker, "an answer to a job that it does not have".into())
            }
        }
    }

    /// Gives a job to its worker.
    pub(super) fn send_job(&mut self, worker: WorkerId, job: JobNumber) {
        self.begun(worker, job);
        let (Some(there), Some(place)) = (self.jobs.get(&job), self.workers.get(&worker)) else {
            return;
        };
        let chunks = match &there.outlet {
            Outlet::Whole(_) | Outlet::Checkout(_) => None,
            Outlet::Parts { chunks, .. } => Some(chunks.clone()),
        };
        place.line.give(LinkJob {
            id: job,
            body: there.body.clone(),
            chunks,
        });
    }

    /// The worker has this job from now on.
    pub(super) fn begun(&mut self, worker: WorkerId, job: JobNumber) {
        if let (Some(there), Some(place)) = (self.jobs.get_mut(&job), self.workers.get_mut(&worker))
        {
            there.begun = Some(self.time);
            place.jobs += 1;
        }
    }

    pub(super) fn tell_cancel(&self, worker: WorkerId, job: JobNumber) {
        if let Some(place) = self.workers.get(&worker) {
            place.line.send(LinkCommand::Cancel(job));
        }
    }

    /// Nothing may be said twice to who reads the parts.
    pub(super) fn first_part(&mut self, worker: WorkerId, job: JobNumber) {
        if self.scheduler.is_doing(worker, job) {
            self.scheduler.forbid_retry(job);
        }
    }
}
