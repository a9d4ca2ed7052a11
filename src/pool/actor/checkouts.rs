//! Workers that somebody has for himself.

use std::sync::Arc;

use super::PoolEngine;
use super::outlet::{CheckedOut, Outlet};
use crate::Bytes;
use crate::pool::core::{JobNumber, WorkerId};
use crate::pool::error::JobError;
use crate::pool::link::LinkCommand;
use crate::pool::session_frame::conversation;

impl PoolEngine {
    /// Checks a worker out. Who waits for it gets it when the worker's task has taken it.
    pub(super) fn checked_out(&mut self, worker: WorkerId, job: JobNumber) {
        let window = self.settings.window;
        let (Some(there), Some(place)) = (self.jobs.get_mut(&job), self.workers.get_mut(&worker))
        else {
            return;
        };
        there.begun = Some(self.time);
        place.jobs += 1;
        let Outlet::Checkout(outlet) = &mut there.outlet else {
            return;
        };
        let (end, side) = conversation(window);
        outlet.lent = Some((worker, Arc::clone(&end.turns)));
        place.line.send(LinkCommand::CheckOut(job, side));
        let pid = place.pid().unwrap_or_default();
        outlet.out = Some(CheckedOut { worker, pid, end });
    }

    /// Gives a worker to the one who waits for it. If nobody does any more, the check-in is on its way.
    pub(super) fn took_checkout(&mut self, worker: WorkerId, job: JobNumber) {
        if let Some(Outlet::Checkout(outlet)) = self.jobs.get_mut(&job).map(|job| &mut job.outlet)
            && let Some(out) = outlet.out.take_if(|out| out.worker == worker)
            && let Some(give) = outlet.give.take()
        {
            let _ = give.send(out);
        }
    }

    /// The worker comes to nothing, and this is all that it has. What was on its way to it waits again.
    pub(super) fn never_got(&mut self, worker: WorkerId, has: Option<JobNumber>) {
        let Some(job) = self.scheduler.never_got(worker, has) else {
            return;
        };
        if let Some(there) = self.jobs.get_mut(&job) {
            there.begun = None;
            if let Outlet::Checkout(outlet) = &mut there.outlet {
                outlet.lent = None;
                outlet.out = None;
            }
        }
    }

    /// Nobody has the worker any more, or waits for one. It is as good as before if it has answered all.
    pub(super) fn check_in(&mut self, job: JobNumber) {
        let Some(Outlet::Checkout(outlet)) = self.jobs.get(&job).map(|job| &job.outlet) else {
            return;
        };
        let Some((worker, turns)) = &outlet.lent else {
            return self.scheduler.cancel(job);
        };
        let worker = *worker;
        let unharmed = turns.available_permits() == self.settings.window;
        let outcome = match unharmed {
            true => Ok(Bytes::new()),
            false => Err(JobError::Cancelled),
        };
        self.finish(job, outcome);
        self.scheduler.checked_in(worker, unharmed);
    }
}
