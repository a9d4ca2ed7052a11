//! What is queued for one descriptor that we write, and the producer and the sinks that are told how much it is.
//! Plain data; its port locks it.

use std::task::{Poll, Waker};

/// Above this a push producer is paused and a sink has no room: Twisted's
/// `FileDescriptor.bufferSize`.
pub(crate) const HIGH_WATER: usize = 64 * 1024;
/// A sink that found no room is woken when no more than this is left.
const LOW_WATER: usize = HIGH_WATER / 2;

/// How a producer makes its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProducerKind {
    /// The producer writes by itself until it is paused. It gets `Pause` when more than 64 KiB are queued, and
    /// `Resume` when the queue is empty. It counts as running from its registration on. Twisted's
    /// `IPushProducer`.
    Push,
    /// The producer writes when it gets `Resume`: once when it is registered, then each time the queue becomes
    /// empty. A producer that writes nothing then is not asked again. Twisted's `IPullProducer`.
    Pull,
}

/// What a producer is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProducerCommand {
    /// Produce: a pull producer once, a push producer until it is paused.
    Resume,
    /// Stop producing until the next `Resume`. For push producers only.
    Pause,
    /// The descriptor is closed: whatever is written now is lost. This is the last command, and comes once. The
    /// protocol is told of the close next.
    Stop,
}

/// Takes what the producer is told, under the port's lock: must not call back.
pub(crate) type Notice = Box<dyn Fn(ProducerCommand) + Send>;

#[derive(Default)]
pub(crate) struct WriteQueue {
    bytes: usize,
    /// Most descriptors never have any.
    observers: Option<Box<Observers>>,
}

/// The producer and the sinks that are told how much is queued.
#[derive(Default)]
struct Observers {
    producer: Option<Producer>,
    /// How many producers there have been.
    registrations: u64,
    /// One a sink at most.
    waiters: Vec<(SinkId, Waker)>,
    /// Those that wait for the close alone, and for no room.
    closes: Vec<(SinkId, Waker)>,
}

/// Tells the sinks of a descriptor apart.
pub(crate) type SinkId = u64;

struct Producer {
    kind: ProducerKind,
    paused: bool,
    tell: Notice,
}

impl WriteQueue {
    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn producer(&self) -> Option<&Producer> {
        self.observers.as_ref()?.producer.as_ref()
    }

    fn observers(&mut self) -> &mut Observers {
        self.observers.get_or_insert_default()
    }

    pub(crate) fn has_producer(&self) -> bool {
        self.producer().is_some()
    }

    /// Whether the producer with this registration is still there.
    pub(crate) fn is_registered(&self, registration: u64) -> bool {
        let is_there = |of: &Observers| of.producer.is_some() && of.registrations == registration;
        self.observers.as_deref().is_some_and(is_there)
    }

    /// Registers a producer, in place of none; gives its registration.
    pub(crate) fn register(&mut self, kind: ProducerKind, tell: Notice) -> u64 {
        if kind == ProducerKind::Pull {
            tell(ProducerCommand::Resume);
        }
        let bytes = self.bytes;
        let observers = self.observers();
        observers.registrations += 1;
        observers.producer = Some(Producer {
            kind,
            paused: false,
            tell,
        });
        observers.pause_if_high(bytes);
        observers.registrations
    }

    /// Takes the producer out, without a word to it.
    pub(crate) fn unregister(&mut self) -> Option<impl Sized + use<>> {
        self.observers.as_mut()?.producer.take()
    }

