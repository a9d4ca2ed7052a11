//! Flow control between a descriptor's reader and its protocol.
//!
//! A [`Window`] bounds what is on its way from one descriptor, in bytes and in messages. Each
//! message carries a [`Credit`] that gives its share back when it drops. The [`MailboxTurns`] of the
//! protocol is shared by all its children.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::port::mailbox_turns::{MailboxTurns, TurnState, is_over};
use crate::sync::lock;
use crate::sys;

/// At most this many messages of one descriptor are on their way.
pub(crate) const WINDOW_MESSAGES: usize = 64;

/// A read that is offered less would cut a packet of a pipe in packet mode, whose rest the kernel throws
/// away: the child may set O_DIRECT on its end. (The kernel's PIPE_BUF.)
pub(crate) const PACKET: usize = 4096;

/// What one descriptor has on its way to the protocol.
///
/// The usual message costs it two atomic additions; the lock is for a reader that waits, and for the
/// turns of a protocol that gives no sign of them.
#[derive(Debug)]
pub(crate) struct Window {
    limit: usize,
    /// `None` for a stream: no mailbox is flooded, and what nobody has taken yet is no turn of
    /// anybody's.
    mailbox_turns: Option<Arc<MailboxTurns>>,
    flow: AtomicU64,
    pause: Mutex<Pause>,
}

/// The value of `Window::flow`: how many messages are on their way (16 bits), two marks, and how many
/// bytes (46 bits).
#[derive(Debug, Clone, Copy)]
struct Flow(u64);

impl Flow {
    const MESSAGES: u64 = 0xffff;
    /// The reader waits, or is about to: the drop of a credit must see whether to wake it.
    const WAITING: u64 = 1 << 16;
    /// A turn is counted, which ends when the window is empty.
    const COUNTING: u64 = 1 << 17;
    const BYTE: u64 = 1 << 18;

    /// A message of `bytes`.
    const fn of(bytes: usize) -> u64 {
        bytes as u64 * Self::BYTE + 1
    }

    const fn bytes(self) -> usize {
        (self.0 / Self::BYTE) as usize
    }

    const fn messages(self) -> usize {
        (self.0 & Self::MESSAGES) as usize
    }

    const fn has(self, marks: u64) -> bool {
        self.0 & marks != 0
    }
}

/// What is looked at when a reader waits, or a turn is counted. The marks are changed under its lock.
#[derive(Debug, Default)]
struct Pause {
    /// The window was found full, and opens again at half, or where there is room for a packet.
    full: bool,
    /// For a protocol that gives no sign of its turns: since the window was last empty.
    turn: Turn,
    waiter: Option<Waker>,
}

/// How much went into a mailbox since it was last known to be empty.
#[derive(Debug, Default)]
struct Turn {
    messages: u32,
    /// The second message: where each is handled before the next comes, nobody asks for the time.
    since: Option<Instant>,
}

