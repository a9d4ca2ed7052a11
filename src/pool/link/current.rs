//! The job that a worker has, and its answer as far as it came.

use bytes::BytesMut;
use tokio_util::sync::PollSender;

use super::LinkJob;
use crate::Bytes;
use crate::pool::core::JobNumber;

/// A part of at most so many bytes is copied to those before it: kept by itself it takes some 60 bytes more.
const JOINED: usize = 4 * 1024;

/// The job that a worker has, and what came of its answer.
pub(super) struct CurrentJob {
    pub(super) id: JobNumber,
    pub(super) parts: Parts,
    /// Nobody wants the answer any more.
    pub(super) cancelled: bool,
    /// It was in the worker's pipe before the worker was done with the job before.
    pub(super) was_ahead: bool,
}

pub(super) enum Parts {
    /// What came.
    Whole(WholeParts),
    Streamed {
        reader: PollSender<Bytes>,
        /// What waits for room.
        held: Option<Bytes>,
        any: bool,
    },
}

/// The parts of an answer that goes out as a whole. They take hardly more memory than what is in them, however small they are.
#[derive(Default)]
pub(super) struct WholeParts {
    parts: Vec<Bytes>,
    /// Small ones that came last, joined.
    joined: BytesMut,
    /// How much all of them have.
    size: usize,
}

impl WholeParts {
    /// Takes the next part; how much there is then.
    pub(super) fn push(&mut self, part: Bytes) -> usize {
        self.size = self.size.saturating_add(part.len());
        if part.len() <= JOINED {
            self.joined.extend_from_slice(&part);
        } else {
            self.end_joined();
            self.parts.push(part);
        }
        self.size
    }

    fn end_joined(&mut self) {
        if !self.joined.is_empty() {
            self.parts.push(self.joined.split().freeze());
        }
    }

    fn whole(mut self, last: Bytes) -> Bytes {
        if self.size == 0 {
            return last;
        }
        self.end_joined();
        if last.is_empty() && self.parts.len() == 1 {
            return self.parts.pop().unwrap_or_default();
        }
        let mut whole = BytesMut::with_capacity(self.size + last.len());
        self.parts
            .iter()
            .for_each(|part| whole.extend_from_slice(part));
        whole.extend_from_slice(&last);
        whole.freeze()
    }
}

impl From<LinkJob> for CurrentJob {
    fn from(job: LinkJob) -> Self {
        let parts = match job.chunks {
            None => Parts::Whole(WholeParts::default()),
            Some(reader) => Parts::Streamed {
                reader: PollSender::new(reader),
                held: None,
                any: false,
            },
        };
        Self {
            id: job.id,
            parts,
            cancelled: false,
            was_ahead: false,
        }
    }
}

impl CurrentJob {
    /// How large the whole answer is with its last part. One that is streamed has no limit.
    pub(super) fn size_with(&self, last: &Bytes) -> usize {
        match &self.parts {
            Parts::Whole(parts) => parts.size.saturating_add(last.len()),
            Parts::Streamed { .. } => 0,
        }
    }

    /// The whole answer, with its last part. What was streamed is with its reader, and the last part follows.
    pub(super) fn whole(self, last: Bytes) -> (JobNumber, Bytes) {
        let whole = match self.parts {
            Parts::Whole(parts) => parts.whole(last),
            Parts::Streamed { .. } => last,
        };
        (self.id, whole)
    }
}
