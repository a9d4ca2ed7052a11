//! What keeps a child's readers from reading before its protocol has handled `ConnectionMade`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use crate::sync::lock;

/// Shut at first; once open it stays so.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: AtomicBool,
    /// One a reader at most.
    waiters: Mutex<Vec<Waker>>,
}

impl Gate {
    /// Ready when it is open. Pending: the task will be woken.
    pub(crate) fn poll_open(&self, cx: &Context<'_>) -> Poll<()> {
        if self.open.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let mut waiters = lock(&self.waiters);
        // `open` marks the gate first and takes the waiters then.
        if self.open.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        if !waiters.iter().any(|waiter| waiter.will_wake(cx.waker())) {
            waiters.push(cx.waker().clone());
        }
        Poll::Pending
    }

    pub(crate) fn open(&self) {
        if self.open.swap(true, Ordering::AcqRel) {
            return;
        }
        let waiters = std::mem::take(&mut *lock(&self.waiters));
        waiters.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use futures::executor::block_on;

    use super::*;

    #[test]
    fn a_reader_waits_until_it_is_opened_and_is_remembered_once() {
        let gate = Gate::default();
        struct Task;
        impl std::task::Wake for Task {
            fn wake(self: Arc<Self>) {}
        }
        let task = Arc::new(Task).into();
        let cx = Context::from_waker(&task);
        assert!(gate.poll_open(&cx).is_pending());
        assert!(gate.poll_open(&cx).is_pending());
        assert_eq!(lock(&gate.waiters).len(), 1);
        gate.open();
        gate.open();
        assert!(gate.poll_open(&cx).is_ready());
        assert_eq!(lock(&gate.waiters).len(), 0);
    }

    /// On threads of their own: a lost wake would leave a reader waiting for ever.
    #[test]
    fn every_reader_is_woken_whenever_it_is_opened() {
        for _ in 0..300 {
            let gate = Arc::new(Gate::default());
            let (tell, told) = mpsc::channel();
            for _ in 0..2 {
                let (gate, tell) = (Arc::clone(&gate), tell.clone());
                std::thread::spawn(move || {
                    block_on(poll_fn(|cx| gate.poll_open(cx)));
                    let _ = tell.send(());
                });
            }
            gate.open();
            for _ in 0..2 {
                let waited = told.recv_timeout(Duration::from_secs(60));
                assert!(waited.is_ok(), "it waits: {gate:?}");
            }
        }
    }
}
