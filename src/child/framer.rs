//! What makes messages to a protocol of the bytes of one descriptor.

use std::sync::Arc;

use bytes::Bytes;

use super::Child;
use crate::port::window::Window;

/// Makes lines or frames of bytes. Its user pushes a piece, and takes all messages of it before the next.
pub(crate) trait Framer: Send {
    /// Takes what was read, after [`Sent::NeedsMore`].
    fn push(&mut self, piece: Bytes);
    /// No more comes: what is left is told too.
    fn finish(&mut self);
    /// Queues one message, if there is one, which holds a credit of `window` for the bytes that were used
    /// for it.
    fn send_next(&mut self, child: &Arc<Child>, fd: i32, window: &Arc<Window>) -> Sent;
}

/// What [`Framer::send_next`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// A message, of so many bytes.
    Bytes(usize),
    /// Nothing: more must be pushed, or, after the end, that was all.
    NeedsMore,
    /// Nothing, and there never will be: the bytes are no frames.
    Stuck,
    /// Nothing: the protocol is gone.
    ProtocolGone,
}
