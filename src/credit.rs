//! Flow control between a descriptor's reader and its protocol.
//!
//! A [`Window`] bounds what is on its way from one descriptor, in bytes and in messages. Each
//! message carries a [`Credit`] that gives its share back when it drops. An [`Inbox`] is shared by
//! all children of one protocol actor and sees to it that the actor's arbiter gets its turn: actix
//! drains a mailbox to empty before anything else on that arbiter runs.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::sync::lock;

/// At most this many messages of one descriptor are on their way.
pub(crate) const WINDOW_MESSAGES: usize = 64;
/// A protocol gets at most this many messages, or messages for this long, in one turn.
const TURN_MESSAGES: u32 = 64;
const TURN_TIME: Duration = Duration::from_millis(2);

/// What one descriptor has on its way to the protocol.
#[derive(Debug)]
pub(crate) struct Window {
    limit: usize,
    /// `None` for a stream: no mailbox is flooded, and what nobody has taken yet is no turn of
    /// anybody's.
    inbox: Option<Arc<Inbox>>,
    flow: Mutex<Flow>,
}

/// How much of a window is left, of bytes for one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) bytes: usize,
    pub(crate) messages: usize,
}

impl Room {
    /// For what goes to nobody.
    pub(crate) const ENDLESS: Self = Self {
        bytes: usize::MAX,
        messages: usize::MAX,
    };

    /// Whether some is left after a message of `bytes`.
    pub(crate) const fn outlasts(self, bytes: usize) -> bool {
        self.bytes > bytes && self.messages > 1
    }
}

#[derive(Debug, Default)]
struct Flow {
    bytes: usize,
    messages: usize,
    /// The window was found full, and opens again at half.
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

fn is_over(messages: u32, since: Option<Instant>) -> bool {
    messages >= TURN_MESSAGES || since.is_some_and(|since| since.elapsed() >= TURN_TIME)
}

impl Window {
    pub(crate) fn new(limit: usize, inbox: Arc<Inbox>) -> Arc<Self> {
        Self::with_inbox(limit, Some(inbox))
    }

    /// One of a stream, whose taker may come late and take at leisure.
    pub(crate) fn of_stream(limit: usize) -> Arc<Self> {
        Self::with_inbox(limit, None)
    }

    fn with_inbox(limit: usize, inbox: Option<Arc<Inbox>>) -> Arc<Self> {
        Arc::new(Self {
            limit,
            inbox,
            flow: Mutex::default(),
        })
    }

    /// The largest read: a quarter of the window, so that reading and handling overlap.
    pub(crate) fn largest_read(&self) -> usize {
        self.limit / 4
    }

    /// What may be read now. Pending: the task is woken when it is worth reading on.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Room> {
        let turn = self.inbox.as_ref().map(|inbox| inbox.poll_turn(cx));
        let unwatched = match turn {
            Some(TurnState::Over) => return Poll::Pending,
            Some(TurnState::Unknown) => true,
            Some(TurnState::Running) | None => false,
        };
        let mut flow = lock(&self.flow);
        let room = self.limit.saturating_sub(flow.bytes);
        if room == 0 || flow.messages >= WINDOW_MESSAGES {
            flow.full = true;
        }
        let waits_for_empty = unwatched && flow.messages > 0 && flow.turn.is_over();
        if flow.full || waits_for_empty {
            flow.waiter = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Room {
            bytes: room.min(self.largest_read()),
            messages: WINDOW_MESSAGES - flow.messages,
        })
    }

    /// Books a message of `bytes`.
    pub(crate) fn charge(self: &Arc<Self>, bytes: usize) -> Credit {
        let unwatched = self.inbox.as_ref().is_some_and(|inbox| !inbox.charge());
        let mut flow = lock(&self.flow);
        flow.bytes += bytes;
        flow.messages += 1;
        if unwatched {
            flow.turn.count();
        }
        Credit {
            window: Arc::clone(self),
            bytes,
        }
    }

