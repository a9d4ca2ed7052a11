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

/// The version of the format, which a worker names in its `ready`.
pub(in crate::pool) const VERSION: u8 = 1;

/// What precedes a body: the length, the type, the job's id.
pub(in crate::pool) const HEAD: usize = 13;

/// The most bytes of a body, unless set.
pub(in crate::pool) const MAX_BODY: usize = 8 * 1024 * 1024;

/// The most bytes of a worker's name.
pub(in crate::pool) const MAX_NAME: usize = 128;

/// The most bytes that a worker that is starting says of its progress at once.
pub(in crate::pool) const MAX_LOADING: usize = 256;
