//! The way from the handle to the actor of one piped descriptor.

mod command;
pub(crate) mod kept;
pub(crate) mod kept_output;
pub(crate) mod line_splitter;
pub(crate) mod mailbox_turns;
pub(crate) mod outbox;
pub(crate) mod piped;
pub(crate) mod role;
pub(crate) mod stream_queue;
mod terminal;
pub(crate) mod window;
pub(crate) mod write_queue;

pub(crate) use command::{FdCommand, Route, Terminal};

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::error::{ProducerError, WriteError};
use crate::event::CloseReason;
use crate::port::kept_output::KeptOutput;
use crate::port::outbox::Outbox;
use crate::port::role::Role;
use crate::port::stream_queue::StreamQueue;
use crate::port::write_queue::{Notice, ProducerKind, SinkId, WriteQueue};
use crate::sync::lock;
use crate::sys;

/// One piped descriptor, as the handle sees it.
pub(crate) struct Port {
    fd: i32,
    role: Role,
    /// Of one half of a terminal, which cannot be closed without the other: its master, for as long as
    /// somebody has it open.
    terminal: Option<Weak<dyn Terminal>>,
    /// Shut while the descriptor is paused, and for good when it is to be closed: stops a reader at
    /// once, on whatever thread it is in the middle of its reads. A command waits until it looks into
    /// its mailbox.
    shut: AtomicBool,
    stream_queue: Option<Arc<StreamQueue>>,
    /// What is kept of its output, on its reader's side.
    kept: Option<Arc<KeptOutput>>,
    /// Goes with the child's `Process`, which owns it.
    route: Weak<dyn Route>,
    keeps_a_queue: bool,
    state: Mutex<PortState>,
}

#[derive(Default)]
struct PortState {
    closed: bool,
    closing: bool,
    /// The close waits for the producer to be unregistered.
    close_waits: bool,
    write_queue: WriteQueue,
    outbox: Outbox,
}

impl Port {
    /// The way to its actor stays open as long as somebody has `route`.
    pub(crate) fn new(fd: i32, role: Role, route: &Arc<dyn Route>) -> Self {
        Self {
            fd,
            role,
            terminal: None,
            shut: AtomicBool::new(false),
            stream_queue: None,
            kept: None,
            route: Arc::downgrade(route),
            keeps_a_queue: route.keeps_a_queue(),
            state: Mutex::default(),
        }
    }

    /// With what its stream is fed from.
    pub(crate) fn with_stream_queue(mut self, stream_queue: Option<Arc<StreamQueue>>) -> Self {
        self.stream_queue = stream_queue;
        self
    }

    /// With what is kept of its output.
    pub(crate) fn with_kept(mut self, kept: Option<Arc<KeptOutput>>) -> Self {
        self.kept = kept;
        self
    }

    /// As one half of a terminal, if it is one.
    pub(crate) fn of_terminal(mut self, master: Option<Weak<dyn Terminal>>) -> Self {
        self.terminal = master;
        self
    }

    pub(crate) const fn fd(&self) -> i32 {
        self.fd
    }

    /// Whether the parent reads it; else the parent writes it.
    pub(crate) const fn is_output(&self) -> bool {
        self.role.is_output()
    }

