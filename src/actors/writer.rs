//! The actor that writes to one descriptor of a child.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use actix::{Actor, ActorContext, ActorFuture, AsyncContext, Context, Handler};
use bytes::{Buf, Bytes};
use tokio::io::Ready;

use super::end::{Closing, End, failed};
use super::sizes::GROWN_PIPE;
use crate::child::Child;
use crate::event::CloseReason;
use crate::port::FdCommand;
use crate::sys;
use crate::sys::sigpipe::PipeWrites;

/// So many writes make a turn; then others on the arbiter come first. Few, since tokio polls a
/// woken task many times before it looks at its timers.
const WRITES_PER_TURN: u32 = 2;

/// So many times the pipe is found full before it grows, with room in between: for a child that reads,
/// but not as fast as we write.
const FULL_PIPES_TO_GROW: u32 = 8;

pub(crate) struct PipeWriter {
    /// First, so that it is closed before the record hears of it.
    sink: Option<End>,
    closing: Option<Closing>,
    /// What was fetched of the port's outbox, and is not written yet.
    queue: VecDeque<Bytes>,
    /// Most children are never written to.
    outgoing: Option<Box<Outgoing>>,
    close_when_drained: bool,
}

/// What a writer knows from its first write on.
struct Outgoing {
    /// The pipe was found full: writing waits for its readiness.
    full: bool,
    /// How often the pipe was found full.
    times_full: u32,
    /// The pipe was found full before, so its readiness is reported.
    reports_room: bool,
    writes: PipeWrites,
}

impl Outgoing {
    fn new() -> Box<Self> {
        Box::new(Self {
            full: false,
            times_full: 0,
            reports_room: false,
            writes: PipeWrites::new(),
        })
    }

    /// Writes the front of `queue`, as much as there is room for.
    fn write(&self, queue: &mut VecDeque<Bytes>, sink: &End) -> io::Result<usize> {
        let write = || sys::io::write_front(sink.as_fd(), queue.iter());
        let count = self.writes.write(write)?;
        advance(queue, count);
        Ok(count)
    }

    fn found_full(&mut self, sink: &End) {
        self.full = true;
        self.times_full = self.times_full.saturating_add(1);
        if let (FULL_PIPES_TO_GROW, End::Pipe(pipe)) = (self.times_full, sink) {
            // Refused when the user's share of pipe pages is used up: no loss.
            let _ = sys::io::grow_pipe(pipe.get_ref().as_fd(), GROWN_PIPE);
        }
    }
}

impl PipeWriter {
    pub(crate) fn new(child: Arc<Child>, fd: i32, sink: End) -> Self {
        Self {
            sink: Some(sink),
            closing: Some(Closing::new(child, fd)),
            queue: VecDeque::new(),
            outgoing: None,
            close_when_drained: false,
        }
    }

    fn is_full(&self) -> bool {
        self.outgoing.as_ref().is_some_and(|outgoing| outgoing.full)
    }

