//! The actor of one child, on the arbiter where its spawn was asked.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use actix::{Actor, ActorContext, Addr, Context, Handler, Message};
use tokio::io::unix::AsyncFd;

use crate::child::Child;
use crate::pipe::{PipeReader, PipeWriter};
use crate::port::{Direction, FdCommand, Port, Route, Valve};

/// The parent's end of one pipe, registered with the arbiter's runtime.
#[derive(Debug)]
pub(crate) struct Piped {
    pub(crate) fd: i32,
    pub(crate) direction: Direction,
    pub(crate) end: AsyncFd<OwnedFd>,
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
    /// Starts the actors of `child` on this arbiter, readers held, and gives the child's record
    /// the ways to them.
    pub(crate) fn start_with(child: &Arc<Child>, pipes: Vec<Piped>, window: usize) -> Addr<Self> {
        let ports = pipes
            .into_iter()
            .map(|Piped { fd, direction, end }| {
                let child = Arc::clone(child);
                let valve = Arc::new(Valve::default());
                let actor = match direction {
                    Direction::Read => {
                        let valve = Arc::clone(&valve);
                        PipeReader::new(child, fd, end, window, valve)
                            .start()
                            .recipient()
                    }
                    Direction::Write => PipeWriter::new(child, fd, end).start().recipient(),
                };
                Port::new(fd, direction, valve, Route::Actor(actor))
            })
            .collect();
        child.set_ports(ports);
        let owner = Owner(Arc::clone(child));
        Self { owner }.start()
    }

    /// Lets the readers begin.
    pub(crate) fn release(child: &Child) {
        for port in child.ports() {
            if port.direction() == Direction::Read {
                port.send(FdCommand::Release);
            }
        }
    }
}

impl Actor for Process {
    type Context = Context<Self>;
}

/// The child's last event was queued: nothing is left to own.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Ended;

impl Handler<Ended> for Process {
    type Result = ();

    fn handle(&mut self, _: Ended, ctx: &mut Self::Context) {
        log::trace!("the actor of process {} stops", self.owner.0.id);
        ctx.stop();
    }
}
