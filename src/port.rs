//! The way from the handle to the actor of one piped descriptor.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use actix::{Message, Recipient};
use bytes::Bytes;

use crate::error::WriteError;
use crate::sync::lock;

/// What the actor of a descriptor is told.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) enum FdCommand {
    /// The spawn is complete: start.
    Release,
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
    /// The child's owner is gone: close.
    Orphan,
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
    /// A test's recorder.
    Recorder(Arc<dyn Fn(i32, FdCommand) + Send + Sync>),
}

/// One piped descriptor, as the handle sees it.
pub(crate) struct Port {
    fd: i32,
    direction: Direction,
    valve: Arc<Valve>,
    state: Mutex<State>,
}

/// Stops a reader at once, on whatever thread it is in the middle of its reads: a command waits
/// until it looks into its mailbox.
#[derive(Debug, Default)]
pub(crate) struct Valve(AtomicBool);

impl Valve {
    pub(crate) fn is_shut(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn set(&self, shut: bool) {
        self.0.store(shut, Ordering::SeqCst);
    }
}

struct State {
    /// `None` once the descriptor is closed.
    route: Option<Route>,
    closing: bool,
}

impl Port {
    pub(crate) const fn new(
        fd: i32,
        direction: Direction,
        valve: Arc<Valve>,
        route: Route,
    ) -> Self {
        Self {
            fd,
            direction,
            valve,
            state: Mutex::new(State {
                route: Some(route),
                closing: false,
            }),
        }
    }

    pub(crate) const fn fd(&self) -> i32 {
        self.fd
    }

    pub(crate) const fn direction(&self) -> Direction {
        self.direction
    }

    /// Queues bytes. The check and the queueing are one step, so that a write which is taken is
    /// before every close that is.
    pub(crate) fn write(&self, command: FdCommand) -> Result<(), WriteError> {
        let fd = self.fd;
        if self.direction == Direction::Read {
            return Err(WriteError::NotWritable { fd });
        }
        let state = lock(&self.state);
        match &state.route {
            Some(route) if !state.closing => {
                route.send(fd, command);
                Ok(())
            }
            _ => Err(WriteError::Closed { fd }),
        }
    }

    /// Sends a command that changes nothing about writing.
    pub(crate) fn send(&self, command: FdCommand) {
        let state = lock(&self.state);
        let Some(route) = &state.route else { return };
        match command {
            FdCommand::Pause => self.valve.set(true),
            FdCommand::Resume if !state.closing => self.valve.set(false),
            _ => {}
        }
        route.send(self.fd, command);
    }

    /// Sends a command that closes; nothing can be written any more.
    pub(crate) fn close(&self, command: FdCommand) {
        let mut state = lock(&self.state);
        state.closing = true;
        self.valve.set(true);
        if let Some(route) = &state.route {
            route.send(self.fd, command);
        }
    }

    /// The descriptor is closed: whatever is sent from now on goes nowhere.
    pub(crate) fn closed(&self) {
        let route = lock(&self.state).route.take();
        drop(route);
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
