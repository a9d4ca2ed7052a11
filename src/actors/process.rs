//! The actor of one child, on the arbiter where all the child's actors live.

use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, Context};

use crate::actors::framing::{FdFraming, LineFramer};
use crate::actors::{Destination, End, PipeReader, PipeWriter};
use crate::child::Child;
use crate::event::CloseReason;
use crate::port::kept_output::KeptOutput;
use crate::port::piped::Piped;
use crate::port::role::Role;
use crate::port::stream_queue::StreamQueue;
use crate::port::window::Window;
use crate::port::{FdCommand, Port, Route};
use crate::sys;

/// Owns the pipe actors of a child, and the child itself for as long as it lives: whatever ends
/// this actor before the child's end (its arbiter stops, it panics) orphans the child and closes the pipes.
#[derive(Debug)]
pub(crate) struct Process {
    child: Arc<Child>,
    /// The addresses of the pipe actors. The child's ports borrow them: commands go from a port straight to its
    /// actor, as long as this actor lives.
    pipes: Vec<Arc<dyn Route>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        if sys::copy::is_copy() || self.child.progress.is_ended() {
            return;
        }
        // The policy comes before the closes.
        self.child.orphan("its Process actor is gone");
        // The thread that applied the policy may find the ways gone now, and so close nothing.
        for pipe in &self.pipes {
            pipe.send(FdCommand::Close(CloseReason::Gone));
        }
    }
}

impl Process {
    /// Makes the actors of `child` on this arbiter, and gives the child's record the ways to them.
    /// They do not run before the arbiter turns; those that read are still to be started. `Process` stops when
    /// its address drops: when the child's last event was queued, nothing is left to own.
    pub(crate) fn start_with(child: &Arc<Child>, pipes: Vec<Piped<End>>) -> (Addr<Self>, Readers) {
        let outputs = pipes.iter().filter(|piped| piped.role.is_output());
        let mut readers = Readers(Vec::with_capacity(outputs.count()));
        let mut ports = Vec::with_capacity(pipes.len());
        // Into the allocation of `pipes`.
        let pipes = pipes.into_iter().map(|piped| {
            let (route, port) = open(child, piped, &mut readers);
            ports.push(port);
            route
        });
        let process = Self::owning(child, pipes.collect());
        child.set_ports(ports);
        (process.start(), readers)
    }

    pub(crate) fn owning(child: &Arc<Child>, pipes: Vec<Arc<dyn Route>>) -> Self {
        let child = Arc::clone(child);
        Self { child, pipes }
    }
}

/// The actors that will read, with their mailboxes.
pub(crate) struct Readers(Vec<(Context<PipeReader>, PipeReader)>);

impl Readers {
    /// Makes the actor that reads `end`, and the way to it.
    fn put(
        &mut self,
        child: Arc<Child>,
        piped: Piped<End>,
        destination: Destination,
    ) -> (Arc<dyn Route>, Port) {
        let Piped { fd, role, end } = piped;
        let mailbox = Context::new();
        let route: Arc<dyn Route> = Arc::new(mailbox.address());
        let reader = PipeReader::new(child, fd, end, destination);
        self.0.push((mailbox, reader));
        let port = Port::new(fd, role, &route);
        (route, port)
    }

    /// Once `ConnectionMade` is queued: a protocol that waits on this arbiter has its turn before them,
    /// and so they find the gate open.
    pub(crate) fn start(self) {
        for (mailbox, reader) in self.0 {
            mailbox.run(reader);
        }
    }
}

/// Starts the actor of one pipe, or puts it to `readers`.
fn open(child: &Arc<Child>, piped: Piped<End>, readers: &mut Readers) -> (Arc<dyn Route>, Port) {
    let Piped { fd, role, .. } = piped;
    let master = piped.end.master();
    let child = Arc::clone(child);
    let (route, port) = match role {
        Role::Input => {
            let writer = PipeWriter::new(child, fd, piped.end).start();
            let route: Arc<dyn Route> = Arc::new(writer);
            let port = Port::new(fd, role, &route);
            (route, port)
        }
        Role::Lines { window, max } => {
            let destination = match child.event_sink() {
                Some(event_sink) => {
                    let window = Window::new(window, Arc::clone(&child.mailbox_turns));
                    let framer = LineFramer::new(max, event_sink);
                    Destination::Framed(FdFraming::new(window, Box::new(framer)))
                }
                None => Destination::Nobody,
            };
            readers.put(child, piped, destination)
        }
        Role::Kept(keep) => {
            let kept = Arc::new(KeptOutput::new(keep));
            let destination = Destination::Kept(Arc::clone(&kept));
            let (route, port) = readers.put(child, piped, destination);
            (route, port.with_kept(Some(kept)))
        }
        Role::Output { window, stream } => {
            let stream_queue = stream.then(Arc::<StreamQueue>::default);
            let destination = match (&stream_queue, child.event_sink()) {
                (Some(stream_queue), _) => {
                    Destination::Stream(Window::of_stream(window), Arc::clone(stream_queue))
                }
                (None, Some(event_sink)) => {
                    let window = Window::new(window, Arc::clone(&child.mailbox_turns));
                    match event_sink.take_framer(fd) {
                        Some(framer) => Destination::Framed(FdFraming::new(window, framer)),
                        None => Destination::Protocol(window, event_sink),
                    }
                }
                (None, None) => Destination::Nobody,
            };
            let (route, port) = readers.put(child, piped, destination);
            (route, port.with_stream_queue(stream_queue))
        }
    };
    (route, port.of_terminal(master))
}

impl Actor for Process {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        log::trace!("the actor of {} stops", self.child);
    }
}
