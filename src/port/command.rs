//! What the actor of a descriptor is told, and the way to it.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message};
use bytes::Bytes;

use crate::event::CloseReason;
use crate::sys;
use crate::sys::io::Registered;
use crate::terminal_modes::TerminalModes;
use crate::winsize::PtySize;

/// What the actor of a descriptor is told, or fetches. No `Debug`: it carries what is written.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum FdCommand {
    Write(Bytes),
    WriteSequence(Vec<Bytes>),
    /// Close, and give this reason: by `ByParent` a writer flushes its queue before, by all others it drops
    /// it; by `Cut` a reader takes what the pipe holds before.
    Close(CloseReason),
    /// Whether to pause.
    Pause(bool),
    /// The child is reaped: what the pipe holds now is its own. Only where a clock is to know.
    Reaped,
    /// Read on, but throw it away: the other half of a terminal is being flushed.
    Discard,
}

/// Takes the commands for one descriptor: its actor. Called with the port's lock held: must not call back.
pub(crate) trait Route: fmt::Debug + Send + Sync {
    fn send(&self, command: FdCommand);

    /// Whether what is written waits in the port's outbox until it is fetched, and a close until the port is
    /// told of it. Otherwise both are sent, and done.
    fn keeps_a_queue(&self) -> bool {
        true
    }
}

impl<A> Route for Addr<A>
where
    A: Actor + Handler<FdCommand>,
    A::Context: ToEnvelope<A, FdCommand>,
{
    fn send(&self, command: FdCommand) {
        self.do_send(command);
    }
}

/// The master of a terminal.
pub(crate) trait Terminal: Send + Sync {
    fn set_size(&self, size: PtySize) -> io::Result<()>;
    /// What is typed to end the input of a program that reads by lines; `None` if the terminal is not
    /// read so.
    fn end_of_input(&self) -> Option<u8>;
    /// What it is set to; `None` where there is none behind it.
    fn modes(&self) -> io::Result<Option<TerminalModes>>;
}

impl Terminal for Registered<OwnedFd> {
    fn set_size(&self, size: PtySize) -> io::Result<()> {
        sys::tty::set_size(self.get_ref().as_fd(), size)
    }

    fn end_of_input(&self) -> Option<u8> {
        sys::tty::end_of_input(self.get_ref().as_fd())
    }

    fn modes(&self) -> io::Result<Option<TerminalModes>> {
        sys::tty::modes(self.get_ref().as_fd()).map(Some)
    }
}
