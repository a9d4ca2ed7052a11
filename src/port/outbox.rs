//! What was written to one descriptor and its writer has not fetched yet. Plain data; its port locks it.
//!
//! Bytes are not sent to the writer's mailbox: a message costs two allocations and more, and the writer takes all
//! that came at once. Its task is woken for the first.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;

#[derive(Default)]
pub(crate) struct Outbox {
    /// Unbounded, as the handle's `write` says.
    queue: VecDeque<Bytes>,
    /// `None` before it was polled first: then it looks anyway.
    writer: Option<Waker>,
}

impl Outbox {
    /// Queues one write; gives how many bytes it has.
    pub(crate) fn put(&mut self, pieces: impl IntoIterator<Item = Bytes>) -> usize {
        // If something is queued already, the writer was woken for it and has not fetched it yet.
        let wakes = self.queue.is_empty();
        let queued = pieces.into_iter().map(|data| self.push(data)).sum();
        if let Some(writer) = &self.writer
            && wakes
            && !self.queue.is_empty()
        {
            writer.wake_by_ref();
        }
        queued
    }

    fn push(&mut self, data: Bytes) -> usize {
        let length = data.len();
        if length > 0 {
            self.queue.push_back(data);
        }
        length
    }

    /// Puts what there is to the end of `queue`. From now on the writer's task is woken for what comes.
    pub(crate) fn fetch(&mut self, queue: &mut VecDeque<Bytes>, writer: &Waker) {
        match &mut self.writer {
            Some(before) => before.clone_from(writer),
            none => *none = Some(writer.clone()),
        }
        if queue.is_empty() {
            std::mem::swap(queue, &mut self.queue);
        } else {
            queue.append(&mut self.queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicU32);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_was_written_is_fetched_in_order_and_the_writer_woken_once_for_it() {
        let wakes = Arc::<Wakes>::default();
        let waker = Waker::from(Arc::clone(&wakes));
        let count = || wakes.0.load(Ordering::SeqCst);
        let mut outbox = Outbox::default();
        let mut queue = VecDeque::new();
        assert_eq!(outbox.put(["one".into()]), 3);
        outbox.fetch(&mut queue, &waker);
        assert_eq!(count(), 0);
        assert_eq!(outbox.put([Bytes::new()]), 0);
        assert_eq!(count(), 0);
        let pieces = ["two".into(), Bytes::new(), "three".into()];
        assert_eq!(outbox.put(pieces), 8);
        assert_eq!(outbox.put(["four".into()]), 4);
        assert_eq!(count(), 1);
        outbox.fetch(&mut queue, &waker);
        assert_eq!(queue, ["one", "two", "three", "four"]);
        outbox.put(["five".into()]);
        assert_eq!(count(), 2);
    }
}
