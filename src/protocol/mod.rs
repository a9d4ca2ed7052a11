//! How an actor becomes a protocol.

pub(crate) mod event_queue;
mod framers;
pub(crate) mod frames;
pub(crate) mod into;
mod liveness_watch;
pub(crate) mod message;

use actix::{Actor, AsyncContext};
use bytes::Bytes;

use crate::error::SpawnError;
use crate::event::{CloseReason, ProcessEvent};
use crate::handle::ProcessHandle;
use crate::line::Line;
use crate::status::ExitStatus;
use crate::text::Escaped;
use liveness_watch::attend;
use message::FromProcess;

/// An actor that gets the events of its children: Twisted's `ProcessProtocol`.
///
/// A callback that is not written does nothing, but for [`spawn_failed`](Self::spawn_failed), which logs. One actor may serve
/// any number of children; each callback gets the handle of the child that it is about. Add
/// [`process_protocol!`](crate::process_protocol), which writes the message handler.
///
/// A child holds its protocol's address until it has ended, so the actor lives without another address. When the actor stops
/// itself, or panics in a callback, its children follow their [`OnOrphaned`](crate::OnOrphaned).
///
/// ```
/// use actix::prelude::*;
/// use actix_process::{Bytes, Command, ExitStatus, ProcessHandle, ProcessProtocol, process_protocol};
///
/// struct Wc(Vec<u8>);
///
/// impl Actor for Wc {
///     type Context = Context<Self>;
/// }
///
/// impl ProcessProtocol for Wc {
///     fn connection_made(&mut self, process: &ProcessHandle, _: &mut Self::Context) {
///         let _ = process.write("one two\nthree\n");
///         process.close_stdin();
///     }
///     fn out_received(&mut self, _: &ProcessHandle, data: Bytes, _: &mut Self::Context) {
///         self.0.extend_from_slice(&data);
///     }
///     fn process_ended(&mut self, _: &ProcessHandle, status: ExitStatus, _: &mut Self::Context) {
///         assert_eq!(self.0, b"3\n");
///         println!("{status}: {} words", String::from_utf8_lossy(&self.0).trim());
///     }
/// }
/// process_protocol!(Wc);
///
/// # System::new().block_on(async {
/// let process = Command::new("wc").arg("-w").spawn(Wc(Vec::new()).start()).await?;
/// assert!(process.ended().await.success());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[allow(unused_variables)]
pub trait ProcessProtocol: Actor {
    /// The child runs. This is the first callback, once.
    ///
    /// The crate begins to read what the child writes when this has returned. So a descriptor that is paused here
    /// gives no byte until it is resumed, however quick the child is.
    fn connection_made(&mut self, process: &ProcessHandle, ctx: &mut Self::Context) {}

    /// The child wrote to `fd`. Any number of times; never after that descriptor's
    /// [`child_connection_lost`](Self::child_connection_lost). The child waits while the actor is
    /// slow: the credit for `data` returns when this callback does.
    ///
    /// By default calls [`out_received`](Self::out_received) for 1 and
    /// [`err_received`](Self::err_received) for 2.
    fn child_data_received(
        &mut self,
        process: &ProcessHandle,
        fd: i32,
        data: Bytes,
        ctx: &mut Self::Context,
    ) {
        match fd {
            1 => self.out_received(process, data, ctx),
            2 => self.err_received(process, data, ctx),
            _ => {}
        }
    }

    /// The child wrote to its standard output.
    ///
    /// For work that takes time, the child must wait. A future that `ctx.spawn` gets here runs beside
    /// the next callbacks, and nothing bounds their number: the credit returns with this callback, and a child that writes all
    /// the time fills the memory with futures (`yes`: 198 MB in one second). Either the actor waits, and handles no message
    /// meanwhile:
    ///
    /// ```
    /// # use actix::prelude::*;
    /// # use actix_process::{Bytes, ProcessHandle, ProcessProtocol, process_protocol};
    /// # struct Store;
    /// # impl Actor for Store { type Context = Context<Self>; }
    /// async fn store(data: Bytes) { /* .. */ }
    ///
    /// impl ProcessProtocol for Store {
    ///     fn out_received(&mut self, _: &ProcessHandle, data: Bytes, ctx: &mut Context<Self>) {
    ///         ctx.wait(store(data).into_actor(self));
    ///     }
    /// }
    /// process_protocol!(Store);
    /// ```
    ///
    /// Or the future holds the message, and so its credit, while the actor goes on with other messages. The handler is then
    /// written by hand, as [`FromProcess`] shows, and the [window](crate::Command::window) and 64 messages bound the number of
    /// such futures. Both ways work for lines and frames as well.
    fn out_received(&mut self, process: &ProcessHandle, data: Bytes, ctx: &mut Self::Context) {}

    /// The child wrote to its standard error.
    fn err_received(&mut self, process: &ProcessHandle, data: Bytes, ctx: &mut Self::Context) {}

    /// The child wrote a line to `fd`, which its command made [`Fd::lines`](crate::Fd::lines); see there for
    /// lines that are too long. Lines come in the order in which they were written,
    /// all of them before that descriptor's [`child_connection_lost`](Self::child_connection_lost).
    ///
    /// Each line is one message: its credit returns when this callback does, and `ctx.wait` here holds up the next
    /// line (see [`out_received`](Self::out_received)).
    fn line_received(
        &mut self,
        process: &ProcessHandle,
        fd: i32,
        line: Line,
        ctx: &mut Self::Context,
    ) {
    }