    /// So many bytes were queued.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        if let Some(observers) = &mut self.observers {
            observers.pause_if_high(self.bytes);
        }
    }

    /// So many bytes left the queue. Gives the sinks' wakers that are to be woken.
    #[must_use]
    pub(crate) fn subtract(&mut self, bytes: usize) -> Vec<Waker> {
        self.bytes -= bytes.min(self.bytes);
        match &mut self.observers {
            None => Vec::new(),
            Some(observers) => {
                if self.bytes == 0 && bytes > 0 {
                    observers.resume();
                }
                if self.bytes <= LOW_WATER {
                    observers.take_waiters()
                } else {
                    Vec::new()
                }
            }
        }
    }

    /// Nothing leaves the queue any more. Gives the sinks' wakers that are to be woken, and what is left of the
    /// producer.
    #[must_use]
    pub(crate) fn stop(&mut self) -> (Vec<Waker>, Option<impl Sized + use<>>) {
        let Some(observers) = &mut self.observers else {
            return (Vec::new(), None);
        };
        let producer = observers.producer.take();
        if let Some(producer) = &producer {
            (producer.tell)(ProducerCommand::Stop);
        }
        let mut waiters = observers.take_waiters();
        let closes = std::mem::take(&mut observers.closes);
        waiters.extend(closes.into_iter().map(|(_, waker)| waker));
        (waiters, producer)
    }

    #[must_use]
    pub(crate) fn take_waiters(&mut self) -> Vec<Waker> {
        let observers = self.observers.as_mut();
        observers.map_or_else(Vec::new, |observers| observers.take_waiters())
    }

    /// Ready when there is room for more. Pending, it keeps `waker`, and leaves the one from before
    /// in its place, to be dropped outside of the lock: a waker may own a task that owns sinks.
    pub(crate) fn poll_room(&mut self, sink: SinkId, waker: &mut Waker) -> Poll<()> {
        if self.bytes < HIGH_WATER {
            return Poll::Ready(());
        }
        self.wait(sink, waker)
    }

    /// Ready when all is written.
    pub(crate) fn poll_empty(&mut self, sink: SinkId, waker: &mut Waker) -> Poll<()> {
        if self.bytes == 0 {
            return Poll::Ready(());
        }
        self.wait(sink, waker)
    }

    /// Woken at the latest by [`stop`](Self::stop); maybe earlier than hoped for.
    fn wait(&mut self, sink: SinkId, waker: &mut Waker) -> Poll<()> {
        keep(&mut self.observers().waiters, sink, waker)
    }

    /// Woken by [`stop`](Self::stop) alone.
    pub(crate) fn poll_stopped(&mut self, sink: SinkId, waker: &mut Waker) -> Poll<()> {
        keep(&mut self.observers().closes, sink, waker)
    }

    /// The sink is gone: it waits for nothing. Gives what it kept, to be dropped outside of the lock.
    #[must_use]
    pub(crate) fn forget(&mut self, sink: SinkId) -> [Option<Waker>; 2] {
        let Some(observers) = &mut self.observers else {
            return [None, None];
        };
        [&mut observers.waiters, &mut observers.closes].map(|waiters| {
            let at = waiters.iter().position(|(waiter, _)| *waiter == sink)?;
            Some(waiters.swap_remove(at).1)
        })
    }
}

/// Keeps the waker of a sink in place of the one from before, which is left in its place.
fn keep(waiters: &mut Vec<(SinkId, Waker)>, sink: SinkId, waker: &mut Waker) -> Poll<()> {
    match waiters.iter_mut().find(|(waiter, _)| *waiter == sink) {
        Some((_, before)) => std::mem::swap(before, waker),
        None => waiters.push((sink, waker.clone())),
    }
    Poll::Pending
}

impl Observers {
    fn pause_if_high(&mut self, bytes: usize) {
        if let Some(producer) = &mut self.producer
            && producer.kind == ProducerKind::Push
            && !producer.paused
            && bytes > HIGH_WATER
        {
            producer.paused = true;
            (producer.tell)(ProducerCommand::Pause);
        }
    }

    /// The queue has become empty.
    fn resume(&mut self) {
        if let Some(producer) = &mut self.producer {
            let was_paused = std::mem::take(&mut producer.paused);
            if was_paused || producer.kind == ProducerKind::Pull {
                (producer.tell)(ProducerCommand::Resume);
            }
        }
    }

    fn take_waiters(&mut self) -> Vec<Waker> {
        self.waiters.drain(..).map(|(_, waker)| waker).collect()
    }
}

