//! The actor of one child, on the arbiter where its spawn was asked.

use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, Context};

use crate::child::Child;
use crate::credit::Window;
use crate::feed::Feed;
use crate::pipe::{End, PipeReader, PipeWriter, Target};
use crate::port::{Direction, Port, Route};

/// The parent's end of one pipe, registered with the arbiter's runtime.
#[derive(Debug)]
pub(crate) struct Piped {
    pub(crate) fd: i32,
    pub(crate) purpose: Purpose,
    pub(crate) end: End,
}

/// What a pipe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The parent writes.
    Input,
    /// The parent reads for the protocol, or for a stream.
    Output { window: usize, stream: bool },
}

impl Purpose {
    pub(crate) const fn is_output(self) -> bool {
        matches!(self, Self::Output { .. })
    }
}

/// Owns the pipe actors of a child, and the child itself for as long as it lives: whatever ends
/// this actor before the child's end (its arbiter stops, it panics) orphans the child, which closes
/// the pipes as well.
#[derive(Debug)]
pub(crate) struct Process {
    owner: Owner,
}

#[derive(Debug)]
struct Owner(Arc<Child>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.orphan("its Process actor is gone");
    }
}

impl Process {
    /// Makes the actors of `child` on this arbiter, and gives the child's record the ways to them.
    /// They do not run before the arbiter turns; those that read are still to be started. `Process` stops when
    /// its address drops: when the child's last event was queued, nothing is left to own.
    pub(crate) fn start_with(child: &Arc<Child>, pipes: Vec<Piped>) -> (Addr<Self>, Readers) {
        let outputs = pipes.iter().filter(|piped| piped.purpose.is_output());
        let mut readers = Readers(Vec::with_capacity(outputs.count()));
        let ports = pipes
            .into_iter()
            .map(|piped| open(child, piped, &mut readers));
        child.set_ports(ports.collect());
        let owner = Owner(Arc::clone(child));
        (Self { owner }.start(), readers)
    }
}

/// The actors that will read, with their mailboxes.
pub(crate) struct Readers(Vec<(Context<PipeReader>, PipeReader)>);

impl Readers {
    /// Once `ConnectionMade` is queued: a protocol that waits on this arbiter has its turn before them,
    /// and so they find the gate open.
    pub(crate) fn start(self) {
        for (mailbox, reader) in self.0 {
            mailbox.run(reader);
        }
    }
}

/// Starts the actor of one pipe, or puts it to `readers`.
fn open(child: &Arc<Child>, piped: Piped, readers: &mut Readers) -> Port {
    let Piped { fd, purpose, end } = piped;
    let (terminal, master) = (end.is_terminal(), end.master());
    let child = Arc::clone(child);
    let port = match purpose {
        Purpose::Input => {
            let writer = PipeWriter::new(child, fd, end).start();
            Port::new(fd, Direction::Write, Route::Actor(writer.recipient()))
        }
        Purpose::Output { window, stream } => {
            let feed = stream.then(Arc::<Feed>::default);
            let target = match (&feed, child.outlet()) {
                (Some(feed), _) => Target::Stream(Window::of_stream(window), Arc::clone(feed)),
                (None, Some(outlet)) => {
                    let window = Window::new(window, Arc::clone(&child.inbox));
                    Target::Protocol(window, outlet)
                }
                (None, None) => Target::Nobody,
            };
            let mailbox = Context::new();
            let route = Route::Actor(mailbox.address().recipient());
            let reader = PipeReader::new(child, fd, end, target);
            readers.0.push((mailbox, reader));
            Port::new(fd, Direction::Read, route).fed_from(feed)
        }
    };
    port.of_terminal(terminal).of_master(master)
}

impl Actor for Process {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        log::trace!("the actor of {} stops", self.owner.0);
    }
}
