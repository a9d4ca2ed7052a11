//! The conversation with a worker: one job at a time, until the worker says no more, or is to be stopped.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_rt::time::Sleep;
use tokio::task::coop::poll_proceed;

use super::answers::Answers;
use super::commands::CommandReceiver;
use super::current::{CurrentJob, Parts, WholeParts};
use super::desk::{DeskOpen, WorkerDesk};
use super::output::OutputPump;
use super::said::Said;
use super::session::LinkSession;
use super::{LinkCommand, LinkJob, STATUS, Teller};
use crate::Bytes;
use crate::ExitStatus;
use crate::ProcessHandle;
use crate::host::guard::Guard;
use crate::pool::actor::WorkerTold;
use crate::pool::core::{JobNumber, StopWorker};
use crate::pool::error::JobError;
use crate::pool::framing::Framing;
use crate::pool::settings::{DRAIN, PoolSettings};
use crate::pool::shared::PoolShared;
use crate::pool::wire::FrameKind;

/// A worker that runs.
pub(super) struct WorkerLink {
    pub(super) teller: Teller,
    pub(super) process: ProcessHandle,
    pub(super) desk: Rc<WorkerDesk>,
    /// It has closed its input: its answer, if it had read its job before, is awaited so long.
    input_gone: Option<Pin<Box<Sleep>>>,
    pub(super) answers: Answers,
    pub(super) settings: Rc<PoolSettings>,
    pub(super) shared: Arc<PoolShared>,
    pub(super) guard: Option<Rc<Guard>>,
    pub(super) commands: CommandReceiver,
    early: std::vec::IntoIter<LinkCommand>,
    exited: Pin<Box<dyn Future<Output = ExitStatus>>>,
    ready: bool,
    /// Who has it for himself.
    pub(super) session: Option<LinkSession>,
    /// What it said without a job went before the last look for a command.
    said_first: bool,
    /// A one-shot process has written all that it will.
    wrote_all: bool,
    /// It has exited, and the pipe of its answers is read for so long: somebody else may hold it open.
    cut: Option<Pin<Box<Sleep>>>,
    /// It was killed in the midst of its ladder.
    pub(super) killed: bool,
}

/// How a conversation ended.
pub(super) enum TalkEnd {
    /// The worker says no more.
    Closed,
    /// It does not keep to the framing.
    Wrong(Arc<str>),
    /// The pool wants it to end.
    Stop(StopWorker),
    /// Its only job has its outcome, and it is gone.
    Done,
}

enum TalkEvent {
    Command(Option<LinkCommand>),
    Said(Said),
    /// The next frame of a session, or its end.
    Sent(Option<(JobNumber, Bytes)>),
    /// The worker has closed the descriptor of its jobs.
    InputClosed,
    /// A one-shot process has exited, and all that it wrote was read.
    Exited(ExitStatus),
}

impl WorkerLink {
    pub(super) fn new(
        teller: Teller,
        (process, desk): (ProcessHandle, Rc<WorkerDesk>),
        answers: Answers,
        (settings, shared, guard): (Rc<PoolSettings>, Arc<PoolShared>, Option<Rc<Guard>>),
        (early, commands): (Vec<LinkCommand>, CommandReceiver),
    ) -> Self {
        Self {
            exited: Box::pin(process.exited()),
            input_gone: None,
            teller,
            process,
            desk,
            answers,
            ready: settings.framing != Framing::Frames,
            settings,
            shared,
            guard,
            commands,
            early: early.into_iter(),
            session: None,
            said_first: false,
            wrote_all: false,
            cut: None,
            killed: false,
        }
    }