    pub(crate) const fn is_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// Whether its reader must not read now.
    pub(crate) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::SeqCst)
    }

    fn shut(&self, shut: bool) {
        self.shut.store(shut, Ordering::SeqCst);
    }

    pub(crate) const fn stream_queue(&self) -> Option<&Arc<StreamQueue>> {
        self.stream_queue.as_ref()
    }

    pub(crate) const fn kept(&self) -> Option<&Arc<KeptOutput>> {
        self.kept.as_ref()
    }

    /// Queues bytes. The check and the queueing are one step, so that a write which is taken is
    /// before every close that is.
    pub(crate) fn write(&self, command: FdCommand) -> Result<(), WriteError> {
        self.write_if(command, |state| !state.closing)
    }

    /// Queues bytes of the producer with this registration, whose close waits for it.
    pub(crate) fn write_of_producer(
        &self,
        command: FdCommand,
        registration: u64,
    ) -> Result<(), WriteError> {
        self.write_if(command, |state| {
            state.write_queue.is_registered(registration)
        })
    }

    fn write_if(
        &self,
        command: FdCommand,
        may: impl FnOnce(&PortState) -> bool,
    ) -> Result<(), WriteError> {
        self.check_written()?;
        let recorder = match self.keeps_a_queue {
            true => None,
            false => self.route.upgrade(),
        };
        let mut state = lock(&self.state);
        if state.closed || !may(&state) {
            return Err(WriteError::Closed { fd: self.fd });
        }
        let PortState {
            write_queue,
            outbox,
            ..
        } = &mut *state;
        if self.keeps_a_queue {
            write_queue.add(match command {
                FdCommand::Write(data) => outbox.put([data]),
                FdCommand::WriteSequence(pieces) => outbox.put(pieces),
                _ => 0,
            });
        } else if let Some(recorder) = &recorder {
            recorder.send(command);
        }
        Ok(())
    }

    /// Whether the parent writes it, and is not a copy of the process.
    fn check_written(&self) -> Result<(), WriteError> {
        let fd = self.fd;
        if self.is_output() {
            return Err(WriteError::NotWritable { fd });
        }
        if sys::copy::is_copy() {
            return Err(WriteError::Closed { fd });
        }
        Ok(())
    }

    /// For the writer: puts what was written since to the end of `queue`.
    pub(crate) fn fetch(&self, queue: &mut VecDeque<Bytes>, writer: &Waker) {
        lock(&self.state).outbox.fetch(queue, writer);
    }

    /// So many bytes of the queue were written.
    pub(crate) fn written(&self, bytes: usize) {
        let waiters = lock(&self.state).write_queue.subtract(bytes);
        waiters.into_iter().for_each(Waker::wake);
    }

    /// How many bytes are not written yet.
    pub(crate) fn queued(&self) -> usize {
        // In a copy of the process the lock may be held for ever.
        if sys::copy::is_copy() {
            return 0;
        }
        lock(&self.state).write_queue.bytes()
    }

    /// Ready when a sink may write.
    pub(crate) fn poll_room(&self, sink: SinkId, cx: &Context<'_>) -> Poll<Result<(), WriteError>> {
        self.poll_state(cx, |state, waker| {
            if state.closed || state.closing {
                return Poll::Ready(Err(WriteError::Closed { fd: self.fd }));
            }
            state.write_queue.poll_room(sink, waker).map(Ok)
        })
    }

    /// Ready when everything that was queued is written, or lost.
    pub(crate) fn poll_flushed(
        &self,
        sink: SinkId,
        cx: &Context<'_>,
    ) -> Poll<Result<(), WriteError>> {
        self.poll_state(cx, |state, waker| {
            if state.closed {
                return Poll::Ready(self.fate(state));
            }
            state.write_queue.poll_empty(sink, waker).map(Ok)
        })
    }

    /// Ready when the descriptor is closed.
    pub(crate) fn poll_closed(
        &self,
        sink: SinkId,
        cx: &Context<'_>,
    ) -> Poll<Result<(), WriteError>> {
        self.poll_state(cx, |state, waker| {
            if state.closed || !self.keeps_a_queue {
                return Poll::Ready(self.fate(state));
            }
            state.write_queue.poll_stopped(sink, waker).map(Ok)
        })
    }

    /// For a sink that waits: `poll` looks at the state, and exchanges the waker for the one that it keeps.
    fn poll_state(
        &self,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut PortState, &mut Waker) -> Poll<Result<(), WriteError>>,
    ) -> Poll<Result<(), WriteError>> {
        if sys::copy::is_copy() {
            return Poll::Ready(Err(WriteError::Closed { fd: self.fd }));
        }
        // Declared before the lock's guard, so dropped after it.
        let mut waker = cx.waker().clone();
        let mut state = lock(&self.state);
        poll(&mut state, &mut waker)
    }

    /// A sink is gone.
    pub(crate) fn forget(&self, sink: SinkId) {
        let waker = lock(&self.state).write_queue.forget(sink);
        drop(waker);
    }

    /// What became of the queue of a closed descriptor.
    fn fate(&self, state: &PortState) -> Result<(), WriteError> {
        if state.write_queue.is_empty() {
            Ok(())
        } else {
            Err(WriteError::Closed { fd: self.fd })
        }
    }

    /// Registers a producer; gives its registration.
    pub(crate) fn register(&self, kind: ProducerKind, tell: Notice) -> Result<u64, ProducerError> {
        self.check_written()?;
        let fd = self.fd;
        let mut state = lock(&self.state);
        if state.closed || state.closing {
            return Err(WriteError::Closed { fd }.into());
        }
        if state.write_queue.has_producer() {
            return Err(ProducerError::AlreadyRegistered { fd });
        }
        Ok(state.write_queue.register(kind, tell))
    }

    /// Takes the producer out, and closes if the close has waited for that.
    pub(crate) fn unregister(&self, registration: u64) {
        let route = self.route.upgrade();
        let mut state = lock(&self.state);
        if !state.write_queue.is_registered(registration) {
            return;
        }
        let producer = state.write_queue.unregister();
        if std::mem::take(&mut state.close_waits) {
            state.send(&route, FdCommand::Close(CloseReason::ByParent));
        }
        drop(state);
        drop(producer);
    }

    /// Sends a command that changes nothing about writing.
    pub(crate) fn send(&self, command: FdCommand) {
        if sys::copy::is_copy() {
            return;
        }
        let route = self.route.upgrade();
        let state = lock(&self.state);
        if state.closed {
            return;
        }
        if let FdCommand::Pause(pause) = command
            && !state.closing
        {
            self.shut(pause);
        }
        state.send(&route, command);
    }

    /// Closes it for this reason; nothing can be written any more, but by a producer for which a close by
    /// `ByParent` waits, and nothing read, but what a cut takes.
    pub(crate) fn close(&self, reason: CloseReason) {
        if sys::copy::is_copy() {
            return;
        }
        let route = self.route.upgrade();
        let mut state = lock(&self.state);
        // What is cut is read on, and may be paused meanwhile.
        if !(self.is_output() && reason == CloseReason::Cut) {
            state.closing = true;
            self.shut(true);
        }
        // A sink that waits for room will get none, however long the child takes to read the rest.
        let waiters = state.write_queue.take_waiters();
        if reason == CloseReason::ByParent && state.write_queue.has_producer() {
            state.close_waits = true;
        } else {
            state.send(&route, FdCommand::Close(reason));
        }
        drop(state);
        waiters.into_iter().for_each(Waker::wake);
    }

    /// For the reading half of a terminal: the writing half is to be flushed, then both close; or nobody
    /// takes its stream any more. From now on what the child says is thrown away, lest it blocks and
    /// reads no more.
    pub(crate) fn discard(&self) {
        if sys::copy::is_copy() {
            return;
        }
        let route = self.route.upgrade();
        let mut state = lock(&self.state);
        state.closing = true;
        self.shut(false);
        state.send(&route, FdCommand::Discard);
    }

    /// The descriptor is closed: whatever is sent from now on goes nowhere. Producer and sinks
    /// learn it.
    pub(crate) fn closed(&self, reason: CloseReason) {
        let mut state = lock(&self.state);
        state.closed = true;
        let outbox = std::mem::take(&mut state.outbox);
        let (waiters, producer) = state.write_queue.stop();
        drop(state);
        drop((outbox, producer));
        waiters.into_iter().for_each(Waker::wake);
        if let Some(stream_queue) = &self.stream_queue {
            stream_queue.end(reason);
        }
        if let Some(kept) = &self.kept {
            kept.end(reason);
        }
    }
}

impl PortState {
    /// Under the lock, which keeps the commands in order. The caller drops its `route` when the lock is free.
    fn send(&self, route: &Option<Arc<dyn Route>>, command: FdCommand) {
        if let (false, Some(route)) = (self.closed, route) {
            route.send(command);
        }
    }
}
