//! What can be a protocol.

use std::sync::Arc;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, AsyncContext, Handler, Recipient};

use super::event_queue::EventQueue;
use super::framers::{FramedSink, Framers};
use super::message::{self, FromProcess};
use crate::child::EventSink;
use crate::command::fd_map::FdMap;
use crate::error::SpawnError;
use crate::port::mailbox_turns::MailboxTurns;

/// What can receive the events of a child. Sealed: an address of an actor, a `Recipient`, a reference to
/// one of them, a [`FramedProtocol`](crate::FramedProtocol), or [`NoProtocol`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot receive process events",
    label = "not a protocol",
    note = "implement `ProcessProtocol` for the actor and add `process_protocol!(YourActor);`, or implement `Handler<FromProcess>` yourself",
    note = "an actor in a `SyncContext` cannot be a protocol: its threads would break the order of events"
)]
pub trait IntoProtocol: sealed::SealedProtocol {
    /// The way by which events go to the protocol.
    fn into_protocol(self) -> Protocol;
}

/// The way by which events go to a protocol; made by [`IntoProtocol`].
#[derive(Debug, Clone)]
pub struct Protocol {
    way: Way,
    /// What makes frames of which descriptors, if any are to be decoded.
    framers: Option<Arc<Framers>>,
}

#[derive(Debug, Clone)]
enum Way {
    /// Events are dropped.
    Nowhere,
    Mailbox(Recipient<FromProcess>),
    Queue(Arc<EventQueue>),
}

impl Protocol {
    pub(super) fn new(
        recipient: Option<Recipient<FromProcess>>,
        framers: Option<Arc<Framers>>,
    ) -> Self {
        let way = recipient.map_or(Way::Nowhere, Way::Mailbox);
        Self { way, framers }
    }

    /// Whether what is to be decoded are descriptors of `fds` that we read.
    pub(crate) fn check(&self, fds: &FdMap, terminal_is_stream: bool) -> Result<(), SpawnError> {
        self.framers
            .as_ref()
            .map_or(Ok(()), |framers| framers.check(fds, terminal_is_stream))
    }

    /// False only if there was an actor and it is gone.
    pub(crate) fn is_alive(&self) -> bool {
        match &self.way {
            Way::Nowhere => true,
            Way::Mailbox(recipient) => recipient.connected(),
            Way::Queue(queue) => queue.is_connected(),
        }
    }

    /// What a child's record sends through, and the mailbox behind it.
    pub(crate) fn into_parts(self) -> (Option<Arc<dyn EventSink>>, Arc<MailboxTurns>) {
        match self.way {
            Way::Nowhere => (None, Arc::default()),
            Way::Queue(queue) => (Some(queue), Arc::default()),
            Way::Mailbox(recipient) => {
                let (sink, mailbox_turns) = message::parts_of(recipient);
                let event_sink: Arc<dyn EventSink> = match self.framers {
                    None => sink,
                    Some(framers) => Arc::new(FramedSink { sink, framers }),
                };
                (Some(event_sink), mailbox_turns)
            }
        }
    }
}

/// No protocol: events are dropped, and what the child writes is read and thrown away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a value that users write down")]
pub struct NoProtocol;

pub(super) mod sealed {
    pub trait SealedProtocol {}
}

impl sealed::SealedProtocol for NoProtocol {}
impl IntoProtocol for NoProtocol {
    fn into_protocol(self) -> Protocol {
        Protocol::new(None, None)
    }
}

impl sealed::SealedProtocol for Arc<EventQueue> {}
impl IntoProtocol for Arc<EventQueue> {
    fn into_protocol(self) -> Protocol {
        Protocol {
            way: Way::Queue(self),
            framers: None,
        }
    }
}

impl sealed::SealedProtocol for Recipient<FromProcess> {}
impl IntoProtocol for Recipient<FromProcess> {
    fn into_protocol(self) -> Protocol {
        Protocol::new(Some(self), None)
    }
}

impl sealed::SealedProtocol for &Recipient<FromProcess> {}
#[diagnostic::do_not_recommend]
impl IntoProtocol for &Recipient<FromProcess> {
    fn into_protocol(self) -> Protocol {
        self.clone().into_protocol()
    }
}

impl<A: Actor> sealed::SealedProtocol for Addr<A> {}
#[diagnostic::do_not_recommend]
impl<A> IntoProtocol for Addr<A>
where
    A: Actor + Handler<FromProcess>,
    A::Context: AsyncContext<A> + ToEnvelope<A, FromProcess>,
{
    fn into_protocol(self) -> Protocol {
        Protocol::new(Some(self.recipient()), None)
    }
}

impl<A: Actor> sealed::SealedProtocol for &Addr<A> {}
#[diagnostic::do_not_recommend]
impl<A> IntoProtocol for &Addr<A>
where
    A: Actor + Handler<FromProcess>,
    A::Context: AsyncContext<A> + ToEnvelope<A, FromProcess>,
{
    fn into_protocol(self) -> Protocol {
        self.clone().into_protocol()
    }
}
