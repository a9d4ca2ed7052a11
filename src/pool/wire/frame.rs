//! One frame, and its bytes.

use std::fmt;

use bytes::{BufMut, Bytes};

use super::error::WireError;
use super::kind::FrameKind;
use super::{HEAD, MAX_LOADING, MAX_NAME, VERSION, VERSION_AHEAD};

/// So many bytes of a frame its length counts besides the body: the type and the id.
pub(super) const COUNTED: usize = 9;

impl FrameKind {
    /// Whether a frame of this type may have this id and a body of this length.
    pub(super) fn check(self, id: u64, length: usize) -> Result<(), WireError> {
        let is_of_job = match self {
            Self::Job | Self::Chunk | Self::End | Self::Error | Self::Cancel | Self::Back => {
                Some(true)
            }
            Self::Ready => Some(false),
            Self::Progress | Self::Ping | Self::Pong => None,
        };
        if is_of_job.is_some_and(|is_of_job| is_of_job == (id == 0)) {
            return Err(WireError::WrongId { kind: self, id });
        }
        let what = match self {
            Self::Cancel | Self::Back if length > 0 => "and none is allowed",
            Self::Ready if length == 0 => "and a version belongs there",
            Self::Ready if length > 1 + MAX_NAME => "and a name has at most 128",
            Self::Progress if id == 0 && length > MAX_LOADING => "and at most 256 are allowed",
            _ => return Ok(()),
        };
        Err(WireError::WrongBody {
            kind: self,
            length,
            what,
        })
    }
}

/// What goes over the wire at once. The body is not printed.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::pool) struct Frame {
    pub(in crate::pool) kind: FrameKind,
    /// The job's, or 0.
    pub(in crate::pool) id: u64,
    pub(in crate::pool) body: Bytes,
}

impl Frame {
    pub(in crate::pool) fn new(kind: FrameKind, id: u64, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self { kind, id, body }
    }

    /// A worker's first frame, of one that takes jobs ahead.
    ///
    /// # Errors
    ///
    /// The name has more than 128 bytes.
    pub(in crate::pool) fn ready(name: &str) -> Result<Self, WireError> {
        FrameKind::Ready.check(0, 1 + name.len())?;
        let body = [&[VERSION_AHEAD], name.as_bytes()].concat();
        Ok(Self::new(FrameKind::Ready, 0, body))
    }

    /// Puts the whole frame behind what is in `bytes`, with a copy of the body.
    ///
    /// # Errors
    ///
    /// As [`encode_head`]; nothing is put there then.
    #[cfg(test)]
    pub(in crate::pool) fn encode(&self, bytes: &mut bytes::BytesMut) -> Result<(), WireError> {
        let head = encode_head(self.kind, self.id, self.body.len())?;
        bytes.reserve(HEAD + self.body.len());
        bytes.put_slice(&head);
        bytes.put_slice(&self.body);
        Ok(())
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("kind", &self.kind)
            .field("id", &self.id)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish()
    }
}

/// The bytes before a body of `length` bytes.
///
/// # Errors
///
/// The frame's length would not fit into its 32 bits.
pub(in crate::pool) fn encode_head(
    kind: FrameKind,
    id: u64,
    length: usize,
) -> Result<[u8; HEAD], WireError> {
    let counted = u32::try_from(length.saturating_add(COUNTED));
    let counted = counted.map_err(|_| WireError::TooLong {
        length,
        max: u32::MAX as usize - COUNTED,
    })?;
    let mut head = [0; HEAD];
    let mut space = &mut head[..];
    space.put_u32(counted);
    space.put_u8(kind as u8);
    space.put_u64(id);
    Ok(head)
}

/// What a worker says of itself in `ready`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pool) struct Greeting {
    pub(in crate::pool) name: String,
    /// It may be sent jobs before it has answered the one that it has.
    pub(in crate::pool) takes_ahead: bool,
}

impl Greeting {
    /// From the body of a `ready`.
    ///
    /// # Errors
    ///
    /// Another version than [`VERSION`] and [`VERSION_AHEAD`]; a name that is too long, or not UTF-8.
    pub(in crate::pool) fn parse(body: &[u8]) -> Result<Self, WireError> {
        FrameKind::Ready.check(0, body.len())?;
        let (version, name) = body.split_first().unwrap_or((&0, &[]));
        if !matches!(*version, VERSION | VERSION_AHEAD) {
            return Err(WireError::UnknownVersion(*version));
        }
        let name = str::from_utf8(name).map_err(|_| WireError::NameNotUtf8)?;
        Ok(Self {
            name: name.to_owned(),
            takes_ahead: *version == VERSION_AHEAD,
        })
    }
}