    /// Fetches what was written and writes for a turn at most, or until the pipe is full, without asking for its readiness first: a fresh
    /// registration knows none before the driver has turned. Some: to be closed.
    fn flush(&mut self, cx: &TaskContext<'_>) -> Option<CloseReason> {
        let full = self.is_full();
        let (Some(sink), Some(closing)) = (&self.sink, &self.closing) else {
            return Some(CloseReason::Gone);
        };
        let Closing { child, fd, .. } = closing;
        let port = child.port(*fd);
        // Of a full pipe the outbox keeps what comes: nobody is woken for it.
        if let (Some(port), false) = (port, full) {
            port.fetch(&mut self.queue, cx.waker());
        }
        for _ in 0..WRITES_PER_TURN {
            if self.queue.is_empty() {
                break;
            }
            let outgoing = self.outgoing.get_or_insert_with(Outgoing::new);
            if outgoing.full {
                break;
            }
            match outgoing.write(&mut self.queue, sink) {
                Ok(count) => {
                    log::trace!("{child} fd {fd}: wrote {count} bytes");
                    if let Some(port) = port {
                        port.written(count);
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => outgoing.found_full(sink),
                    ErrorKind::Interrupted => {}
                    ErrorKind::BrokenPipe => return Some(CloseReason::ByChild),
                    _ if sink.is_hung_up(&error) => return Some(CloseReason::ByChild),
                    _ => return Some(failed(&error)),
                },
            }
        }
        (self.close_when_drained && self.queue.is_empty()).then_some(CloseReason::ByParent)
    }

    /// Writes what is queued; waits for room while the pipe is full, and for the child's close
    /// always. Ready: to be closed.
    fn poll_sink(&mut self, cx: &mut TaskContext<'_>) -> Poll<CloseReason> {
        loop {
            if let Some(reason) = self.flush(cx) {
                return Poll::Ready(reason);
            }
            if !self.is_full() && !self.queue.is_empty() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Err(error) = self.report_room() {
                return Poll::Ready(failed(&error));
            }
            let Some(sink) = &self.sink else {
                return Poll::Ready(CloseReason::Gone);
            };
            let Ok(mut ready) = ready!(sink.poll_write_ready(cx)) else {
                // The runtime is going down.
                return Poll::Ready(CloseReason::Gone);
            };
            if ready.ready().is_write_closed() {
                return Poll::Ready(CloseReason::ByChild);
            }
            // Cleared before the write that follows, so that no later edge is lost; the child's
            // close stays readable, and is a new edge when it comes.
            ready.clear_ready_matching(Ready::WRITABLE);
            drop(ready);
            if let Some(outgoing) = &mut self.outgoing {
                outgoing.full = false;
            }
        }
    }

    /// Once the pipe was found full, its readiness is reported.
    fn report_room(&mut self) -> io::Result<()> {
        if let Some(outgoing) = &mut self.outgoing
            && outgoing.full
            && !outgoing.reports_room
        {
            outgoing.reports_room = true;
            self.sink = self.sink.take().map(End::report_room).transpose()?;
        }
        Ok(())
    }

    /// Closes the descriptor, then tells so.
    fn close(&mut self, reason: CloseReason, ctx: &mut Context<Self>) {
        self.queue = VecDeque::new();
        self.outgoing = None;
        self.sink = None;
        if let Some(mut closing) = self.closing.take() {
            closing.reason = reason;
        }
        ctx.stop();
    }
}

impl Drop for PipeWriter {
    /// Dropped with its arbiter, maybe before the `Process` actor: the child must not take the close for the end of its input. A
    /// panic of the writer alone closes its descriptor only.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if let (Some(_), Some(closing)) = (&self.sink, &self.closing) {
            closing.child.orphan("the actor of its input is gone");
        }
    }
}

/// Takes `count` written bytes off the front.
fn advance(queue: &mut VecDeque<Bytes>, mut count: usize) {
    while let Some(front) = queue.front_mut() {
        if front.len() > count {
            front.advance(count);
            return;
        }
        count -= front.len();
        queue.pop_front();
    }
}

impl Actor for PipeWriter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(WriteLoop);
    }
}

/// Polled whenever the descriptor is ready or a command came.
struct WriteLoop;

impl ActorFuture<PipeWriter> for WriteLoop {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        writer: &mut PipeWriter,
        ctx: &mut Context<PipeWriter>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        let reason = ready!(writer.poll_sink(task));
        writer.close(reason, ctx);
        Poll::Ready(())
    }
}

impl Handler<FdCommand> for PipeWriter {
    type Result = ();

    fn handle(&mut self, command: FdCommand, ctx: &mut Self::Context) {
        match command {
            FdCommand::Close(CloseReason::ByParent) => self.close_when_drained = true,
            FdCommand::Close(reason) => self.close(reason, ctx),
            // There is nothing to pause. What is written is fetched.
            FdCommand::Write(_)
            | FdCommand::WriteSequence(_)
            | FdCommand::Pause(_)
            | FdCommand::Reaped
            | FdCommand::Discard => {}
        }
        // The loop, which is polled when the mailbox is empty, does the rest.
    }
}
