//! The actor that reads one descriptor of a child and forwards what comes.

use std::future::Future;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use actix::{Actor, ActorContext, ActorFuture, AsyncContext, Context, Handler};

use super::buffers::{self, Buffer};
use super::destination::Destination;
use super::end::{Closing, End, failed};
use super::framing::Fed;
use super::sizes::{BYTES_PER_TURN, GROWN_PIPE, READ};
use crate::child::Child;
use crate::event::{CloseReason, ProcessEvent};
use crate::port::{FdCommand, Port};
use crate::sys;

/// So many reads in a row that fill their buffer show a child worth a larger pipe.
const FULL_READS_TO_GROW: u32 = 4;
/// After so many messages a reader lets its arbiter do something else, as after [`BYTES_PER_TURN`].
const READS_PER_TURN: u32 = 16;

pub(crate) struct PipeReader {
    /// First, so that it is closed before the record hears of it.
    source: Option<End>,
    closing: Option<Closing>,
    child: Arc<Child>,
    fd: i32,
    destination: Destination,
    buffer: Option<Buffer>,
    full_reads: u32,
    /// The child kept filling buffers.
    grown: bool,
    /// Paused, or the protocol has not handled the first event: nothing may be read.
    stopped: bool,
    /// What the pipe held when the child was reaped, as far as it is not read yet. `None` before that.
    owed: Option<usize>,
    /// Whether the clock of `ended_timeout` waits for this reader.
    holds_clock: bool,
    /// What is still to be read before the cut.
    cut_after: Option<usize>,
}

impl PipeReader {
    pub(crate) fn new(child: Arc<Child>, fd: i32, source: End, destination: Destination) -> Self {
        Self {
            source: Some(source),
            closing: Some(Closing::new(Arc::clone(&child), fd)),
            child,
            fd,
            destination,
            buffer: None,
            full_reads: 0,
            grown: false,
            stopped: false,
            owed: None,
            holds_clock: true,
            cut_after: None,
        }
    }

    /// Reads and forwards as long as there are data, credit and leave, for one turn at most.
    /// Ready: closed.
    fn poll_read(&mut self, cx: &mut TaskContext<'_>) -> Poll<CloseReason> {
        self.stopped = false;
        let reason = self.poll_turn(cx);
        self.tell_clock(self.stopped || self.owed != Some(0));
        reason
    }

