//! The frames of `Framing::Frames`, as bytes: `docs/wire.md` has the table. Pure: no I/O, no runtime.

mod decoder;
mod error;
mod frame;
mod kind;

#[cfg(test)]
mod tests;

pub(in crate::pool) use decoder::FrameDecoder;
pub(in crate::pool) use error::WireError;
pub(in crate::pool) use frame::{Frame, Greeting, encode_head};
pub(in crate::pool) use kind::FrameKind;

/// The versions of the format, of which a worker names one in its `ready`. One of the second takes jobs ahead.
pub(in crate::pool) const VERSION: u8 = 1;
pub(in crate::pool) const VERSION_AHEAD: u8 = 2;

/// The most bytes that a pipe takes as one packet: PIPE_BUF, pipe(7).
pub(in crate::pool) const MAX_PACKET: usize = 4096;

/// What precedes a body: the length, the type, the job's id.
pub(in crate::pool) const HEAD: usize = 13;

/// The most bytes of a body, unless set.
pub(in crate::pool) const MAX_BODY: usize = 8 * 1024 * 1024;

/// The most bytes of a worker's name.
pub(in crate::pool) const MAX_NAME: usize = 128;

/// The most bytes that a worker that is starting says of its progress at once.
pub(in crate::pool) const MAX_LOADING: usize = 256;
