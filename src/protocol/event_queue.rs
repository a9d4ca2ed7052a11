//! The way to a taker of events that is no actor: a queue in place of a mailbox.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::message::FromProcess;
use crate::child::{self, Child, EventSink};
use crate::event::ProcessEvent;
use crate::port::window::Credit;
use crate::sync::lock;
use crate::sys;

/// Bounded by the credits that its messages hold.
#[derive(Default)]
pub(crate) struct EventQueue {
    state: Mutex<EventQueueState>,
}

#[derive(Default)]
struct EventQueueState {
    messages: VecDeque<FromProcess>,
    waker: Option<Waker>,
    /// The last event is in the queue, or was.
    complete: bool,
    /// Nobody takes any more.
    closed: bool,
}

impl EventQueue {
    /// The next message; `None` after that of the last event.
    fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<FromProcess>> {
        let mut waker = Some(cx.waker().clone());
        let mut state = lock(&self.state);
        if let Some(message) = state.messages.pop_front() {
            return Poll::Ready(Some(message));
        }
        if state.complete {
            return Poll::Ready(None);
        }
        // Made before the lock was taken, and the one before dropped after it is released.
        std::mem::swap(&mut state.waker, &mut waker);
        drop(state);
        drop(waker);
        Poll::Pending
    }

    /// Nobody takes any more.
    fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let messages = std::mem::take(&mut state.messages);
        drop(state);
        // Their shares return, which wakes readers.
        drop(messages);
    }

    fn push(&self, message: FromProcess) {
        let mut state = lock(&self.state);
        if state.closed {
            drop(state);
            return drop(message);
        }
        state.complete = matches!(message.event, ProcessEvent::ProcessEnded { .. });
        state.messages.push_back(message);
    }
}

/// Who takes the messages of a queue. Its drop closes the queue.
#[derive(Debug, Default)]
pub(crate) struct EventTaker {
    queue: Arc<EventQueue>,
}

impl EventTaker {
    pub(crate) const fn queue(&self) -> &Arc<EventQueue> {
        &self.queue
    }

    /// The next message; `None` after that of the last event.
    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<FromProcess>> {
        self.queue.poll_next(cx)
    }

    /// Takes no more.
    pub(crate) fn close(&self) {
        self.queue.close();
    }
}

impl Drop for EventTaker {
    fn drop(&mut self) {
        // In a copy of the process its lock may be held.
        if !sys::copy::is_copy() {
            self.close();
        }
    }
}

impl EventSink for EventQueue {
    fn emit_with_receipt(
        self: Arc<Self>,
        child: &Arc<Child>,
        event: ProcessEvent,
    ) -> child::Receipt {
        let event_sink = Arc::clone(&self) as Arc<dyn EventSink>;
        let (message, receipt) = FromProcess::with_receipt(event_sink, child, event);
        self.push(message);
        receipt
    }

    fn emit(&self, child: &Arc<Child>, event: ProcessEvent, credit: Option<Credit>) {
        self.push(FromProcess::with_credit(child, event, credit));
    }

    fn take_waker(&self) -> Option<Waker> {
        lock(&self.state).waker.take()
    }

    fn is_connected(&self) -> bool {
        !lock(&self.state).closed
    }
}

/// No content.
impl fmt::Debug for EventQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("EventQueue")
            .field("messages", &state.messages.len())
            .field("complete", &state.complete)
            .field("closed", &state.closed)
            .finish_non_exhaustive()
    }
}
