//! Jobs that are sent to busy workers ahead, and come back.

use super::PoolEngine;
use crate::pool::core::{Answered, JobNumber, WorkerId};
use crate::pool::link::LinkJob;

impl PoolEngine {
    /// Sends a job ahead, and tells the scheduler if that cannot be. Whether it was sent.
    pub(super) fn send_ahead(&mut self, worker: WorkerId, job: JobNumber) -> bool {
        let there = self.jobs.get(&job).zip(self.workers.get(&worker));
        let sent = there.is_some_and(|(there, place)| {
            place.line.send_ahead(LinkJob {
                id: job,
                body: there.body.clone(),
                chunks: None,
            })
        });
        if !sent {
            self.scheduler.not_sent_ahead(worker, job);
        }
        sent
    }

    /// Brings back what the worker has not read.
    pub(super) fn take_back(&mut self, worker: WorkerId) {
        let Some(place) = self.workers.get(&worker) else {
            return;
        };
        match place.line.take_back() {
            Ok(taken) => self.scheduler.taken_back(worker, &taken),
            Err(error) => {
                let name = &self.settings.name;
                log::debug!("pool {name}: nothing is taken back from worker {worker}: {error}");
                self.scheduler.not_taken_back(worker);
            }
        }
    }

    /// The job is to be cancelled: its worker shall not begin with it.
    pub(super) fn take_back_for(&mut self, job: JobNumber) {
        if let Some(worker) = self.scheduler.is_ahead_at(job) {
            self.take_back(worker);
        }
    }

    pub(super) fn given_back(&mut self, worker: WorkerId, job: JobNumber) {
        if self.scheduler.given_back(worker, job) == Answered::OutOfTurn {
            self.wrong(worker, "it gave back a job that it does not have".into());
        }
    }
}
