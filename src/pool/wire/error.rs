//! What is wrong with a frame.

use thiserror::Error;

use super::kind::FrameKind;

/// Why bytes are no frame that may come here. What follows them cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(in crate::pool) enum WireError {
    #[error("a frame's length is {length}: it is at least 9")]
    TooShort { length: u32 },
    #[error("a frame's body has {length} bytes, and at most {max} are taken")]
    TooLong { length: usize, max: usize },
    #[error("a frame has the unknown type {0}")]
    UnknownKind(u8),
    #[error("a frame `{0}` goes the other way")]
    WrongWay(FrameKind),
    #[error("a frame `{kind}` has the id {id}: {}", if *.id == 0 { "0 is no job's" } else { "its id is 0" })]
    WrongId { kind: FrameKind, id: u64 },
    #[error("a frame `{kind}` has a body of {length} bytes, {what}")]
    WrongBody {
        kind: FrameKind,
        length: usize,
        what: &'static str,
    },
    #[error("the worker speaks version {0} of the format, not 1 or 2")]
    UnknownVersion(u8),
    #[error("the worker's name is not UTF-8")]
    NameNotUtf8,
    #[error("the frames end in the middle of one, after {received} of its bytes")]
    Cut { received: usize },
}
