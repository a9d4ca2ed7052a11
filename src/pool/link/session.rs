//! A worker that somebody has for himself: what he sends goes to the worker one by one, and what it answers goes to him.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::PollSender;

use super::said::Said;
use crate::Bytes;
use crate::pool::core::JobNumber;
use crate::pool::session_frame::{SessionFrame, WorkerSide};

/// The session that has a worker.
pub(super) struct LinkSession {
    /// The checkout.
    pub(super) job: JobNumber,
    sent: mpsc::Receiver<(JobNumber, Bytes)>,
    reader: PollSender<SessionFrame>,
    /// What waits for room at the reader.
    held: Option<SessionFrame>,
    /// The frame that the worker has not answered to its end.
    current: Option<JobNumber>,
    turns: Arc<Semaphore>,
}

impl LinkSession {
    pub(super) fn new(job: JobNumber, side: WorkerSide) -> Self {
        Self {
            job,
            sent: side.sent,
            reader: PollSender::new(side.frames),
            held: None,
            current: None,
            turns: side.turns,
        }
    }

    /// Until the reader has what the worker said.
    pub(super) fn poll_delivered(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.held.is_some() {
            let room = ready!(self.reader.poll_reserve(cx));
            // A reader that is gone wants nothing.
            if let (Ok(()), Some(frame)) = (room, self.held.take()) {
                let _ = self.reader.send_item(frame);
            }
        }
        Poll::Ready(())
    }

    /// The next frame for the worker, when it has answered the one before. `None` if no more comes.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Option<(JobNumber, Bytes)>> {
        if self.current.is_some() {
            return Poll::Pending;
        }
        let sent = ready!(self.sent.poll_recv(cx));
        // The pool stops a worker that has not answered all.
        let gone = self.reader.get_ref().is_none_or(mpsc::Sender::is_closed);
        let sent = sent.filter(|_| !gone);
        self.current = sent.as_ref().map(|(id, _)| *id);
        Poll::Ready(sent)
    }

    /// Takes an answer. Gives it back if it is none to what was sent.
    pub(super) fn said(&mut self, said: Said) -> Result<(), Said> {
        let (id, last) = match &said {
            Said::Chunk(id, _) | Said::Progress(id, _) => (*id, false),
            Said::End(id, _) | Said::Error(id, _) => (*id, true),
            _ => return Err(said),
        };
        if self.current != Some(id) {
            return Err(said);
        }
        self.held = match said {
            Said::Chunk(_, body) => Some(SessionFrame::Chunk(body)),
            Said::Progress(_, body) => Some(SessionFrame::Progress(body)),
            Said::End(_, body) => Some(SessionFrame::End(body)),
            Said::Error(_, body) => Some(SessionFrame::Error(body)),
            _ => None,
        };
        if last {
            self.current = None;
            self.turns.add_permits(1);
        }
        Ok(())
    }
}

/// Who sends is told that the worker takes no more.
impl Drop for LinkSession {
    fn drop(&mut self) {
        self.turns.close();
    }
}
