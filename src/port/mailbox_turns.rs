//! The mailbox of one protocol actor, as all its children's readers see it: it sees to it that the
//! actor's arbiter gets its turn. actix drains a mailbox to empty before anything else on that
//! arbiter runs.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use crate::sync::lock;

/// A protocol gets at most this many messages, or messages for this long, in one turn.
pub(crate) const TURN_MESSAGES: u32 = 64;
pub(crate) const TURN_TIME: Duration = Duration::from_millis(2);

/// The mailbox of one protocol actor, as all its children's readers see it.
#[derive(Debug, Default)]
pub(crate) struct MailboxTurns {
    /// A watch in the actor's context tells of its turns. Changed under the lock.
    watched: AtomicBool,
    /// In the present turn. Set back under the lock where there are two or more.
    messages: AtomicU32,
    /// A reader waits, or a child has ended: the next turn has more to do than to count anew.
    attention: AtomicBool,
    state: Mutex<TurnsState>,
}

#[derive(Default)]
struct TurnsState {
    /// When the turn's second message came.
    since: Option<Instant>,
    waiters: Vec<Waker>,
    /// The children that the watch looks after.
    dependents: Vec<Weak<dyn Dependent>>,
}

/// A child, as far as its protocol's death concerns it.
pub(crate) trait Dependent: Send + Sync {
    fn has_ended(&self) -> bool;
    /// Its protocol is gone.
    fn protocol_gone(self: Arc<Self>);
}

impl fmt::Debug for TurnsState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnsState")
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

pub(crate) enum TurnState {
    /// The actor has got its share; the task will be woken at its next turn.
    Over,
    Running,
    /// Nobody tells of turns.
    Unknown,
}

impl MailboxTurns {
    fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Acquire)
    }

    /// Whether the actor's turn goes on.
    pub(crate) fn poll_turn(&self, cx: &mut Context<'_>) -> TurnState {
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
    pub(crate) fn charge(&self) -> bool {
        if !self.is_watched() {
            return false;
        }
        if self.messages.fetch_add(1, Ordering::AcqRel) == 1 {
            let mut state = lock(&self.state);
            // Unless the turn has ended meanwhile.
            if self.messages.load(Ordering::Acquire) > 1 {
                state.since.get_or_insert_with(Instant::now);
            }
        }
        true
    }

    /// Puts a child under the watch.
    pub(crate) fn attend(&self, dependent: Weak<dyn Dependent>) {
        let mut state = lock(&self.state);
        // Amortized: the list is swept whenever it would grow.
        if state.dependents.len() == state.dependents.capacity() {
            state.dependents.retain(is_open);
        }
        state.dependents.push(dependent);
    }

    /// From now on [`turn`](Self::turn) is called whenever the mailbox was drained. False if that
    /// is so already.
    pub(crate) fn watch(&self) -> bool {
        let _state = lock(&self.state);
        !self.watched.swap(true, Ordering::AcqRel)
    }

    /// The actor, or its watch, is done: nobody calls [`turn`](Self::turn) any more. Gives the
    /// children that have not ended.
    pub(crate) fn unwatch(&self) -> Vec<Arc<dyn Dependent>> {
        let mut state = lock(&self.state);
        self.watched.store(false, Ordering::Release);
        let dependents = std::mem::take(&mut state.dependents);
        drop(state);
        self.turn();
        dependents
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|dependent| !dependent.has_ended())
            .collect()
    }

    /// A child has ended: the next turn looks whether one is left.
    pub(crate) fn note_end(&self) {
        self.attention.store(true, Ordering::Release);
    }

    /// The mailbox was found empty, and the arbiter is about to serve others. False if no child is
    /// left to watch over.
    pub(crate) fn turn(&self) -> bool {
        let messages = self.messages.load(Ordering::Acquire);
        let end_short_turn = || {
            let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
            let ended = self
                .messages
                .compare_exchange(messages, 0, success, failure);
            ended.is_ok()
        };
        if messages < 2 && !self.attention.load(Ordering::Acquire) && end_short_turn() {
            return true;
        }
        let mut state = lock(&self.state);
        self.messages.store(0, Ordering::Release);
        self.attention.store(false, Ordering::Release);
        while state
            .dependents
            .last()
            .is_some_and(|dependent| !is_open(dependent))
        {
            state.dependents.pop();
        }
        let left = !state.dependents.is_empty();
        state.since = None;
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        waiters.into_iter().for_each(Waker::wake);
        left
    }
}

fn is_open(dependent: &Weak<dyn Dependent>) -> bool {
    dependent
        .upgrade()
        .is_some_and(|dependent| !dependent.has_ended())
}

/// Whether a turn is over, of so many messages, the second of them at `since`.
pub(crate) fn is_over(messages: u32, since: Option<Instant>) -> bool {
    messages >= TURN_MESSAGES || since.is_some_and(|since| since.elapsed() >= TURN_TIME)
}
