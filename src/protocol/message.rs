//! The one message that a protocol gets.

use std::sync::Arc;

use actix::{Message, Recipient};

use crate::child::{self, Child, EventSink};
use crate::event::ProcessEvent;
use crate::handle::ProcessHandle;
use crate::port::window::Credit;
use crate::sys;

/// An event of a child, as a message to its protocol actor.
///
/// Most actors implement [`ProcessProtocol`](crate::ProcessProtocol) and never see it. An actor
/// that handles it itself returns the flow control's credit by dropping the message; one that
/// works on in a future moves the whole message into that future, to let the child wait (a block that
/// names only fields of it captures only these). The first event holds the same way: what the child
/// writes is read when the message of [`ConnectionMade`](ProcessEvent::ConnectionMade) was dropped, and
/// never while it is kept.
///
/// ```
/// use actix::prelude::*;
/// use actix_process::{FromProcess, ProcessEvent};
///
/// struct Slow;
/// impl Actor for Slow {
///     type Context = Context<Self>;
/// }
/// impl Handler<FromProcess> for Slow {
///     type Result = ();
///     fn handle(&mut self, message: FromProcess, ctx: &mut Context<Self>) {
///         if let ProcessEvent::ChildDataReceived { .. } = message.event {
///             let work = async move {
///                 actix_rt::time::sleep(std::time::Duration::from_millis(1)).await;
///                 drop(message);
///             };
///             ctx.spawn(work.into_actor(self));
///         }
///     }
/// }
/// ```
#[derive(Debug, Message)]
#[rtype(result = "()")]
#[non_exhaustive]
pub struct FromProcess {
    /// Whose event it is.
    pub process: ProcessHandle,
    /// What happened.
    pub event: ProcessEvent,
    _share: Share,
}

impl FromProcess {
    /// A message as the crate sends it, for tests of protocols.
    #[must_use]
    pub const fn new(process: ProcessHandle, event: ProcessEvent) -> Self {
        Self {
            process,
            event,
            _share: Share::Nothing,
        }
    }
}

/// What must happen when the message is done with.
#[expect(dead_code, reason = "held for what its drop does")]
#[derive(Debug)]
enum Share {
    Nothing,
    Credit(Credit),
    Receipt(Arc<Receipt>),
}

/// Held by the first and the last event until they are handled.
///
/// The first: what the child writes is read when the protocol has handled it, and a protocol that dies
/// before that loses its child, though no watch runs in its context yet. The last: an actor whose last address drops stops with what is in its mailbox
/// if it had just found that empty, so the address stays until the event is handled.
struct Receipt {
    event_sink: Arc<dyn EventSink>,
    child: Arc<Child>,
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if sys::copy::is_copy() {
            return;
        }
        if !self.event_sink.is_connected() {
            self.child.orphan("its protocol is gone");
        }
        // The last event finds it open.
        self.child.gate.open();
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt").finish_non_exhaustive()
    }
}

impl EventSink for Recipient<FromProcess> {
    fn emit_with_receipt(
        self: Arc<Self>,
        child: &Arc<Child>,
        event: ProcessEvent,
    ) -> child::Receipt {
        let receipt = Arc::new(Receipt {
            event_sink: Arc::clone(&self) as Arc<dyn EventSink>,
            child: Arc::clone(child),
        });
        self.do_send(FromProcess {
            process: ProcessHandle::new(Arc::clone(child)),
            event,
            _share: Share::Receipt(Arc::clone(&receipt)),
        });
        receipt
    }

    fn emit(&self, child: &Arc<Child>, event: ProcessEvent, credit: Option<Credit>) {
        self.do_send(FromProcess {
            process: ProcessHandle::new(Arc::clone(child)),
            event,
            _share: credit.map_or(Share::Nothing, Share::Credit),
        });
    }

    fn is_connected(&self) -> bool {
        self.connected()
    }
}
