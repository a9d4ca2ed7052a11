//! The end of a worker: it is stopped if it does not go, and nobody is left of its group.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::output::OutputPump;
use super::talk::{TalkEnd, WorkerLink};
use super::{LinkCommand, STATUS};
use crate::Ladder;
use crate::ProcessHandle;
use crate::Signal;
use crate::Stopped;
use crate::StoppedBy;
use crate::Unkillable;
use crate::pool::actor::{WorkerEnd, WorkerTold};
use crate::pool::core::StopWorker;

/// A worker whose jobs are over has so long to go by itself.
const RETIRE: Duration = Duration::from_secs(5);

/// How long the death of a process is awaited that did not die of SIGKILL, before it is sent once more.
const PATIENCE: Duration = Duration::from_secs(3600);

impl WorkerLink {
    /// Ends the worker, and tells the pool when it is gone.
    pub(super) async fn end(mut self, end: TalkEnd, mut pump: OutputPump) {
        let session = self.session.take().map(|session| session.job);
        // Who reads the parts of its answer hears of the end now.
        let job = self.desk.last_job();
        let job = job.or(session);
        let own = self.settings.ladder.clone();
        let mut discarding = None;
        let ladder = match end {
            TalkEnd::Closed => {
                let status = actix_rt::time::timeout(STATUS, self.process.exited())
                    .await
                    .ok();
                if status.is_some() {
                    pump.read_out(STATUS).await;
                }
                let tail = pump.printed().tail();
                self.teller.tell(WorkerTold::Dying { job, status, tail });
                own
            }
            TalkEnd::Wrong(what) => {
                self.teller.tell(WorkerTold::Wrong { job, what });
                own
            }
            TalkEnd::Done => own,
            TalkEnd::Stop(StopWorker::Kill) => Ladder::new().kill(),
            TalkEnd::Stop(StopWorker::Ladder) => own,
            TalkEnd::Stop(StopWorker::Retire) => {
                self.desk.input().close();
                // What it says from here on nobody waits for.
                discarding = self.answers.discard();
                match self.gone_by_itself().await {
                    true => own,
                    false => Ladder::new().kill(),
                }
            }
        };
        let discarding = discarding.or_else(|| self.answers.discard());
        let stopped = self.stopped(ladder).await;
        let status = self.process.ended().await;
        let tail = pump.ended().await;
        // Somebody else may hold its pipe open.
        if let Some(discarding) = discarding {
            discarding.abort();
        }
        let worker = self.teller.worker;
        self.shared.kill_all.remove(worker);
        // Who ends the guard after the last worker has it alone.
        if let Some(guard) = self.guard.take() {
            guard.remove(worker);
        }
        self.teller.tell(WorkerTold::Gone(Box::new(WorkerEnd {
            status,
            killed: stopped.by == StoppedBy::Signal(Signal::KILL)
                || self.killed && status.signal() == Some(Signal::KILL),
            leftovers: stopped.outlived,
            tail,
        })));
    }

    /// Waits for a worker that was told that there are no more jobs, unless it is to be killed meanwhile.
    async fn gone_by_itself(&mut self) -> bool {
        let process = self.process.clone();
        let mut exited = pin!(actix_rt::time::timeout(RETIRE, process.exited()));
        let mut writes = true;
        poll_fn(|cx| {
            // What waits for it to read precedes the end of its input.
            writes = writes && self.desk.input().poll_closed(cx).is_pending();
            while let Poll::Ready(command) = self.commands.poll_recv(cx) {
                match command {
                    Some(LinkCommand::Stop(StopWorker::Kill)) | None => return Poll::Ready(false),
                    Some(LinkCommand::Stop(StopWorker::Ladder)) => return Poll::Ready(true),
                    Some(_) => {}
                }
            }
            exited.as_mut().poll(cx).map(|_| true)
        })
        .await
    }

    /// Takes the steps of the ladder until nobody is left.
    async fn stopped(&mut self, ladder: Ladder) -> Stopped {
        let mut ladder = ladder;
        let mut told = false;
        loop {
            match self.step(ladder).await {
                Ok(stopped) if stopped.leftovers.is_empty() => return stopped,
                _ if !told => {
                    told = true;
                    self.teller.tell(WorkerTold::Unkillable);
                }
                _ => {}
            }
            ladder = Ladder::new().signal(Signal::KILL, PATIENCE);
        }
    }

    /// One ladder. When it is to be killed meanwhile, it is.
    async fn step(&mut self, ladder: Ladder) -> Result<Stopped, Unkillable> {
        let mut stopping = Box::pin(self.process.stop(ladder));
        let mut listens = true;
        poll_fn(|cx| {
            while listens && let Poll::Ready(command) = self.commands.poll_recv(cx) {
                match command {
                    Some(LinkCommand::Stop(StopWorker::Kill)) => {
                        self.killed = true;
                        kill(&self.process);
                    }
                    None => {
                        listens = false;
                        kill(&self.process);
                    }
                    Some(_) => {}
                }
            }
            stopping.as_mut().poll(cx)
        })
        .await
    }
}

/// Beside the stop that is under way, which ends with the death.
fn kill(process: &ProcessHandle) {
    let stop = process.stop(Ladder::new().kill());
    actix_rt::spawn(async move {
        let _ = stop.await;
    });
}