    /// Until it is over.
    pub(super) async fn talk(&mut self, pump: &mut OutputPump) -> TalkEnd {
        loop {
            let event = poll_fn(|cx| self.poll_event(cx)).await;
            let end = match event {
                // The pool is gone.
                TalkEvent::Command(None) => Some(TalkEnd::Stop(StopWorker::Kill)),
                TalkEvent::Command(Some(LinkCommand::Stop(how))) => Some(TalkEnd::Stop(how)),
                TalkEvent::Command(Some(LinkCommand::Job(job))) => self.begin(job),
                TalkEvent::Command(Some(LinkCommand::Cancel(job))) => self.cancel(job),
                TalkEvent::Command(Some(LinkCommand::GoOn)) => None,
                TalkEvent::Command(Some(LinkCommand::CheckOut(job, side))) => {
                    self.session = Some(LinkSession::new(job, side));
                    self.teller.tell(WorkerTold::CheckedOut(job));
                    None
                }
                TalkEvent::Sent(sent) => {
                    self.send_of_the_session(sent);
                    None
                }
                TalkEvent::Said(Said::Closed) if self.is_one_shot() => {
                    self.wrote_all = true;
                    None
                }
                TalkEvent::Said(Said::Closed) => Some(TalkEnd::Closed),
                TalkEvent::Said(Said::Noise(line)) => {
                    pump.printed().data(1, &line);
                    None
                }
                TalkEvent::Said(said) => self.said(said).err().map(TalkEnd::Wrong),
                TalkEvent::InputClosed => Some(TalkEnd::Closed),
                TalkEvent::Exited(status) => Some(self.one_shot_exited(status, pump).await),
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// While there is nothing the pool may give a job to the worker past this task.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TalkEvent> {
        self.desk.open(DeskOpen::No);
        // A worker on the same CPU may have answered whenever this looks: others have their turn all the same.
        let budget = ready!(poll_proceed(cx));
        let event = self.poll_any(cx);
        if event.is_ready() {
            budget.made_progress();
        }
        if event.is_pending() && self.ready && self.session.is_none() && self.has_no_job() {
            self.desk.open(DeskOpen::Waits);
        }
        event
    }

    fn poll_any(&mut self, cx: &mut Context<'_>) -> Poll<TalkEvent> {
        if let Some(command) = self.early.next() {
            return Poll::Ready(TalkEvent::Command(Some(command)));
        }
        // What a worker without a job has said already is wrong, or no answer: no job is given to one that is out of step. A flood of that
        // holds up no command.
        let has_none = self.has_no_job() && self.session.is_none() && !self.is_one_shot();
        self.said_first = has_none && !self.said_first;
        if self.said_first
            && let Poll::Ready(said) = self.answers.poll_said(cx)
        {
            return Poll::Ready(TalkEvent::Said(said));
        }
        self.said_first = false;
        if let Poll::Ready(command) = self.commands.poll_recv(cx) {
            return Poll::Ready(TalkEvent::Command(command));
        }
        if let Some(CurrentJob {
            parts: Parts::Streamed { reader, held, .. },
            ..
        }) = &mut *self.desk.current()
            && held.is_some()
        {
            match reader.poll_reserve(cx) {
                Poll::Pending => return Poll::Pending,
                // A reader that is gone has cancelled the job.
                Poll::Ready(Err(_)) => *held = None,
                Poll::Ready(Ok(())) => {
                    if let Some(part) = held.take() {
                        let _ = reader.send_item(part);
                    }
                }
            }
        }
        if let Some(session) = &mut self.session {
            ready!(session.poll_delivered(cx));
            if let Poll::Ready(sent) = session.poll_sent(cx) {
                return Poll::Ready(TalkEvent::Sent(sent));
            }
        }
        if self.is_one_shot() && (self.has_no_job() || self.wrote_all) {
            // A spare that ends before it has a job is one that is lost.
            return self.exited.as_mut().poll(cx).map(TalkEvent::Exited);
        }
        if let Poll::Ready(said) = self.answers.poll_said(cx) {
            return Poll::Ready(TalkEvent::Said(said));
        }
        if !self.is_one_shot() && self.poll_cut(cx).is_ready() {
            return Poll::Ready(TalkEvent::Said(Said::Closed));
        }
        self.poll_input(cx)
    }

    /// Ready when the worker has exited, and time enough was left for what it had said.
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.cut.is_none() {
            ready!(self.exited.as_mut().poll(cx));
        }
        let cut = || Box::pin(actix_rt::time::sleep(DRAIN));
        self.cut.get_or_insert_with(cut).as_mut().poll(cx)
    }

    fn send_of_the_session(&mut self, sent: Option<(JobNumber, Bytes)>) {
        match sent {
            Some((id, body)) => {
                let job = LinkJob {
                    id,
                    body,
                    chunks: None,
                };
                // A worker that has closed it is told by its end.
                let _ = self.desk.input().send_job(&job);
            }
            None => self.session = None,
        }
    }

    /// Ready when no job can be given to it any more. What it has answered may be on its way.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<TalkEvent> {
        if self.input_gone.is_none() {
            ready!(self.desk.input().poll_gone(cx));
        }
        let grace = self
            .input_gone
            .get_or_insert_with(|| Box::pin(actix_rt::time::sleep(STATUS)));
        if self.desk.current().is_some() {
            ready!(grace.as_mut().poll(cx));
        }
        Poll::Ready(TalkEvent::InputClosed)
    }

    fn has_no_job(&self) -> bool {
        self.desk.current().is_none()
    }

    fn begin(&mut self, job: LinkJob) -> Option<TalkEnd> {
        // The pool has the worker back.
        self.session = None;
        if self.desk.input().send_job(&job).is_err() {
            return Some(TalkEnd::Closed);
        }
        *self.desk.current() = Some(job.into());
        None
    }

