//! What the pool and the task of a worker share: a job goes from the one into the worker's pipe without a wake of the other.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::io;
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
    /// The jobs that it was sent ahead, in order.
    ahead: RefCell<VecDeque<CurrentJob>>,
    /// Where it answers, if it speaks frames.
    answers: Weak<AnswerPipe>,
}

impl WorkerDesk {
    pub(super) fn new(input: WorkerInput, answers: Weak<AnswerPipe>) -> Self {
        Self {
            open: Cell::new(DeskOpen::No),
            input: RefCell::new(input),
            current: RefCell::new(None),
            ahead: RefCell::default(),
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

    /// The worker has answered its job, and begun with the next one, if it was sent one.
    pub(super) fn begin_next(&self) {
        let next = self.ahead.borrow_mut().pop_front();
        *self.current() = next;
    }

    /// The worker does not do this job, which it was sent ahead. Whether it was.
    pub(super) fn drop_ahead(&self, job: JobNumber) -> bool {
        let mut ahead = self.ahead.borrow_mut();
        let before = ahead.len();
        ahead.retain(|there| there.id != job);
        ahead.len() < before
    }

    /// Sends a job ahead. False if the worker takes none now: it has no job as far as its task knows, or its pipe is full.
    fn send_ahead(&self, job: LinkJob) -> bool {
        if self.current().is_none() || !self.input().send_packet(&job) {
            return false;
        }
        self.ahead.borrow_mut().push_back(CurrentJob {
            was_ahead: true,
            ..job.into()
        });
        true
    }

    /// The job that a worker has which comes to its end: not one that it was sent ahead, and has not even read.
    pub(super) fn last_job(&self) -> Option<JobNumber> {
        let current = self.current().take()?;
        let is_it = |job| job == current.id;
        let unread = current.was_ahead
            && self
                .input()
                .take_back(is_it)
                .is_ok_and(|taken| !taken.is_empty());
        (!unread).then_some(current.id)
    }

    /// Takes back what the worker was sent ahead and has not read.
    fn take_back(&self) -> io::Result<Vec<JobNumber>> {
        let mut ahead = self.ahead.borrow_mut();
        let is_ahead = |job| ahead.iter().any(|there| there.id == job);
        let taken = self.input().take_back(is_ahead)?;
        ahead.retain(|there| !taken.contains(&there.id));
        Ok(taken)
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

    /// Sends the worker a job ahead. False if that cannot be.
    pub(in crate::pool) fn send_ahead(&self, job: LinkJob) -> bool {
        self.desk.as_ref().is_some_and(|desk| desk.send_ahead(job))
    }

    /// Takes back what the worker was sent ahead and has not read.
    ///
    /// # Errors
    ///
    /// No descriptor is left for that.
    pub(in crate::pool) fn take_back(&self) -> io::Result<Vec<JobNumber>> {
        let Some(desk) = &self.desk else {
            return Ok(Vec::new());
        };
        let taken = desk.take_back();
        if desk.input().queued() > 0 {
            self.send(LinkCommand::GoOn);
        }
        taken
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
