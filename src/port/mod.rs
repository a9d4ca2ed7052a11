//! The way from the handle to the actor of one piped descriptor.

pub(crate) mod line_splitter;
pub(crate) mod mailbox_turns;
pub(crate) mod role;
pub(crate) mod stream_queue;
pub(crate) mod window;
pub(crate) mod write_queue;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use actix::{Message, Recipient};
use bytes::Bytes;

use crate::error::{ProducerError, ResizeError, WriteError};
use crate::port::stream_queue::StreamQueue;
use crate::port::write_queue::{Notice, ProducerKind, SinkId, WriteQueue};
use crate::sync::lock;
use crate::sys;
use crate::sys::io::Registered;
use crate::winsize::PtySize;

/// What the actor of a descriptor is told. No `Debug`: it carries what is written.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum FdCommand {
    Write(Bytes),
    WriteSequence(Vec<Bytes>),
    /// Flush what is queued, then close. A reader closes at once.
    Close,
    /// Drop what is queued and close.
    Abort,
    Pause,
    Resume,
    /// Take what the pipe holds, then close. A writer drops its queue.
    Cut,
    /// The child is reaped: what the pipe holds now is its own. Only where a clock is to know.
    Reaped,
    /// The child's owner is gone: close.
    Orphan,
    /// Read on, but throw it away: the other half of a terminal is being flushed.
    Discard,
    /// A terminal's window has another size. Only a recorder is told: the size of a real one is set at
    /// the call.
    Resize(PtySize),
}