    /// `fd` is closed. Once for each piped descriptor, before
    /// [`process_ended`](Self::process_ended), before or after
    /// [`process_exited`](Self::process_exited).
    ///
    /// By default calls `in_`, `out_` and `err_connection_lost` for 0, 1 and 2.
    fn child_connection_lost(
        &mut self,
        process: &ProcessHandle,
        fd: i32,
        reason: CloseReason,
        ctx: &mut Self::Context,
    ) {
        match fd {
            0 => self.in_connection_lost(process, reason, ctx),
            1 => self.out_connection_lost(process, reason, ctx),
            2 => self.err_connection_lost(process, reason, ctx),
            _ => {}
        }
    }

    /// The child's standard input is closed.
    fn in_connection_lost(
        &mut self,
        process: &ProcessHandle,
        reason: CloseReason,
        ctx: &mut Self::Context,
    ) {
    }

    /// The child's standard output is closed.
    fn out_connection_lost(
        &mut self,
        process: &ProcessHandle,
        reason: CloseReason,
        ctx: &mut Self::Context,
    ) {
    }

    /// The child's standard error is closed.
    fn err_connection_lost(
        &mut self,
        process: &ProcessHandle,
        reason: CloseReason,
        ctx: &mut Self::Context,
    ) {
    }

    /// The child has exited and was reaped. Once. Data and closes may still follow: a grandchild may hold the
    /// child's pipes.
    fn process_exited(
        &mut self,
        process: &ProcessHandle,
        status: ExitStatus,
        ctx: &mut Self::Context,
    ) {
    }

    /// The child was reaped and all its pipes are closed. This is the last callback, once.
    fn process_ended(
        &mut self,
        process: &ProcessHandle,
        status: ExitStatus,
        ctx: &mut Self::Context,
    ) {
    }

    /// A spawn by [`Command::spawn_in`](crate::Command::spawn_in) has failed: there is no child, and no other callback
    /// of this spawn. `name` is what the child would have been called
    /// ([`ProcessHandle::name`](crate::ProcessHandle::name)), and [`error.id()`](SpawnError::id) the number
    /// that `spawn_in` gave.
    ///
    /// Other ways to spawn give the error to their caller, and do not call this callback. The default logs a
    /// warning.
    fn spawn_failed(&mut self, name: &str, error: SpawnError, ctx: &mut Self::Context) {
        match error.name() {
            // Its text begins with it.
            Some(_) => log::warn!("{error}"),
            None => log::warn!("{}: {error}", Escaped(name)),
        }
    }
}

impl FromProcess {
    /// Calls the callback of `actor` for this event. The handler that
    /// [`process_protocol!`](crate::process_protocol) writes calls this; a handler of your own that looks at messages first
    /// calls it too.
    pub fn dispatch<A>(self, actor: &mut A, ctx: &mut A::Context)
    where
        A: ProcessProtocol,
        A::Context: AsyncContext<A>,
    {
        let process = &self.process;
        match self.event {
            ProcessEvent::ConnectionMade => {
                attend::<A>(process.child(), ctx);
                actor.connection_made(process, ctx);
            }
            ProcessEvent::ChildDataReceived { fd, data } => {
                actor.child_data_received(process, fd, data, ctx);
            }
            ProcessEvent::ChildLineReceived { fd, line } => {
                actor.line_received(process, fd, line, ctx);
            }
            ProcessEvent::ChildConnectionLost { fd, reason } => {
                actor.child_connection_lost(process, fd, reason, ctx);
            }
            ProcessEvent::ProcessExited { status } => actor.process_exited(process, status, ctx),
            ProcessEvent::ProcessEnded { status } => actor.process_ended(process, status, ctx),
        }
    }
}

/// Writes the handler that passes a child's events to an actor's
/// [`ProcessProtocol`](crate::ProcessProtocol) callbacks.
///
/// ```
/// use actix::prelude::*;
/// use actix_process::{ProcessProtocol, process_protocol};
///
/// trait Job: Unpin + 'static {}
///
/// struct One;
/// struct Two;
/// struct Worker<J>(J);
///
/// impl Actor for One { type Context = Context<Self>; }
/// impl Actor for Two { type Context = Context<Self>; }
/// impl<J: Job> Actor for Worker<J> { type Context = Context<Self>; }
/// impl ProcessProtocol for One {}
/// impl ProcessProtocol for Two {}
/// impl<J: Job> ProcessProtocol for Worker<J> {}
///
/// process_protocol!(One, Two);
/// process_protocol!(impl<J: Job> for Worker<J>);
/// ```
#[macro_export]
macro_rules! process_protocol {
    (impl<$($param:ident $(: $bound:tt $(+ $more:tt)*)?),+ $(,)?> for $actor:ty) => {
        impl<$($param $(: $bound $(+ $more)*)?),+> $crate::__private::actix::Handler<$crate::FromProcess> for $actor {
            type Result = ();

            fn handle(&mut self, message: $crate::FromProcess, ctx: &mut Self::Context) {
                message.dispatch(self, ctx);
            }
        }
    };
    ($($actor:ty),+ $(,)?) => {
        $(
            impl $crate::__private::actix::Handler<$crate::FromProcess> for $actor {
                type Result = ();

                fn handle(&mut self, message: $crate::FromProcess, ctx: &mut Self::Context) {
                    message.dispatch(self, ctx);
                }
            }
        )+
    };
}