impl Turn {
    fn count(&mut self) {
        self.messages += 1;
        if self.messages > 1 {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    fn is_over(&self) -> bool {
        is_over(self.messages, self.since)
    }
}

impl Window {
    pub(crate) fn new(limit: usize, mailbox_turns: Arc<MailboxTurns>) -> Arc<Self> {
        Self::with_turns(limit, Some(mailbox_turns))
    }

    /// The window of a stream, whose taker may come late and take slowly.
    pub(crate) fn of_stream(limit: usize) -> Arc<Self> {
        Self::with_turns(limit, None)
    }

    /// `limit` is at least [`PACKET`].
    fn with_turns(limit: usize, mailbox_turns: Option<Arc<MailboxTurns>>) -> Arc<Self> {
        Arc::new(Self {
            limit,
            mailbox_turns,
            flow: AtomicU64::new(0),
            pause: Mutex::default(),
        })
    }

    /// The largest read: a quarter of the window, so that reading and handling overlap; no less than a
    /// packet.
    pub(crate) fn largest_read(&self) -> usize {
        (self.limit / 4).max(PACKET)
    }

    /// How many bytes one read may take now. Pending: the task is woken when it is worth reading on. For one
    /// task.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<usize> {
        let turn = self
            .mailbox_turns
            .as_ref()
            .map(|mailbox_turns| mailbox_turns.poll_turn(cx));
        let unwatched = match turn {
            Some(TurnState::Over) => return Poll::Pending,
            Some(TurnState::Unknown) => true,
            Some(TurnState::Running) | None => false,
        };
        let flow = Flow(self.flow.load(Ordering::Acquire));
        if !unwatched
            && !flow.has(Flow::WAITING)
            && let Some(room) = self.room(flow)
        {
            return Poll::Ready(room);
        }
        let mut pause = lock(&self.pause);
        // What is given back from here on waits for the lock, and finds the waiter.
        let flow = Flow(self.flow.fetch_or(Flow::WAITING, Ordering::AcqRel));
        let room = self.room(flow);
        pause.full |= room.is_none();
        let waits_for_empty = unwatched && flow.messages() > 0 && pause.turn.is_over();
        match room {
            Some(room) if !pause.full && !waits_for_empty => {
                self.flow.fetch_and(!Flow::WAITING, Ordering::AcqRel);
                Poll::Ready(room)
            }
            _ => {
                pause.waiter = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn room(&self, flow: Flow) -> Option<usize> {
        let bytes = self.limit.saturating_sub(flow.bytes());
        let is_open = bytes >= PACKET && flow.messages() < WINDOW_MESSAGES;
        is_open.then(|| bytes.min(self.largest_read()))
    }

    /// Books a message of `bytes`.
    pub(crate) fn charge(self: &Arc<Self>, bytes: usize) -> Credit {
        let unwatched = self
            .mailbox_turns
            .as_ref()
            .is_some_and(|mailbox_turns| !mailbox_turns.charge());
        self.flow.fetch_add(Flow::of(bytes), Ordering::AcqRel);
        if unwatched {
            let mut pause = lock(&self.pause);
            pause.turn.count();
            self.flow.fetch_or(Flow::COUNTING, Ordering::AcqRel);
        }
        Credit {
            window: Arc::clone(self),
            bytes,
        }
    }

    fn refund(&self, bytes: usize) {
        let before = self.flow.fetch_sub(Flow::of(bytes), Ordering::AcqRel);
        if Flow(before).has(Flow::WAITING | Flow::COUNTING) {
            self.settle();
        }
    }

    /// Ends a turn, and wakes a reader, if it is time.
    fn settle(&self) {
        if sys::copy::is_copy() {
            return;
        }
        let mut pause = lock(&self.pause);
        let flow = Flow(self.flow.load(Ordering::Acquire));
        let empty = flow.messages() == 0;
        let mut done = 0;
        if empty {
            pause.turn = Turn::default();
            done |= Flow::COUNTING;
        }
        let opens = flow.bytes() <= self.limit / 2 && flow.messages() <= WINDOW_MESSAGES / 2;
        if opens && self.room(flow).is_some() {
            pause.full = false;
        }
        let mut waiter = None;
        if !pause.full && (empty || !pause.turn.is_over()) {
            waiter = pause.waiter.take();
            done |= Flow::WAITING;
        }
        self.flow.fetch_and(!done, Ordering::AcqRel);
        drop(pause);
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

/// A message's share of its window; dropping it gives the share back.
#[derive(Debug)]
pub(crate) struct Credit {
    window: Arc<Window>,
    bytes: usize,
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.window.refund(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::port::mailbox_turns::{TURN_MESSAGES, TURN_TIME};

    fn room(window: &Window) -> Option<usize> {
        match window.poll_room(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(bytes) => Some(bytes),
            Poll::Pending => None,
        }
    }

    #[test]
    fn stops_at_the_window_and_goes_on_at_half() {
        let window = Window::new(32768, Arc::default());
        let mut credits: Vec<Credit> = Vec::new();
        while let Some(bytes) = room(&window) {
            assert_eq!(bytes, 8192);
            credits.push(window.charge(bytes));
        }
        assert_eq!(credits.len(), 4);
        credits.pop();
        assert_eq!(room(&window), None);
        credits.pop();
        assert_eq!(room(&window), Some(8192));
    }

    #[test]
    fn a_read_is_never_offered_less_than_a_packet_may_be_long() {
        for limit in [4096, 4097, 8191, 8192, 12_000, 1 << 20] {
            let window = Window::new(limit, Arc::default());
            let mut credits = VecDeque::new();
            for step in 0..1_000 {
                match room(&window) {
                    Some(bytes) => {
                        assert!(bytes >= 4096, "{bytes} of {limit}");
                        credits.push_back(window.charge(1 + step * 61 % 4096));
                    }
                    None => drop(credits.pop_front().expect("an empty window has room")),
                }
                let flow = Flow(window.flow.load(Ordering::SeqCst));
                assert!(flow.bytes() <= limit, "{flow:?} of {limit}");
            }
        }
    }

    #[test]
    fn tiny_messages_are_bounded_by_their_number() {
        let window = Window::new(1 << 20, Arc::default());
        let mut credits = Vec::new();
        while room(&window).is_some() {
            credits.push(window.charge(1));
        }
        assert_eq!(credits.len(), WINDOW_MESSAGES);
    }

    #[test]
    fn a_stream_may_be_taken_at_leisure() {
        let window = Window::of_stream(1 << 20);
        let _kept = window.charge(1);
        for _ in 0..2 * TURN_MESSAGES {
            drop(window.charge(1));
        }
        std::thread::sleep(2 * TURN_TIME);
        assert!(room(&window).is_some());
    }

    #[test]
    fn an_unwatched_protocol_is_let_to_empty_its_window_after_a_turn() {
        let window = Window::new(1 << 20, Arc::default());
        let mut kept = window.charge(1);
        for _ in 1..TURN_MESSAGES {
            assert!(room(&window).is_some());
            kept = std::mem::replace(&mut kept, window.charge(1));
        }
        assert_eq!(room(&window), None);
        drop(kept);
        assert!(room(&window).is_some());
    }

    #[test]
    fn a_watched_protocol_gets_its_turn_whatever_it_keeps() {
        let mailbox_turns = Arc::new(MailboxTurns::default());
        assert!(mailbox_turns.watch());
        assert!(!mailbox_turns.watch());
        let windows = [(); 2].map(|()| Window::new(1 << 20, Arc::clone(&mailbox_turns)));
        let mut credits = Vec::new();
        'turn: loop {
            for window in &windows {
                if room(window).is_none() {
                    break 'turn;
                }
                credits.push(window.charge(1));
            }
        }
        assert_eq!(credits.len(), TURN_MESSAGES as usize);
        mailbox_turns.turn();
        assert!(windows.iter().all(|window| room(window).is_some()));
    }

    /// A reader and a protocol on two threads: a lost wake would leave the reader waiting for ever.
    #[test]
    fn a_reader_that_waits_is_woken_whoever_gives_back_when() {
        const MESSAGES: usize = 100_000;
        let unwatched = || Window::new(8192, Arc::default());
        for window in [Window::of_stream(8192), unwatched()] {
            let (sent, taken) = std::sync::mpsc::channel::<Credit>();
            let (ended, end) = std::sync::mpsc::channel();
            let reader = Arc::clone(&window);
            std::thread::spawn(move || {
                for _ in 0..MESSAGES {
                    let room = std::future::poll_fn(|cx| reader.poll_room(cx));
                    let room = futures::executor::block_on(room);
                    sent.send(reader.charge(room.min(1000))).unwrap();
                }
                let _ = ended.send(());
            });
            std::thread::spawn(move || taken.into_iter().for_each(drop));
            let deadline = std::time::Duration::from_secs(60);
            let waited = end.recv_timeout(deadline);
            assert!(waited.is_ok(), "it waits: {window:?}");
        }
    }
}
