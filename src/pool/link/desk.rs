//! What the pool and the task of a worker share: a job goes from the one into the worker's pipe without a wake of the other.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::{Rc, Weak};

use super::commands::CommandSender;
use super::current::CurrentJob;
use super::pipes::AnswerPipe;
use super::sending::WorkerInput;
use super::{LinkCommand, LinkJob};
use crate::pool::core::JobNumber;

/// Whether the worker has nothing to do, and nothing is on its way to its task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum DeskOpen {
    No,
    /// The task waits for something to happen.
    Waits,
    /// The task tells the pool of an answer, and goes on then.
    Tells,
}

/// Of one worker, once its process is there. Whoever borrows a part calls nobody meanwhile.
pub(in crate::pool) struct WorkerDesk {
    /// Whether the pool may give it a job past its task.
    open: Cell<DeskOpen>,
    input: RefCell<WorkerInput>,
    /// The job that the worker has.
    current: RefCell<Option<CurrentJob>>,
    /// Where it answers, if it speaks frames.
    answers: Weak<AnswerPipe>,
}

impl WorkerDesk {
    pub(super) fn new(input: WorkerInput, answers: Weak<AnswerPipe>) -> Self {
        Self {
            open: Cell::new(DeskOpen::No),
            input: RefCell::new(input),
            current: RefCell::new(None),
            answers,
        }
    }

    /// Whether the pool may give it a job past its task.
    pub(super) fn open(&self, open: DeskOpen) {
        self.open.set(open);
    }

    pub(super) fn input(&self) -> RefMut<'_, WorkerInput> {
        self.input.borrow_mut()
    }

    pub(super) fn current(&self) -> RefMut<'_, Option<CurrentJob>> {
        self.current.borrow_mut()
    }

    /// Whether this is the job that the worker has.
    pub(super) fn has(&self, job: JobNumber) -> bool {
        self.current().as_ref().is_some_and(|there| there.id == job)
    }

    /// Writes a job. Gives it back if its task must, or if the worker takes no more, which its task finds out then.
    fn give(&self, job: LinkJob) -> Result<GivenJob, LinkJob> {
        // What it has said already is wrong, or no answer: its task looks at that first.
        let open = self.open.replace(DeskOpen::No);
        let answers = self.answers.upgrade().filter(|_| open != DeskOpen::No);
        let Some(answers) = answers.filter(|answers| !answers.has_some()) else {
            return Err(job);
        };
        let mut input = self.input();
        if input.queued() > 0 || input.send_job(&job).is_err() {
            return Err(job);
        }
        let all = input.queued() == 0;
        drop(input);
        *self.current() = Some(job.into());
        let is_answered = all && answers.look();
        Ok(match open {
            DeskOpen::Waits if is_answered || !all => GivenJob::ForTask,
            _ => GivenJob::All,
        })
    }
}

/// What is left of the gift of a job.
enum GivenJob {
    All,
    /// Its task writes the rest, or reads what came already.
    ForTask,
}

/// The pool's way to a worker.
pub(in crate::pool) struct WorkerLine {
    task: CommandSender,
    /// There as soon as the process is.
    desk: Option<Rc<WorkerDesk>>,
}

impl WorkerLine {
    pub(in crate::pool) const fn new(task: CommandSender) -> Self {
        Self { task, desk: None }
    }

    pub(in crate::pool) fn spawned(&mut self, desk: Rc<WorkerDesk>) {
        self.desk = Some(desk);
    }

    /// Tells the worker's task.
    pub(in crate::pool) fn send(&self, command: LinkCommand) {
        if let Some(desk) = &self.desk {
            desk.open(DeskOpen::No);
        }
        self.task.send(command);
    }

    /// Gives the worker a job. One that is on its way to its end takes none: its end is the loss of the job.
    pub(in crate::pool) fn give(&self, job: LinkJob) {
        let given = match &self.desk {
            Some(desk) => desk.give(job),
            None => Err(job),
        };
        match given {
            Ok(GivenJob::All) => {}
            Ok(GivenJob::ForTask) => self.send(LinkCommand::GoOn),
            Err(job) => self.send(LinkCommand::Job(job)),
        }
    }
}