    fn refund(&self, bytes: usize) {
        let mut flow = lock(&self.flow);
        flow.bytes -= bytes;
        flow.messages -= 1;
        let empty = flow.messages == 0;
        if empty {
            flow.turn = Turn::default();
        }
        if flow.bytes <= self.limit / 2 && flow.messages <= WINDOW_MESSAGES / 2 {
            flow.full = false;
        }
        if flow.full || (flow.turn.is_over() && !empty) {
            return;
        }
        let waiter = flow.waiter.take();
        drop(flow);
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

/// The mailbox of one protocol actor, as all its children's readers see it.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// A watch in the actor's context tells of its turns. Changed under the lock.
    watched: AtomicBool,
    /// In the present turn.
    messages: AtomicU32,
    /// A reader waits, or a child has ended: the next turn has more to do than to count anew.
    attention: AtomicBool,
    state: Mutex<InboxState>,
}

#[derive(Default)]
struct InboxState {
    /// When the turn's second message came.
    since: Option<Instant>,
    waiters: Vec<Waker>,
    /// The children that the watch looks after.
    wards: Vec<Weak<dyn Ward>>,
}

/// A child, as far as its protocol's death concerns it.
pub(crate) trait Ward: Send + Sync {
    fn has_ended(&self) -> bool;
    /// Its protocol is gone.
    fn protocol_gone(self: Arc<Self>);
}

impl fmt::Debug for InboxState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxState")
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

enum TurnState {
    /// The actor has got its share; the task will be woken at its next turn.
    Over,
    Running,
    /// Nobody tells of turns.
    Unknown,
}

impl Inbox {
    fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Acquire)
    }

    fn poll_turn(&self, cx: &mut Context<'_>) -> TurnState {
        if !self.is_watched() {
            return TurnState::Unknown;
        }
        if self.messages.load(Ordering::Acquire) < 2 {
            return TurnState::Running;
        }
        let mut state = lock(&self.state);
        if !self.is_watched() {
            return TurnState::Unknown;
        }
        // Of a turn that was set back in between there is nothing to wait for.
        let messages = self.messages.load(Ordering::Acquire);
        if messages < 2 || !is_over(messages, state.since) {
            return TurnState::Running;
        }
        if !state.waiters.iter().any(|w| w.will_wake(cx.waker())) {
            state.waiters.push(cx.waker().clone());
        }
        self.attention.store(true, Ordering::Release);
        TurnState::Over
    }

    /// Books a message, which is sent next, if somebody tells of turns; says whether.
    fn charge(&self) -> bool {
        if !self.is_watched() {
            return false;
        }
        if self.messages.fetch_add(1, Ordering::AcqRel) == 1 {
            lock(&self.state).since.get_or_insert_with(Instant::now);
        }
        true
    }

    /// Puts a child under the watch.
    pub(crate) fn attend(&self, ward: Weak<dyn Ward>) {
        let mut state = lock(&self.state);
        // Amortized: the list is swept whenever it would grow.
        if state.wards.len() == state.wards.capacity() {
            state.wards.retain(is_open);
        }
        state.wards.push(ward);
    }

    /// From now on [`turn`](Self::turn) is called whenever the mailbox was drained. False if that
    /// is so already.
    pub(crate) fn watch(&self) -> bool {
        let _state = lock(&self.state);
        !self.watched.swap(true, Ordering::AcqRel)
    }

    /// The actor, or its watch, is done: nobody calls [`turn`](Self::turn) any more. Gives the
    /// children that have not ended.
    pub(crate) fn unwatch(&self) -> Vec<Arc<dyn Ward>> {
        let mut state = lock(&self.state);
        self.watched.store(false, Ordering::Release);
        let wards = std::mem::take(&mut state.wards);
        drop(state);
        self.turn();
        wards
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|ward| !ward.has_ended())
            .collect()
    }

    /// A child has ended: the next turn looks whether one is left.
    pub(crate) fn note_end(&self) {
        self.attention.store(true, Ordering::Release);
    }

    /// The mailbox was found empty, and the arbiter is about to serve others. False if no child is
    /// left to watch over.
    pub(crate) fn turn(&self) -> bool {
        let messages = self.messages.swap(0, Ordering::AcqRel);
        if messages < 2 && !self.attention.swap(false, Ordering::AcqRel) {
            return true;
        }
        let mut state = lock(&self.state);
        while state.wards.last().is_some_and(|ward| !is_open(ward)) {
            state.wards.pop();
        }
        let left = !state.wards.is_empty();
        state.since = None;
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        waiters.into_iter().for_each(Waker::wake);
        left
    }
}

fn is_open(ward: &Weak<dyn Ward>) -> bool {
    ward.upgrade().is_some_and(|ward| !ward.has_ended())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(window: &Window) -> Option<usize> {
        match window.poll_room(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(room) => Some(room.bytes),
            Poll::Pending => None,
        }
    }

    #[test]
    fn stops_at_the_window_and_goes_on_at_half() {
        let window = Window::new(8192, Arc::default());
        let mut credits: Vec<Credit> = Vec::new();
        while let Some(bytes) = room(&window) {
            assert!(bytes <= 2048);
            credits.push(window.charge(bytes));
        }
        assert_eq!(credits.len(), 4);
        credits.pop();
        assert_eq!(room(&window), None);
        credits.pop();
        assert_eq!(room(&window), Some(2048));
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
        let inbox = Arc::new(Inbox::default());
        assert!(inbox.watch());
        assert!(!inbox.watch());
        let windows = [(); 2].map(|()| Window::new(1 << 20, Arc::clone(&inbox)));
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
        inbox.turn();
        assert!(windows.iter().all(|window| room(window).is_some()));
    }
}