impl std::fmt::Debug for WriteQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteQueue")
            .field("bytes", &self.bytes)
            .field("producer", &self.producer().map(|p| p.kind))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::sync::lock;

    type Told = Arc<Mutex<Vec<ProducerCommand>>>;

    fn with(kind: ProducerKind) -> (WriteQueue, Told) {
        let told = Told::default();
        let mut write_queue = WriteQueue::default();
        write_queue.register(kind, teller(&told));
        (write_queue, told)
    }

    fn teller(told: &Told) -> Notice {
        let told = Arc::clone(told);
        Box::new(move |command| lock(&told).push(command))
    }

    fn take(told: &Told) -> Vec<ProducerCommand> {
        std::mem::take(&mut lock(told))
    }

    #[test]
    fn a_push_producer_pauses_above_the_mark_and_resumes_at_empty() {
        let (mut write_queue, told) = with(ProducerKind::Push);
        write_queue.add(HIGH_WATER);
        assert_eq!(take(&told), []);
        write_queue.add(1);
        write_queue.add(1);
        assert_eq!(take(&told), [ProducerCommand::Pause]);
        drop(write_queue.subtract(HIGH_WATER + 1));
        assert_eq!(take(&told), []);
        drop(write_queue.subtract(1));
        assert_eq!(take(&told), [ProducerCommand::Resume]);
        // It was not paused: there is nothing to resume.
        write_queue.add(1);
        drop(write_queue.subtract(1));
        assert_eq!(take(&told), []);
    }

    #[test]
    fn a_push_producer_that_comes_to_a_full_queue_is_paused_at_once() {
        let told = Told::default();
        let mut write_queue = WriteQueue::default();
        write_queue.add(HIGH_WATER + 1);
        write_queue.register(ProducerKind::Push, teller(&told));
        assert_eq!(take(&told), [ProducerCommand::Pause]);
    }

    #[test]
    fn a_pull_producer_is_asked_at_registration_and_at_each_drain() {
        let (mut write_queue, told) = with(ProducerKind::Pull);
        assert_eq!(take(&told), [ProducerCommand::Resume]);
        write_queue.add(2 * HIGH_WATER);
        drop(write_queue.subtract(HIGH_WATER));
        assert_eq!(take(&told), []);
        drop(write_queue.subtract(HIGH_WATER));
        assert_eq!(take(&told), [ProducerCommand::Resume]);
        drop(write_queue.subtract(0));
        assert_eq!(take(&told), []);
    }

    #[test]
    fn stop_is_told_once_and_last() {
        let (mut write_queue, told) = with(ProducerKind::Push);
        write_queue.add(1);
        drop(write_queue.stop());
        drop(write_queue.stop());
        drop(write_queue.subtract(1));
        assert_eq!(take(&told), [ProducerCommand::Stop]);
        assert!(!write_queue.has_producer());
    }

    #[test]
    fn a_registration_outlives_no_other() {
        let (mut write_queue, told) = with(ProducerKind::Push);
        assert!(write_queue.is_registered(1));
        assert!(write_queue.unregister().is_some());
        assert!(!write_queue.is_registered(1));
        let second = write_queue.register(ProducerKind::Push, teller(&told));
        assert!(write_queue.is_registered(second) && !write_queue.is_registered(1));
    }

    #[test]
    fn a_sink_that_waits_for_the_close_is_woken_by_nothing_else() {
        let mut write_queue = WriteQueue::default();
        let mut waker = Waker::noop().clone();
        write_queue.add(1);
        for _ in 0..2 {
            assert!(write_queue.poll_stopped(1, &mut waker).is_pending());
        }
        assert!(write_queue.subtract(1).is_empty());
        assert!(write_queue.take_waiters().is_empty());
        assert_eq!(write_queue.stop().0.len(), 1);
        assert!(write_queue.poll_stopped(1, &mut waker).is_pending());
        assert!(write_queue.forget(1)[1].is_some());
        assert!(write_queue.stop().0.is_empty());
    }

    #[test]
    fn a_sink_has_room_below_the_mark_and_is_woken_at_half() {
        let mut write_queue = WriteQueue::default();
        let mut waker = Waker::noop().clone();
        write_queue.add(HIGH_WATER - 1);
        assert!(write_queue.poll_room(1, &mut waker).is_ready());
        write_queue.add(1);
        assert!(write_queue.poll_room(1, &mut waker).is_pending());
        assert!(write_queue.poll_empty(2, &mut waker).is_pending());
        assert!(write_queue.poll_empty(1, &mut waker).is_pending());
        assert!(write_queue.forget(2)[0].is_some());
        assert!(write_queue.forget(2)[0].is_none());
        assert!(write_queue.subtract(LOW_WATER - 1).is_empty());
        assert_eq!(write_queue.subtract(1).len(), 1);
        assert!(write_queue.poll_empty(1, &mut waker).is_pending());
        assert_eq!(write_queue.subtract(LOW_WATER).len(), 1);
        assert!(write_queue.poll_empty(1, &mut waker).is_ready());
    }
}
