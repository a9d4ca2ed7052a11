//! The job that a worker has, and its answer as far as it came.

use bytes::BytesMut;
use tokio_util::sync::PollSender;

use super::LinkJob;
use crate::Bytes;
use crate::pool::core::JobId;

/// The job that a worker has, and what came of its answer.
pub(super) struct CurrentJob {
    pub(super) id: JobId,
    pub(super) parts: Parts,
    /// Nobody wants the answer any more.
    pub(super) cancelled: bool,
}

pub(super) enum Parts {
    /// What came, and how much that is.
    Whole(Vec<Bytes>, usize),
    Streamed {
        reader: PollSender<Bytes>,
        /// What waits for room.
        held: Option<Bytes>,
        any: bool,
    },
}

impl From<LinkJob> for CurrentJob {
    fn from(job: LinkJob) -> Self {
        let parts = match job.chunks {
            None => Parts::Whole(Vec::new(), 0),
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
        }
    }
}

impl CurrentJob {
    /// How large the whole answer is with its last part. One that is streamed has no limit.
    pub(super) fn size_with(&self, last: &Bytes) -> usize {
        match &self.parts {
            Parts::Whole(_, size) => size.saturating_add(last.len()),
            Parts::Streamed { .. } => 0,
        }
    }

    /// The whole answer, with its last part. What was streamed is with its reader, and the last part follows.
    pub(super) fn whole(self, last: Bytes) -> (JobId, Bytes) {
        let whole = match self.parts {
            Parts::Whole(parts, _) if parts.is_empty() => last,
            Parts::Whole(mut parts, _) if parts.len() == 1 && last.is_empty() => parts.remove(0),
            Parts::Whole(parts, size) => {
                let mut whole = BytesMut::with_capacity(size + last.len());
                parts.iter().for_each(|part| whole.extend_from_slice(part));
                whole.extend_from_slice(&last);
                whole.freeze()
            }
            Parts::Streamed { .. } => last,
        };
        (self.id, whole)
    }
}
