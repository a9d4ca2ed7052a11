//! A job, as a worker's function sees it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use thiserror::Error;

use super::cut;
use super::turns::{PATIENCE, WorkerTurns};
use crate::pool::wire::{Frame, FrameKind};

/// Nobody wants the answer of a job any more: the function may return what it likes, soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the job was cancelled")]
#[non_exhaustive]
pub struct Cancelled;

/// A job that a worker is to do: see [`serve`](super::serve). It may be used by several threads at once.
pub struct WorkerJob {
    pub(super) turns: Arc<WorkerTurns>,
    pub(super) frame: Frame,
    pub(super) begun: Instant,
    /// It has asked whether it is cancelled after its [`PATIENCE`].
    pub(super) is_watched: AtomicBool,
    /// The most bytes of a frame's body.
    pub(super) max: usize,
}

impl WorkerJob {
    /// What the job is: the bytes that the pool's user has submitted.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.frame.body
    }

    /// Sends a part of the answer. What the function returns is the last part. A part of more bytes than the
    /// [maximum of a frame](super::Worker::max_body) is sent in several.
    ///
    /// Waits while the reader of the answer is slow.
    ///
    /// # Errors
    ///
    /// The job was cancelled, or the pool is gone.
    pub fn chunk(&self, part: impl AsRef<[u8]>) -> Result<(), Cancelled> {
        for piece in part.as_ref().chunks(self.max) {
            self.send(FrameKind::Chunk, piece)?;
        }
        Ok(())
    }

    /// Tells that the job goes on, in free text.
    ///
    /// # Errors
    ///
    /// The job was cancelled, or the pool is gone.
    pub fn progress(&self, text: impl AsRef<str>) -> Result<(), Cancelled> {
        let text = cut(text.as_ref(), self.max);
        self.send(FrameKind::Progress, text.as_bytes())
    }

    /// Whether nobody wants the answer any more: the job was cancelled, has run too long, or the pool is gone. This costs no
    /// system call, but for the first one in a job that has run for some milliseconds. It becomes true some milliseconds after the pool's word, also while the
    /// function runs; that first call may be too early for it.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        if !self.is_watched.load(Ordering::Relaxed)
            && self.begun.elapsed() >= PATIENCE
            && !self.is_watched.swap(true, Ordering::Relaxed)
        {
            self.turns.watch_now();
        }
        self.turns.is_cancelled()
    }

    fn send(&self, kind: FrameKind, body: &[u8]) -> Result<(), Cancelled> {
        if self.is_cancelled() {
            return Err(Cancelled);
        }
        // The last frame's write fails for the same reason, and `serve` tells it.
        let sent = self.turns.writer.send(kind, self.frame.id, body);
        sent.map_err(|_| Cancelled)
    }
}

impl fmt::Debug for WorkerJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerJob")
            .field("id", &self.frame.id)
            .field("body", &format_args!("{} bytes", self.body().len()))
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}
