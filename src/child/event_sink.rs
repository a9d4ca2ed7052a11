//! The way from the record of a child to its protocol.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use super::Child;
use crate::child::framer::Framer;
use crate::event::ProcessEvent;
use crate::port::window::Credit;

/// What is to be dropped when the record is unlocked: a message that could not be sent may go on in its
/// drop.
pub(crate) type Receipt = Arc<dyn Send + Sync>;

/// The way to a protocol.
pub(crate) trait EventSink: fmt::Debug + Send + Sync {
    /// Queues the first or the last event, which keeps the protocol's mailbox connected until it is
    /// handled. Called with the record's lock held: must not call back.
    fn emit_with_receipt(self: Arc<Self>, child: &Arc<Child>, event: ProcessEvent) -> Receipt;
    /// Queues an event between them. May be called with the record's lock held: must not call back.
    fn emit(&self, child: &Arc<Child>, event: ProcessEvent, credit: Option<Credit>);
    /// Whose task is to be woken for what was emitted, if that is not a mailbox's: when no lock is held.
    fn take_waker(&self) -> Option<Waker> {
        None
    }
    /// Whether the protocol's mailbox is open.
    fn is_connected(&self) -> bool;
    /// What makes frames of the data of `fd`, if the protocol wants that. Once.
    fn take_framer(&self, _: i32) -> Option<Box<dyn Framer>> {
        None
    }
}