    /// Tells the worker that nobody wants its answer. One that it has given meanwhile is on its way to the pool.
    fn cancel(&mut self, job: JobNumber) -> Option<TalkEnd> {
        let mut current = self.desk.current();
        let current = current.as_mut().filter(|current| current.id == job)?;
        current.cancelled = true;
        current.parts = Parts::Whole(WholeParts::default());
        let _ = self
            .desk
            .input()
            .send(FrameKind::Cancel, job, &Bytes::new());
        None
    }

    fn said(&mut self, said: Said) -> Result<(), Arc<str>> {
        let said = match &mut self.session {
            Some(session) => match session.said(said) {
                Ok(()) => return Ok(()),
                Err(said) => said,
            },
            None => said,
        };
        match said {
            Said::Ready { name, takes_ahead } if !self.ready => {
                self.ready = true;
                let ahead = takes_ahead && self.desk.input().begin_packets();
                self.teller.tell(WorkerTold::Ready { name, ahead });
            }
            Said::Ready { .. } => return Err("it said twice that it is ready".into()),
            Said::Progress(0, _) if !self.ready => self.teller.tell(WorkerTold::Progress),
            Said::Ping(id, body) => {
                let max = self.settings.max_frame;
                let sent = self.desk.input().send_pong(id, &body, max);
                sent.map_err(|_| "it sends pings, and does not read the answers")?;
            }
            Said::Wrong(what) => return Err(what),
            _ if !self.ready => return Err("it answered before it was ready".into()),
            Said::Progress(id, _) => self.desk.has(id).then_some(()).ok_or_else(not_its_job)?,
            Said::Chunk(id, part) => self.part(id, part)?,
            Said::End(id, part) => {
                let current = self.take(id)?;
                let answer = if current.size_with(&part) > self.settings.max_answer {
                    Err(JobError::TooLarge {
                        limit: self.settings.max_answer,
                    })
                } else {
                    Ok(current.whole(part).1)
                };
                self.answered(id, answer);
            }
            Said::Error(id, error) => {
                self.take(id)?;
                self.answered(id, Err(JobError::Remote(error)));
            }
            Said::Back(id) => {
                let there = self.desk.drop_ahead(id);
                there.then_some(()).ok_or_else(not_sent_ahead)?;
                self.teller.tell(WorkerTold::GivenBack(id));
            }
            Said::Pong | Said::Noise(_) | Said::Closed => {}
        }
        Ok(())
    }

    /// If the worker has said no more, and the pool nothing, the next job may go to it from there.
    pub(super) fn answered(&self, job: JobNumber, answer: Result<Bytes, JobError>) {
        let rests = self.answers.is_read_out() && self.commands.is_empty() && self.has_no_job();
        if rests && self.session.is_none() {
            self.desk.open(DeskOpen::Tells);
        }
        self.teller.tell(WorkerTold::Answered(job, answer));
        self.desk.open(DeskOpen::No);
    }

    /// A part of the answer. One of a one-shot process is of the job that it has.
    fn part(&mut self, id: JobNumber, part: Bytes) -> Result<(), Arc<str>> {
        let one_shot = self.is_one_shot();
        let mut desk = self.desk.current();
        let Some(current) = desk.as_mut().filter(|current| one_shot || current.id == id) else {
            return Err(not_its_job());
        };
        if current.cancelled {
            return Ok(());
        }
        let id = current.id;
        let tell = match &mut current.parts {
            Parts::Whole(parts) => {
                let overflows = parts.push(part) > self.settings.max_answer;
                if overflows {
                    *parts = WholeParts::default();
                    current.cancelled = true;
                }
                overflows.then_some(WorkerTold::Overflow(id))
            }
            Parts::Streamed { held, any, .. } => {
                *held = Some(part);
                (!mem::replace(any, true)).then_some(WorkerTold::FirstPart(id))
            }
        };
        drop(desk);
        if let Some(tell) = tell {
            self.teller.tell(tell);
        }
        Ok(())
    }

    /// The job of an answer, which is over with that. The worker has begun with the next one, if it was sent one ahead.
    fn take(&mut self, id: JobNumber) -> Result<CurrentJob, Arc<str>> {
        let taken = self.desk.current().take_if(|current| current.id == id);
        let taken = taken.ok_or_else(not_its_job)?;
        self.desk.begin_next();
        Ok(taken)
    }
}

fn not_sent_ahead() -> Arc<str> {
    "it gave back a job that it was not sent ahead".into()
}

fn not_its_job() -> Arc<str> {
    "an answer to a job that it does not have".into()
}
