//! What the actor is told by its workers and its guard.

use std::rc::Rc;
use std::sync::Arc;

use actix::{ActorContext, Context, Handler, Message};

use super::PoolEngine;
use crate::Bytes;
use crate::ExitStatus;
use crate::ProcessHandle;
use crate::host::guard::GuardEvent;
use crate::pool::Pool;
use crate::pool::core::{Answered, JobNumber, WorkerId};
use crate::pool::error::JobError;
use crate::pool::event::PoolEventKind;
use crate::pool::link::WorkerDesk;

#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::pool) enum PoolTold {
    Guard(GuardEvent),
    /// The pool has ended.
    Over,
}

/// What becomes of a worker.
pub(in crate::pool) enum WorkerTold {
    /// There is no child. The last that is told.
    NotSpawned {
        problem: Arc<str>,
        /// Its arguments are longer than the kernel takes.
        too_long: bool,
    },
    Spawned(ProcessHandle, Rc<WorkerDesk>),
    /// It takes jobs, and some ahead or not; how it calls itself.
    Ready {
        name: Arc<str>,
        ahead: bool,
    },
    /// It says that it is loading still.
    Progress,
    /// There is a part of a streamed answer.
    FirstPart(JobNumber),
    Answered(JobNumber, Result<Bytes, JobError>),
    /// It has not begun with this job, which it was sent ahead, and will not.
    GivenBack(JobNumber),
    /// It has taken this checkout.
    CheckedOut(JobNumber),
    /// The whole answer would be larger than it may.
    Overflow(JobNumber),
    /// It does not keep to the framing.
    Wrong {
        /// The job that it was given, and has not answered, or the checkout that it took.
        job: Option<JobNumber>,
        what: Arc<str>,
    },
    /// It has closed its channel, and has exited if there is a status.
    Dying {
        /// As in [`Wrong`](Self::Wrong).
        job: Option<JobNumber>,
        status: Option<ExitStatus>,
        tail: Bytes,
    },
    /// A process of it is alive after its SIGKILL.
    Unkillable,
    /// Nobody is left of it. The last that is told.
    Gone(Box<WorkerEnd>),
}

/// How a worker ended.
pub(in crate::pool) struct WorkerEnd {
    pub(in crate::pool) status: ExitStatus,
    /// By the last step of its ladder.
    pub(in crate::pool) killed: bool,
    /// How many of its group were left.
    pub(in crate::pool) leftovers: usize,
    pub(in crate::pool) tail: Bytes,
}

impl Handler<PoolTold> for Pool {
    type Result = ();

    fn handle(&mut self, told: PoolTold, ctx: &mut Context<Self>) {
        match told {
            PoolTold::Guard(event) => self.with(|engine| engine.guard_told(&event)),
            PoolTold::Over => ctx.stop(),
        }
    }
}

impl PoolEngine {
    pub(in crate::pool) fn worker_told(&mut self, worker: WorkerId, told: WorkerTold) {
        self.tick();
        match told {
            WorkerTold::NotSpawned { problem, too_long } => {
                self.not_spawned(worker, problem, too_long);
            }
            WorkerTold::Spawned(process, desk) => self.spawned(worker, process, desk),
            WorkerTold::Ready { name, ahead } => self.ready(worker, name, ahead),
            WorkerTold::Progress => self.scheduler.worker_progress(worker),
            WorkerTold::FirstPart(job) => self.first_part(worker, job),
            WorkerTold::Answered(job, answer) => self.answered(worker, job, answer),
            WorkerTold::GivenBack(job) => self.given_back(worker, job),
            WorkerTold::CheckedOut(job) => self.took_checkout(worker, job),
            WorkerTold::Overflow(job) => {
                if self.scheduler.over_limit(worker, job) == Answered::Outcome {
                    let limit = self.settings.max_answer;
                    self.finish(job, Err(JobError::TooLarge { limit }));
                }
            }
            WorkerTold::Wrong { job, what } => {
                self.never_got(worker, job);
                self.wrong(worker, what);
            }
            WorkerTold::Dying { job, status, tail } => {
                self.never_got(worker, job);
                self.dying(worker, status, tail);
            }
            WorkerTold::Unkillable => {
                log::warn!(
                    "pool {}: worker {worker} is alive after its SIGKILL",
                    self.settings.name
                );
                self.counters.unkillable += 1;
                self.publish(Some(worker), PoolEventKind::Unkillable);
            }
            WorkerTold::Gone(end) => self.gone(worker, *end),
        }
    }

    fn guard_told(&self, event: &GuardEvent) {
        let name = &self.settings.name;
        let what = match event {
            GuardEvent::NotStarted { error } => {
                log::warn!("pool {name} has no guard yet: {error}");
                PoolEventKind::GuardMissing {
                    problem: error.to_string(),
                }
            }
            GuardEvent::Lost { status } => {
                log::warn!("the guard of pool {name} is gone: {status}");
                let problem = format!("the guard is gone: {status}");
                PoolEventKind::GuardMissing { problem }
            }
            GuardEvent::Failed { error, delay } => {
                return log::warn!("no guard for pool {name}, next try in {delay:?}: {error}");
            }
            GuardEvent::Replaced => PoolEventKind::GuardReplaced,
        };
        self.publish(None, what);
    }
}
