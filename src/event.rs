//! What a protocol is told.

use bytes::Bytes;

use crate::line::Line;
use crate::status::ExitStatus;

/// One event in the life of a child. The crate's documentation has the [rules](crate#delivery-rules)
/// of their order. `Debug` shows what the child wrote; the crate never logs it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessEvent {
    /// The child runs. This is the first event, once. The crate begins to read for the protocol when this event
    /// was handled.
    ConnectionMade,
    /// The child, or a descendant that holds its pipe, wrote to `fd`.
    ChildDataReceived {
        /// The child's descriptor.
        fd: i32,
        /// What it wrote, in the pieces in which it was read. A slice that is kept holds on to at
        /// most one read buffer (64 KiB); copy data that is kept for long.
        data: Bytes,
    },
    /// The child wrote a line to `fd`, which its command made [`Fd::lines`](crate::Fd::lines).
    ChildLineReceived {
        /// The child's descriptor.
        fd: i32,
        /// The line, or a piece of one.
        line: Line,
    },
    /// `fd` is closed. Once for each piped descriptor; no data of it follows.
    ChildConnectionLost {
        /// The child's descriptor.
        fd: i32,
        /// Why.
        reason: CloseReason,
    },
    /// The child has exited and was reaped. Data and closes may follow, since a
    /// descendant may hold the pipes.
    ProcessExited {
        /// How it ended.
        status: ExitStatus,
    },
    /// The child was reaped and all its pipes are closed. This is the last event, once.
    ProcessEnded {
        /// How it ended, as in `ProcessExited`.
        status: ExitStatus,
    },
}

/// Why a descriptor was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The child, or the last process that held the other end, closed it: end of file when reading, a broken pipe when
    /// writing. What was queued for writing is dropped.
    ByChild,
    /// This side closed it; what was queued for writing was written before.
    ByParent,
    /// This side closed it by [`abort`](crate::ProcessHandle::abort): the queue was dropped.
    Aborted,
    /// [`ended_timeout`](crate::Command::ended_timeout) ran out while a descendant of the dead child
    /// held the other end, or a stream was not taken; or
    /// [`cut_connection`](crate::ProcessHandle::cut_connection) was called. What the pipe held then was
    /// read; what may have been written later is lost.
    Cut,
    /// Reading or writing failed with this errno. EBADMSG: the decoder of a
    /// [`FramedProtocol`](crate::FramedProtocol) could not go on.
    Failed {
        /// The kernel's error number.
        errno: i32,
    },
    /// The crate's actor for this descriptor is gone: it panicked, its arbiter stopped, or the child was
    /// orphaned.
    Gone,
}