impl FdCommand {
    /// How many bytes it queues.
    fn queued(&self) -> usize {
        match self {
            Self::Write(data) => data.len(),
            Self::WriteSequence(pieces) => pieces.iter().map(Bytes::len).sum(),
            _ => 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The parent reads.
    Read,
    /// The parent writes.
    Write,
}

/// Who takes the commands.
#[derive(Clone)]
pub(crate) enum Route {
    Actor(Recipient<FdCommand>),
    /// A test's recorder. Whatever is written is taken for gone.
    Recorder(Arc<dyn Fn(i32, FdCommand) + Send + Sync>),
}

/// One piped descriptor, as the handle sees it.
pub(crate) struct Port {
    fd: i32,
    direction: Direction,
    /// One half of a terminal, which cannot be closed without the other.
    terminal: bool,
    /// Its master, for as long as somebody has it open.
    master: Weak<Registered<OwnedFd>>,
    /// Shut while the descriptor is paused, and for good when it is to be closed: stops a reader at
    /// once, on whatever thread it is in the middle of its reads. A command waits until it looks into
    /// its mailbox.
    shut: AtomicBool,
    stream_queue: Option<Arc<StreamQueue>>,
    state: Mutex<State>,
}

struct State {
    /// `None` once the descriptor is closed.
    route: Option<Route>,
    closing: bool,
    /// The close waits for the producer to be unregistered.
    close_waits: bool,
    write_queue: WriteQueue,
}

impl Port {
    pub(crate) fn new(fd: i32, direction: Direction, route: Route) -> Self {
        Self {
            fd,
            direction,
            terminal: false,
            master: Weak::new(),
            shut: AtomicBool::new(false),
            stream_queue: None,
            state: Mutex::new(State {
                route: Some(route),
                closing: false,
                close_waits: false,
                write_queue: WriteQueue::default(),
            }),
        }
    }

    /// With what its stream is fed from.
    pub(crate) fn with_stream_queue(mut self, stream_queue: Option<Arc<StreamQueue>>) -> Self {
        self.stream_queue = stream_queue;
        self
    }

    /// As one half of a terminal.
    pub(crate) const fn of_terminal(mut self, terminal: bool) -> Self {
        self.terminal = terminal;
        self
    }

    /// With the terminal's master.
    pub(crate) fn of_master(mut self, master: Weak<Registered<OwnedFd>>) -> Self {
        self.master = master;
        self
    }

    pub(crate) const fn fd(&self) -> i32 {
        self.fd
    }

    pub(crate) const fn direction(&self) -> Direction {
        self.direction
    }

    pub(crate) const fn is_terminal(&self) -> bool {
        self.terminal
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
        may: impl FnOnce(&State) -> bool,
    ) -> Result<(), WriteError> {
        let fd = self.fd;
        if self.direction == Direction::Read {
            return Err(WriteError::NotWritable { fd });
        }
        if sys::copy::is_copy() {
            return Err(WriteError::Closed { fd });
        }
        let mut state = lock(&self.state);
        let State {
            route, write_queue, ..
        } = match &*state {
            State { route: Some(_), .. } if may(&state) => &mut *state,
            _ => return Err(WriteError::Closed { fd }),
        };
        if let Some(Route::Actor(_)) = route {
            write_queue.add(command.queued());
        }
        if let Some(route) = route {
            route.send(fd, command);
        }
        Ok(())
    }

    /// So many bytes of the queue were written.
    pub(crate) fn written(&self, bytes: usize) {
        let waiters = lock(&self.state).write_queue.subtract(bytes);
        waiters.into_iter().for_each(Waker::wake);
    }

    /// Ready when a sink may write.
    pub(crate) fn poll_room(&self, sink: SinkId, cx: &Context<'_>) -> Poll<Result<(), WriteError>> {
        if sys::copy::is_copy() {
            return Poll::Ready(Err(WriteError::Closed { fd: self.fd }));
        }
        // Declared before the lock's guard, so dropped after it.
        let mut waker = cx.waker().clone();
        let mut state = lock(&self.state);
        if state.route.is_none() || state.closing {
            return Poll::Ready(Err(WriteError::Closed { fd: self.fd }));
        }
        state.write_queue.poll_room(sink, &mut waker).map(Ok)
    }

    /// Ready when everything that was queued is written, or lost.
    pub(crate) fn poll_flushed(
        &self,
        sink: SinkId,
        cx: &Context<'_>,
    ) -> Poll<Result<(), WriteError>> {
        let mut waker = cx.waker().clone();
        let mut state = lock(&self.state);
        if state.route.is_none() {
            return Poll::Ready(self.fate(&state));
        }
        state.write_queue.poll_empty(sink, &mut waker).map(Ok)
    }

    /// Ready when the descriptor is closed.
    pub(crate) fn poll_closed(
        &self,
        sink: SinkId,
        cx: &Context<'_>,
    ) -> Poll<Result<(), WriteError>> {
        let mut waker = cx.waker().clone();
        let mut state = lock(&self.state);
        match state.route {
            None | Some(Route::Recorder(_)) => Poll::Ready(self.fate(&state)),
            Some(Route::Actor(_)) => state.write_queue.wait(sink, &mut waker).map(Ok),
        }
    }

    /// A sink is gone.
    pub(crate) fn forget(&self, sink: SinkId) {
        let waker = lock(&self.state).write_queue.forget(sink);
        drop(waker);
    }

    /// What became of the queue of a closed descriptor.
    fn fate(&self, state: &State) -> Result<(), WriteError> {
        if state.write_queue.is_empty() {
            Ok(())
        } else {
            Err(WriteError::Closed { fd: self.fd })
        }
    }

    /// Registers a producer; gives its registration.
    pub(crate) fn register(&self, kind: ProducerKind, tell: Notice) -> Result<u64, ProducerError> {
        let fd = self.fd;
        if self.direction == Direction::Read {
            return Err(ProducerError::NotWritable { fd });
        }
        let mut state = lock(&self.state);
        if state.route.is_none() || state.closing {
            return Err(ProducerError::Closed { fd });
        }
        if state.write_queue.has_producer() {
            return Err(ProducerError::AlreadyRegistered { fd });
        }
        Ok(state.write_queue.register(kind, tell))
    }

    /// Takes the producer out, and closes if the close has waited for that.
    pub(crate) fn unregister(&self, registration: u64) {
        let mut state = lock(&self.state);
        if !state.write_queue.is_registered(registration) {
            return;
        }
        let producer = state.write_queue.unregister();
        if std::mem::take(&mut state.close_waits)
            && let Some(route) = &state.route
        {
            route.send(self.fd, FdCommand::Close);
        }
        drop(state);
        drop(producer);
    }

    /// Sends a command that changes nothing about writing.
    pub(crate) fn send(&self, command: FdCommand) {
        if sys::copy::is_copy() {
            return;
        }
        let state = lock(&self.state);
        let Some(route) = &state.route else { return };
        match command {
            FdCommand::Pause if !state.closing => self.shut(true),
            FdCommand::Resume if !state.closing => self.shut(false),
            _ => {}
        }
        route.send(self.fd, command);
    }

    /// Sends a command that closes; nothing can be written any more, but by a producer.
    pub(crate) fn close(&self, command: FdCommand) {
        if sys::copy::is_copy() {
            return;
        }
        let mut state = lock(&self.state);
        state.closing = true;
        self.shut(true);
        // A sink that waits for room will get none, however long the child takes to read the rest.
        let waiters = state.write_queue.take_waiters();
        if matches!(command, FdCommand::Close) && state.write_queue.has_producer() {
            state.close_waits = true;
        } else if let Some(route) = &state.route {
            route.send(self.fd, command);
        }
        drop(state);
        waiters.into_iter().for_each(Waker::wake);
    }

    /// For the reading half of a terminal: the writing half is to be flushed, then both close.
    /// Until then what the child says is thrown away, lest it blocks and reads no more.
    pub(crate) fn discard(&self) {
        if sys::copy::is_copy() {
            return;
        }
        let mut state = lock(&self.state);
        state.closing = true;
        self.shut(false);
        if let Some(route) = &state.route {
            route.send(self.fd, FdCommand::Discard);
        }
    }

    /// Gives a terminal's window another size.
    pub(crate) fn resize(&self, size: PtySize) -> Result<(), ResizeError> {
        if !self.terminal {
            return Err(ResizeError::NoTerminal);
        }
        if sys::copy::is_copy() {
            return Err(ResizeError::Closed);
        }
        // Under the lock, so that a master which is closed meanwhile is so before anybody is told.
        let state = lock(&self.state);
        match (&state.route, self.master.upgrade()) {
            (Some(route @ Route::Recorder(_)), _) => route.send(self.fd, FdCommand::Resize(size)),
            (Some(Route::Actor(_)), Some(master)) => {
                let failed = |error: io::Error| ResizeError::Failed {
                    errno: error.raw_os_error().unwrap_or(0),
                };
                sys::tty::set_size(master.get_ref().as_fd(), size).map_err(failed)?;
            }
            _ => return Err(ResizeError::Closed),
        }
        Ok(())
    }

    /// What is typed to end the input of a program that reads this terminal by lines; `None` if it does
    /// not.
    pub(crate) fn end_of_input(&self) -> Option<Bytes> {
        let master = self.master.upgrade()?;
        let byte = sys::tty::end_of_input(master.get_ref().as_fd())?;
        Some(Bytes::copy_from_slice(&[byte]))
    }

    /// The descriptor is closed: whatever is sent from now on goes nowhere. Producer and sinks
    /// learn it.
    pub(crate) fn closed(&self) {
        let mut state = lock(&self.state);
        let route = state.route.take();
        let (waiters, producer) = state.write_queue.stop();
        drop(state);
        drop((route, producer));
        waiters.into_iter().for_each(Waker::wake);
        if let Some(stream_queue) = &self.stream_queue {
            stream_queue.end();
        }
    }
}

impl Route {
    fn send(&self, fd: i32, command: FdCommand) {
        match self {
            Self::Actor(actor) => actor.do_send(command),
            Self::Recorder(record) => record(fd, command),
        }
    }
}
