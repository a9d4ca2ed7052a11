//! The one message that a protocol gets.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, Weak};

use actix::{Message, Recipient};

use crate::child::{self, Child, EventSink};
use crate::event::ProcessEvent;
use crate::handle::ProcessHandle;
use crate::port::mailbox_turns::MailboxTurns;
use crate::port::window::Credit;
use crate::sync::lock;
use crate::sys;

/// An event of a child, as a message to its protocol actor.
///
/// Most actors implement [`ProcessProtocol`](crate::ProcessProtocol) and never see this message. An actor
/// that handles it by hand returns its share of the window by dropping the message. To make the child wait for a future, move
/// the whole message into the future (an `async` block that names only fields captures only these). The first message works
/// the same way: the crate reads what the child writes only after the message of
/// [`ConnectionMade`](ProcessEvent::ConnectionMade) was dropped.
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
    /// The child that the event is about.
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

    /// The first or the last event, and what is held for it until it is handled.
    pub(super) fn with_receipt(
        event_sink: Arc<dyn EventSink>,
        child: &Arc<Child>,
        event: ProcessEvent,
    ) -> (Self, child::Receipt) {
        let receipt = Arc::new(EventReceipt {
            event_sink,
            child: Arc::clone(child),
        });
        let message = Self {
            process: ProcessHandle::new(Arc::clone(child)),
            event,
            _share: Share::Receipt(Arc::clone(&receipt)),
        };
        (message, receipt)
    }

    /// An event between them, with its share of the window.
    pub(super) fn with_credit(
        child: &Arc<Child>,
        event: ProcessEvent,
        credit: Option<Credit>,
    ) -> Self {
        Self {
            process: ProcessHandle::new(Arc::clone(child)),
            event,
            _share: credit.map_or(Share::Nothing, Share::Credit),
        }
    }
}

/// What must happen when the message is done with.
#[expect(dead_code, reason = "held for what its drop does")]
#[derive(Debug)]
enum Share {
    Nothing,
    Credit(Credit),
    Receipt(Arc<EventReceipt>),
}

/// Held by the first and the last event until they are handled.
///
/// The first event: the crate reads what the child writes when the protocol has handled it, and a protocol that
/// dies before that loses its child, though no watch runs in its context yet. The last event: an actor whose
/// last address drops stops, with what is in its mailbox, if it had just found that empty; so the address stays
/// until the event is handled.
struct EventReceipt {
    event_sink: Arc<dyn EventSink>,
    child: Arc<Child>,
}

impl Drop for EventReceipt {
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

impl std::fmt::Debug for EventReceipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventReceipt").finish_non_exhaustive()
    }
}

impl EventSink for Recipient<FromProcess> {
    fn emit_with_receipt(
        self: Arc<Self>,
        child: &Arc<Child>,
        event: ProcessEvent,
    ) -> child::Receipt {
        let event_sink = Arc::clone(&self) as Arc<dyn EventSink>;
        let (message, receipt) = FromProcess::with_receipt(event_sink, child, event);
        self.do_send(message);
        receipt
    }

    fn emit(&self, child: &Arc<Child>, event: ProcessEvent, credit: Option<Credit>) {
        self.do_send(FromProcess::with_credit(child, event, credit));
    }

    fn is_connected(&self) -> bool {
        self.connected()
    }
}

/// The sink for the events of a protocol, and its turns, which all its children share.
///
/// The sink is dropped with the last of the children, so that the actor can stop.
pub(crate) fn parts_of(
    recipient: Recipient<FromProcess>,
) -> (Arc<dyn EventSink>, Arc<MailboxTurns>) {
    type Parts = (Weak<Recipient<FromProcess>>, Weak<MailboxTurns>);
    // The key is the mailbox's address, which no other mailbox has while a child holds this one. Turns that a
    // kept handle keeps longer have no watch and no children.
    static KNOWN: LazyLock<Mutex<HashMap<u64, Parts>>> = LazyLock::new(Mutex::default);
    let mut hasher = DefaultHasher::new();
    recipient.hash(&mut hasher);
    let key = hasher.finish();

    let mut known = lock(&KNOWN);
    let (event_sink, mailbox_turns) = known
        .get(&key)
        .map_or((None, None), |(event_sink, mailbox_turns)| {
            (event_sink.upgrade(), mailbox_turns.upgrade())
        });
    if let (Some(event_sink), Some(mailbox_turns)) = (&event_sink, &mailbox_turns) {
        let parts = (
            Arc::clone(event_sink) as Arc<dyn EventSink>,
            Arc::clone(mailbox_turns),
        );
        drop(known);
        return parts;
    }
    if known.len() == known.capacity() {
        known.retain(|_, (_, mailbox_turns)| mailbox_turns.strong_count() > 0);
    }
    let event_sink = Arc::new(recipient);
    let mailbox_turns = mailbox_turns.unwrap_or_default();
    known.insert(
        key,
        (Arc::downgrade(&event_sink), Arc::downgrade(&mailbox_turns)),
    );
    (event_sink, mailbox_turns)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix::{Actor, Context, Handler, System};

    use super::*;

    struct Listener;

    impl Actor for Listener {
        type Context = Context<Self>;
    }

    impl Handler<FromProcess> for Listener {
        type Result = ();

        fn handle(&mut self, _: FromProcess, _: &mut Context<Self>) {}
    }

    #[test]
    fn the_way_to_a_protocol_is_one_for_all_its_children_and_goes_with_the_last() {
        System::new().block_on(async {
            let address = Listener.start();
            let [one, other] = [(); 2].map(|()| parts_of(address.clone().recipient()));
            assert!(Arc::ptr_eq(&one.1, &other.1));
            assert_eq!(
                Arc::as_ptr(&one.0).cast::<()>(),
                Arc::as_ptr(&other.0).cast::<()>()
            );
            let weak = address.downgrade();
            drop((address, one.0));
            tokio::task::yield_now().await;
            assert!(other.0.is_connected());
            drop(other.0);
            for _ in 0..3_000 {
                if weak.upgrade().is_none() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("the actor runs on, and nobody has its address");
        });
    }
}
