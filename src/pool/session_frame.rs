//! What a worker says in a session, and what it is sent: as the session and the worker's task hand it to each other.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::core::JobNumber;
use crate::Bytes;

/// What a worker answers to what a [`Session`](super::Session) has sent, in the order of the sends: any number of `Chunk` and `Progress`, then one `End` or `Error`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionFrame {
    /// A part of the answer; more follows.
    Chunk(Bytes),
    /// The worker says that it goes on, and what it likes besides. It is no part of the answer. Only of [`Framing::Frames`](super::Framing::Frames).
    Progress(Bytes),
    /// The last part of the answer, which may be empty.
    End(Bytes),
    /// The worker says that it failed. It is well, and takes the next frame.
    Error(Bytes),
}

/// No content of answers.
impl std::fmt::Debug for SessionFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, body) = match self {
            Self::Chunk(body) => ("Chunk", body),
            Self::Progress(body) => ("Progress", body),
            Self::End(body) => ("End", body),
            Self::Error(body) => ("Error", body),
        };
        let bytes = format_args!("{} bytes", body.len());
        f.debug_tuple(name).field(&bytes).finish()
    }
}

/// The session's end of a conversation.
pub(super) struct SessionEnd {
    pub(super) sent: mpsc::Sender<(JobNumber, Bytes)>,
    pub(super) frames: mpsc::Receiver<SessionFrame>,
    /// One for each frame that may be unanswered. It is closed when the worker takes no more.
    pub(super) turns: Arc<Semaphore>,
}

/// The worker's end of it.
pub(super) struct WorkerSide {
    pub(super) sent: mpsc::Receiver<(JobNumber, Bytes)>,
    pub(super) frames: mpsc::Sender<SessionFrame>,
    pub(super) turns: Arc<Semaphore>,
}

/// Both ends of a conversation in which so many frames may be unanswered, and as many answers unread.
pub(super) fn conversation(window: usize) -> (SessionEnd, WorkerSide) {
    let (send, sent) = mpsc::channel(window);
    let (say, frames) = mpsc::channel(window);
    let turns = Arc::new(Semaphore::new(window));
    let session = SessionEnd {
        sent: send,
        frames,
        turns: Arc::clone(&turns),
    };
    let worker = WorkerSide {
        sent,
        frames: say,
        turns,
    };
    (session, worker)
}