    fn poll_turn(&mut self, cx: &mut TaskContext<'_>) -> Poll<CloseReason> {
        // What is on its way to a protocol starts when that has handled the first event; what a stream
        // holds waits there to be taken.
        if self.destination.is_protocol() && self.child.gate.poll_open(cx).is_pending() {
            self.stopped = true;
            return Poll::Pending;
        }
        let mut bytes_left = BYTES_PER_TURN;
        for _ in 0..READS_PER_TURN {
            if self.child.port(self.fd).is_some_and(Port::is_shut) {
                self.stopped = true;
                return Poll::Pending;
            }
            // What was read before becomes messages first.
            if let Destination::Framed(framing) = &mut self.destination {
                let Poll::Ready(fed) = framing.poll_feed(cx, &self.child, self.fd) else {
                    self.put_buffer_back();
                    return Poll::Pending;
                };
                match fed {
                    Fed::Drained => {}
                    Fed::Message(count) => {
                        bytes_left = bytes_left.saturating_sub(count);
                        if bytes_left == 0 {
                            cx.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                        continue;
                    }
                    Fed::Closed(reason) => return Poll::Ready(reason),
                }
            }
            if self.cut_after == Some(0) {
                match self.end_of_input(CloseReason::Cut) {
                    Some(reason) => return Poll::Ready(reason),
                    None => continue,
                }
            }
            let room = match &self.destination {
                Destination::Nobody | Destination::Kept(_) => usize::MAX,
                // Somebody may take it from the stream, now or later, or nobody: the cut waits for none. It
                // is bounded by what the pipe holds.
                Destination::Stream(..) if self.cut_after.is_some() => usize::MAX,
                Destination::Protocol(window, _) | Destination::Stream(window, _) => {
                    let Poll::Ready(room) = window.poll_room(cx) else {
                        self.put_buffer_back();
                        return Poll::Pending;
                    };
                    room
                }
                Destination::Framed(framing) => {
                    let Poll::Ready(room) = framing.poll_room(cx) else {
                        self.put_buffer_back();
                        return Poll::Pending;
                    };
                    room
                }
            };
            let count = match ready!(self.poll_read_once(cx, room)) {
                Ok(count) => count,
                Err(reason) => match self.end_of_input(reason) {
                    Some(reason) => return Poll::Ready(reason),
                    None => continue,
                },
            };
            bytes_left = bytes_left.saturating_sub(count);
            if bytes_left == 0 {
                // Others on this arbiter first.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        // Of many small messages a protocol makes much work: its arbiter's driver, and so its timers, come
        // first.
        let _ = pin!(tokio::task::yield_now()).poll(cx);
        Poll::Pending
    }

    /// Fills a buffer and forwards it, when the descriptor is readable, or to be cut. Ready: how much,
    /// or why it is closed.
    ///
    /// Only a read that finds nothing says that nothing is there. A short one may have given a packet of
    /// several, and of the others no readiness would tell: they came before it did.
    fn poll_read_once(
        &mut self,
        cx: &mut TaskContext<'_>,
        room: usize,
    ) -> Poll<Result<usize, CloseReason>> {
        let Some(source) = &self.source else {
            return Poll::Ready(Err(CloseReason::Gone));
        };
        let mut ready = match source.poll_read_ready(cx) {
            Poll::Ready(Ok(ready)) => Some(ready),
            // The runtime is going down.
            Poll::Ready(Err(_)) => return Poll::Ready(Err(CloseReason::Gone)),
            // A cut does not wait: the read finds what is there, or that nothing is.
            Poll::Pending if self.cut_after.is_some() => None,
            Poll::Pending => {
                self.rest();
                return Poll::Pending;
            }
        };
        // What is left before the cut is so many whole packets, where it is packets.
        let most = room.min(self.cut_after.unwrap_or(usize::MAX));
        let mut buffer = self.buffer.take().unwrap_or_else(buffers::take);
        let result = source.read(buffer.room(most));
        let was_hung_up = ready
            .as_ref()
            .is_some_and(|ready| source.was_hung_up(ready));
        match result {
            Ok(0) => Poll::Ready(Err(CloseReason::ByChild)),
            Ok(count) => Poll::Ready(self.forward(buffer, count).map(|()| count)),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock if was_hung_up => Poll::Ready(Err(CloseReason::ByChild)),
                ErrorKind::WouldBlock => {
                    // What comes later is a new edge.
                    if let Some(ready) = &mut ready {
                        ready.clear_ready();
                    }
                    self.buffer = Some(buffer);
                    // Nothing is there, so the cut has nothing more to take.
                    Poll::Ready(self.cut_after.map_or(Ok(0), |_| Err(CloseReason::Cut)))
                }
                ErrorKind::Interrupted => {
                    self.buffer = Some(buffer);
                    Poll::Ready(Ok(0))
                }
                _ if source.is_hung_up(&error) => Poll::Ready(Err(CloseReason::ByChild)),
                _ => Poll::Ready(Err(failed(&error))),
            },
        }
    }

    /// No more is read. `None`: the rest of a line, and what waits for the window, is told before the close.
    fn end_of_input(&mut self, reason: CloseReason) -> Option<CloseReason> {
        match &mut self.destination {
            Destination::Framed(framing) if reason != CloseReason::Gone => framing.finish(reason),
            _ => return Some(reason),
        }
        None
    }

    /// A reader that waits holds no buffer.
    fn put_buffer_back(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            buffers::put_back(buffer);
        }
    }

    /// Nothing is there to be read: holds no buffer, and owes nothing.
    fn rest(&mut self) {
        self.put_buffer_back();
        self.owed = self.owed.and(Some(0));
    }

    /// Sends what was read, unless the protocol is gone.
    fn forward(&mut self, buffer: Buffer, count: usize) -> Result<(), CloseReason> {
        log::trace!("{} fd {}: read {count} bytes", self.child, self.fd);
        for left in [&mut self.cut_after, &mut self.owed].into_iter().flatten() {
            *left = left.saturating_sub(count);
        }
        match &mut self.destination {
            Destination::Nobody => self.buffer = Some(buffer),
            Destination::Kept(kept) => {
                kept.push(buffer.first(count));
                self.buffer = Some(buffer);
            }
            Destination::Framed(framing) => {
                let (data, buffer) = buffer.into_data(count);
                self.buffer = buffer;
                framing.push(data);
            }
            Destination::Stream(window, stream_queue) => {
                let (data, buffer) = buffer.into_data(count);
                self.buffer = buffer;
                stream_queue.push(data, window.charge(count));
            }
            Destination::Protocol(window, event_sink) => {
                let (data, buffer) = buffer.into_data(count);
                self.buffer = buffer;
                let credit = window.charge(count);
                let event = ProcessEvent::ChildDataReceived { fd: self.fd, data };
                if !self.child.deliver(&**event_sink, event, credit) {
                    return Err(CloseReason::Gone);
                }
            }
        }
        self.note_full(count >= READ);
        Ok(())
    }

    /// Grows the pipe, once, for a child that keeps filling buffers. (One whose window is below four of them
    /// does not.)
    fn note_full(&mut self, full: bool) {
        self.full_reads = if full {
            self.full_reads.saturating_add(1)
        } else {
            0
        };
        if self.full_reads < FULL_READS_TO_GROW || self.grown {
            return;
        }
        self.grown = true;
        if let Some(source) = &self.source {
            // Refused when the user's share of pipe pages is used up: no loss.
            let _ = sys::io::grow_pipe(source.as_fd(), GROWN_PIPE);
        }
    }

    fn tell_clock(&mut self, holds: bool) {
        if std::mem::replace(&mut self.holds_clock, holds) != holds {
            self.child.reader_holds(holds);
        }
    }

    /// What the pipe holds is the child's own: the clock waits until the protocol gets it. To a stream it
    /// goes even at the cut, and nobody misses the rest.
    fn note_reap(&mut self) {
        let is_protocol = self.destination.is_protocol();
        let source = self.source.as_ref().filter(|_| is_protocol);
        let owed = source.map_or(0, End::waiting);
        self.owed.get_or_insert(owed);
    }

    /// Closes the descriptor, then tells so.
    fn close(&mut self, reason: CloseReason) {
        self.source = None;
        self.buffer = None;
        self.destination = Destination::Nobody;
        self.tell_clock(false);
        if let Some(mut closing) = self.closing.take() {
            closing.reason = reason;
        }
    }
}

impl Drop for PipeReader {
    /// The clock must not wait for a reader that panicked or lost its arbiter.
    fn drop(&mut self) {
        self.tell_clock(false);
    }
}

impl Actor for PipeReader {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(ReadLoop);
    }
}

/// Polled whenever the descriptor is ready, credit returns, or a command came.
struct ReadLoop;

impl ActorFuture<PipeReader> for ReadLoop {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        reader: &mut PipeReader,
        ctx: &mut Context<PipeReader>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        let reason = ready!(reader.poll_read(task));
        reader.close(reason);
        ctx.stop();
        Poll::Ready(())
    }
}

impl Handler<FdCommand> for PipeReader {
    type Result = ();

    fn handle(&mut self, command: FdCommand, ctx: &mut Self::Context) {
        match command {
            FdCommand::Close(CloseReason::Cut) => {
                let waiting = self.source.as_ref().map_or(0, End::waiting);
                self.cut_after.get_or_insert(waiting);
            }
            FdCommand::Close(reason) => {
        self.close(reason);
        ctx.stop();
    }
            FdCommand::Reaped => self.note_reap(),
            FdCommand::Discard => self.destination = Destination::Nobody,
            // The port says it; the command only wakes the reader.
            FdCommand::Pause(_)
            // The port takes none for a descriptor that is read.
            | FdCommand::Write(_)
            | FdCommand::WriteSequence(_) => {}
        }
    }
}
