//! The way of what a worker is told to its task. Pool and task are on one thread, so there is no lock and no atomic number.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::LinkCommand;

#[derive(Default)]
struct CommandQueue {
    waiting: RefCell<VecDeque<LinkCommand>>,
    /// Of the task that waits.
    waker: Cell<Option<Waker>>,
    /// One of the two is gone.
    closed: Cell<bool>,
}

impl CommandQueue {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Of the pool. With its drop the task has heard all.
pub(in crate::pool) struct CommandSender(Rc<CommandQueue>);

/// Of the task.
pub(in crate::pool) struct CommandReceiver(Rc<CommandQueue>);

pub(in crate::pool) fn commands() -> (CommandSender, CommandReceiver) {
    let queue = Rc::<CommandQueue>::default();
    (CommandSender(Rc::clone(&queue)), CommandReceiver(queue))
}

impl CommandSender {
    pub(super) fn send(&self, command: LinkCommand) {
        // Whoever waits for what is in it hears of that by its drop.
        if !self.0.closed.get() {
            self.0.waiting.borrow_mut().push_back(command);
            self.0.wake();
        }
    }
}

impl Drop for CommandSender {
    fn drop(&mut self) {
        self.0.closed.set(true);
        self.0.wake();
    }
}

impl Drop for CommandReceiver {
    fn drop(&mut self) {
        self.0.closed.set(true);
        let waiting = self.0.waiting.take();
        drop(waiting);
    }
}

impl CommandReceiver {
    /// The next command; `None` when there will be none.
    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<LinkCommand>> {
        if let Some(command) = self.0.waiting.borrow_mut().pop_front() {
            return Poll::Ready(Some(command));
        }
        if self.0.closed.get() {
            return Poll::Ready(None);
        }
        let waker = self.0.waker.take().filter(|old| old.will_wake(cx.waker()));
        let waker = waker.unwrap_or_else(|| cx.waker().clone());
        self.0.waker.set(Some(waker));
        Poll::Pending
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.waiting.borrow().is_empty()
    }
}
