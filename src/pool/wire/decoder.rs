//! Bytes to frames.

use bytes::{Buf, Bytes, BytesMut};

use super::HEAD;
use super::error::WireError;
use super::frame::{COUNTED, Frame};
use super::kind::FrameKind;

/// A body of at most so many bytes is copied out of what was read: that costs less than a share of it, and one that is kept for long would hold on to
/// all that was read with it.
const COPIED: usize = 4 * 1024;

/// From whom the bytes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FrameSender {
    Pool,
    Worker,
}

/// Takes frames off the front of bytes.
///
/// What may not be is refused as soon as the bytes that say so are there: the length by the first four. No memory is reserved here
/// for what a length promises, so what waits for the rest of a frame is no more than what has arrived. Large bodies are split off without
/// a copy. After an error the bytes are as they were, and each further call gives the same error.
#[derive(Debug, Clone)]
pub(in crate::pool) struct FrameDecoder {
    max: usize,
    sender: FrameSender,
}

impl FrameDecoder {
    /// For what a worker writes. `max`: the most bytes of a body.
    pub(in crate::pool) const fn from_worker(max: usize) -> Self {
        let sender = FrameSender::Worker;
        Self { max, sender }
    }

    /// For what a pool writes. `max`: the most bytes of a body.
    pub(in crate::pool) const fn from_pool(max: usize) -> Self {
        let sender = FrameSender::Pool;
        Self { max, sender }
    }

    /// The next frame; `None` while it is not whole.
    ///
    /// # Errors
    ///
    /// The bytes begin with no frame that may come from there.
    pub(in crate::pool) fn decode(&self, bytes: &mut BytesMut) -> Result<Option<Frame>, WireError> {
        let Some(head) = self.head(bytes)? else {
            return Ok(None);
        };
        if head.body <= COPIED {
            let frame = head.frame(bytes);
            if frame.is_some() {
                bytes.advance(HEAD + head.body);
            }
            return Ok(frame);
        }
        if bytes.len() - HEAD < head.body {
            return Ok(None);
        }
        bytes.advance(HEAD);
        let body = bytes.split_to(head.body).freeze();
        Ok(Some(Frame {
            kind: head.kind,
            id: head.id,
            body,
        }))
    }

    /// The same with a copy of the body, and behind how many bytes the next frame begins.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode).
    pub(in crate::pool) fn decode_copied(
        &self,
        bytes: &[u8],
    ) -> Result<Option<(Frame, usize)>, WireError> {
        let head = self.head(bytes)?;
        Ok(head.and_then(|head| Some((head.frame(bytes)?, HEAD + head.body))))
    }

    /// What precedes the next body; `None` while it is not whole.
    fn head(&self, mut rest: &[u8]) -> Result<Option<FrameHead>, WireError> {
        let Ok(length) = rest.try_get_u32() else {
            return Ok(None);
        };
        let Some(body) = (length as usize).checked_sub(COUNTED) else {
            return Err(WireError::TooShort { length });
        };
        if body > self.max {
            return Err(WireError::TooLong {
                length: body,
                max: self.max,
            });
        }
        let Ok(kind) = rest.try_get_u8() else {
            return Ok(None);
        };
        let kind = FrameKind::of(kind).ok_or(WireError::UnknownKind(kind))?;
        let may_come = match self.sender {
            FrameSender::Pool => kind.is_to_worker(),
            FrameSender::Worker => kind.is_from_worker(),
        };
        if !may_come {
            return Err(WireError::WrongWay(kind));
        }
        let Ok(id) = rest.try_get_u64() else {
            return Ok(None);
        };
        kind.check(id, body)?;
        Ok(Some(FrameHead { kind, id, body }))
    }

    /// To be asked when no more bytes come and no frame is left.
    ///
    /// # Errors
    ///
    /// A frame has begun.
    pub(in crate::pool) fn check_end(&self, bytes: &BytesMut) -> Result<(), WireError> {
        match bytes.len() {
            0 => Ok(()),
            received => Err(WireError::Cut { received }),
        }
    }
}

/// What precedes a body.
struct FrameHead {
    kind: FrameKind,
    id: u64,
    /// How many bytes the body has.
    body: usize,
}

impl FrameHead {
    /// The frame, whose body is copied; `None` while it is not whole.
    fn frame(&self, bytes: &[u8]) -> Option<Frame> {
        let body = bytes.get(HEAD..)?.get(..self.body)?;
        Some(Frame {
            kind: self.kind,
            id: self.id,
            body: Bytes::copy_from_slice(body),
        })
    }
}
