//! What a worker says, whatever its framing.

use std::sync::Arc;

use crate::Bytes;
use crate::pool::core::JobNumber;

/// What comes from a worker.
pub(super) enum Said {
    /// It takes jobs; and its name.
    Ready {
        name: Arc<str>,
        takes_ahead: bool,
    },
    Progress(u64, Bytes),
    Chunk(JobNumber, Bytes),
    End(JobNumber, Bytes),
    Error(JobNumber, Bytes),
    Ping(u64, Bytes),
    Pong,
    /// It has not begun with this job, and will not.
    Back(JobNumber),
    /// A line that is no answer.
    Noise(Bytes),
    /// It does not keep to the framing.
    Wrong(Arc<str>),
    /// It says no more.
    Closed,
}
