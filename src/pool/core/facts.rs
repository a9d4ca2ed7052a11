//! What the driver tells of a worker.

use super::worker::WorkerAt;
use super::{Answered, JobNumber, Recycling, Scheduler, StopWorker, WorkerId};

impl Scheduler {
    /// The worker can take jobs, and some ahead or not. The process of a one-shot worker is there.
    pub(in crate::pool) fn worker_ready(&mut self, worker: WorkerId, takes_ahead: bool) {
        let at = self.worker_state(worker);
        let (Some(WorkerAt::Starting | WorkerAt::StartingFor(_)), Some(there)) =
            (at, self.workers.get_mut(&worker))
        else {
            return;
        };
        there.ready_at = self.now;
        there.takes_ahead = takes_ahead;
        if let Some(WorkerAt::StartingFor(job)) = at {
            self.set_at(worker, WorkerAt::Busy(job));
            self.set_job_due(worker, job);
        } else {
            self.become_idle(worker);
            self.begin_age(worker);
        }
        self.start_succeeded();
        self.prove_the_reload(worker);
    }

    /// A worker that starts says that it goes on: it has its whole time again.
    pub(in crate::pool) fn worker_progress(&mut self, worker: WorkerId) {
        if self.worker_state(worker) == Some(WorkerAt::Starting) {
            let due = self.after(self.terms.ready_within);
            self.set_due(worker, Some(due));
        }
    }

    /// No child came of a start: the worker is gone with that.
    pub(in crate::pool) fn start_failed(&mut self, worker: WorkerId) {
        self.worker_gone(worker);
    }

    /// The worker has given the whole answer to this job. It is the job's outcome, or it is late, or the worker was not asked for it:
    /// then it is [`broken`](Self::broken).
    pub(in crate::pool) fn answered(&mut self, worker: WorkerId, job: JobNumber) -> Answered {
        if self.worker_state(worker) == Some(WorkerAt::StartingFor(job)) {
            self.worker_ready(worker, false);
        }
        match self.worker_state(worker) {
            Some(WorkerAt::Busy(current)) if current == job => {
                self.done(worker);
                self.forget(job);
                Answered::Outcome
            }
            Some(WorkerAt::Cancelling(current)) if current == job => {
                self.done(worker);
                Answered::Stale
            }
            Some(WorkerAt::Stopping(_)) | None => Answered::Stale,
            _ => Answered::OutOfTurn,
        }
    }

    /// Whether this worker does this job for somebody.
    pub(in crate::pool) fn is_doing(&self, worker: WorkerId, job: JobNumber) -> bool {
        matches!(
            self.worker_state(worker),
            Some(WorkerAt::Busy(current) | WorkerAt::CheckedOut(current) | WorkerAt::StartingFor(current))
                if current == job
        )
    }

    /// The answer to this job has become too large. If this is [`Answered::Outcome`], the job ends with that, and the worker is treated as
    /// at a cancel.
    pub(in crate::pool) fn over_limit(&mut self, worker: WorkerId, job: JobNumber) -> Answered {
        if self.is_doing(worker, job) {
            self.forget(job);
            self.abandon(worker, job);
            return Answered::Outcome;
        }
        match self.worker_state(worker) {
            Some(WorkerAt::Cancelling(current)) if current == job => Answered::Stale,
            Some(WorkerAt::Stopping(_)) | None => Answered::Stale,
            _ => Answered::OutOfTurn,
        }
    }

    /// The one who had it for himself gives it back, unharmed or not.
    pub(in crate::pool) fn checked_in(&mut self, worker: WorkerId, unharmed: bool) {
        let Some(WorkerAt::CheckedOut(job)) = self.worker_state(worker) else {
            return;
        };
        if unharmed {
            self.done(worker);
        } else {
            self.stop_worker(worker, StopWorker::Ladder);
        }
        self.forget(job);
    }

    /// The worker is out of step, or says nonsense: it is stopped and replaced, and its job is lost.
    pub(in crate::pool) fn broken(&mut self, worker: WorkerId) {
        // It may have read on, and done what it has read.
        if let Some(there) = self.workers.get_mut(&worker) {
            there.was_stopped = true;
        }
        self.lose(worker, true);
    }

    /// The channel of the worker was closed, or its process was seen to exit. Its job is lost now; it is stopped, and counts until it is
    /// gone.
    pub(in crate::pool) fn worker_dying(&mut self, worker: WorkerId) {
        self.lose(worker, true);
    }

    /// Nobody is left of the worker. A job that it had is lost.
    pub(in crate::pool) fn worker_gone(&mut self, worker: WorkerId) {
        self.lose(worker, false);
        self.remove_worker(worker);
    }

    /// The memory of the worker is above its bound. The soft one: it is recycled after its job. The hard one (`at_once`): it is stopped
    /// at once, and a job that it has is lost, although the recycling itself is no failure of the worker.
    pub(in crate::pool) fn too_large(&mut self, worker: WorkerId, at_once: bool) {
        if at_once {
            self.recycle_at_once(worker, Recycling::Memory);
        } else {
            self.mark(worker, Recycling::Memory);
        }
    }

    /// It has done its job.
    fn done(&mut self, worker: WorkerId) {
        self.idle_deaths = 0;
        self.refill_at = std::time::Duration::ZERO;
        let Some(there) = self.workers.get_mut(&worker) else {
            return;
        };
        there.jobs = there.jobs.saturating_add(1);
        if self.terms.one_shot {
            // It ends by itself.
            self.set_at(worker, WorkerAt::Stopping(StopWorker::Retire));
        } else if there.jobs >= there.max_jobs {
            self.mark(worker, Recycling::Jobs);
            self.set_at(worker, WorkerAt::Spent);
        } else if !self.begin_next(worker) {
            self.become_idle(worker);
        }
    }
}
