//! Between a reader and a protocol that gets lines or frames: what was read and is no message yet.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use nix::libc;

use crate::child::framer::{Framer, Sent};
use crate::child::{Child, EventSink};
use crate::event::{CloseReason, ProcessEvent};
use crate::port::line_splitter::LineSplitter;
use crate::port::window::Window;

/// Holds one read at most, and what its framer keeps of an unfinished line or frame. Each message takes its bytes'
/// share of the window; what is held has none, but the next read waits until it is used up.
pub(crate) struct FdFraming {
    window: Arc<Window>,
    framer: Box<dyn Framer>,
    /// The framer may have more messages.
    busy: bool,
    /// No more is read, for this reason; it is told when all messages are sent.
    ending: Option<CloseReason>,
}

/// What became of a look for the next message.
pub(super) enum Fed {
    /// One was sent, of so many bytes.
    Message(usize),
    /// There is none: read on.
    Drained,
    /// Nothing is read any more.
    Closed(CloseReason),
}

impl FdFraming {
    pub(crate) fn new(window: Arc<Window>, framer: Box<dyn Framer>) -> Self {
        Self {
            window,
            framer,
            busy: false,
            ending: None,
        }
    }

    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<usize> {
        self.window.poll_room(cx)
    }

    /// Takes what was read.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.framer.push(piece);
        self.busy = true;
    }

    /// No more comes: the close waits for what is left.
    pub(super) fn finish(&mut self, reason: CloseReason) {
        self.framer.finish();
        self.busy = true;
        self.ending = Some(reason);
    }

    /// Sends the next message, when the window has room.
    pub(super) fn poll_feed(
        &mut self,
        cx: &mut Context<'_>,
        child: &Arc<Child>,
        fd: i32,
    ) -> Poll<Fed> {
        if !self.busy {
            return Poll::Ready(Fed::Drained);
        }
        ready!(self.window.poll_room(cx));
        Poll::Ready(match self.framer.send_next(child, fd, &self.window) {
            Sent::Bytes(count) => Fed::Message(count),
            Sent::NeedsMore => {
                self.busy = false;
                self.ending.map_or(Fed::Drained, Fed::Closed)
            }
            // What the child means is lost from here on, and it is told so by its closed pipe.
            Sent::Stuck => Fed::Closed(CloseReason::Failed {
                errno: libc::EBADMSG,
            }),
            Sent::ProtocolGone => Fed::Closed(CloseReason::Gone),
        })
    }
}

/// No content.
impl fmt::Debug for FdFraming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FdFraming")
            .field("window", &self.window)
            .field("busy", &self.busy)
            .field("ending", &self.ending)
            .finish_non_exhaustive()
    }
}

/// Lines as events. One message a line, and not one for many: between two messages actix honours what a handler asks
/// for (`ctx.wait`, `ctx.stop`), and of several futures that one handler waits for it runs the last first.
pub(crate) struct LineFramer {
    splitter: LineSplitter,
    event_sink: Arc<dyn EventSink>,
}

impl LineFramer {
    pub(crate) fn new(max: usize, event_sink: Arc<dyn EventSink>) -> Self {
        Self {
            splitter: LineSplitter::new(max),
            event_sink,
        }
    }
}

impl Framer for LineFramer {
    fn push(&mut self, piece: Bytes) {
        self.splitter.push(piece);
    }

    fn finish(&mut self) {
        self.splitter.finish();
    }

    fn send_next(&mut self, child: &Arc<Child>, fd: i32, window: &Arc<Window>) -> Sent {
        let Some((line, size)) = self.splitter.next() else {
            return Sent::NeedsMore;
        };
        let event = ProcessEvent::ChildLineReceived { fd, line };
        match child.deliver(&*self.event_sink, event, window.charge(size)) {
            true => Sent::Bytes(size),
            false => Sent::ProtocolGone,
        }
    }
}
