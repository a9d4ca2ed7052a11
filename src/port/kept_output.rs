//! An output that its reader keeps, for others to look at. The reader waits for none of them.

use std::fmt;
use std::sync::Mutex;
use std::task::{Context, Waker};

use crate::event::CloseReason;
use crate::port::kept::{Keep, KeptBytes};
use crate::sync::lock;

/// Bounded by what it is to keep.
pub(crate) struct KeptOutput {
    state: Mutex<KeptState>,
}

struct KeptState {
    kept: KeptBytes,
    /// Why no more comes.
    ended: Option<CloseReason>,
    /// More than so many bytes wake the task that watches.
    most: u64,
    waker: Option<Waker>,
}

/// What a task that watches is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeptNotice {
    /// Nobody was left to read the descriptor: something is missing.
    Lost,
    /// More came than is allowed.
    Over,
}

/// What is kept, and how much is not.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) bytes: Vec<u8>,
    pub(crate) left_out: u64,
    /// How many bytes have come.
    pub(crate) total: u64,
}

impl KeptOutput {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self {
            state: Mutex::new(KeptState {
                kept: KeptBytes::new(keep),
                ended: None,
                most: u64::MAX,
                waker: None,
            }),
        }
    }

    pub(crate) fn push(&self, data: &[u8]) {
        let mut state = lock(&self.state);
        let was_over = state.is_over_most();
        state.kept.push(data);
        let waker = match !was_over && state.is_over_most() {
            true => state.waker.take(),
            false => None,
        };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// No more comes. The task that watches is woken only if something is missing: the child's end tells of the rest.
    pub(crate) fn end(&self, reason: CloseReason) {
        let mut state = lock(&self.state);
        state.ended.get_or_insert(reason);
        let waker = state.is_lost().then(|| state.waker.take()).flatten();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What there is to tell, where no more than `most` bytes are allowed. The last task that asked is woken when there is more.
    pub(crate) fn watch(&self, most: u64, cx: &Context<'_>) -> Option<KeptNotice> {
        let mut waker = Some(cx.waker().clone());
        let mut state = lock(&self.state);
        state.most = most;
        let notice = if state.is_lost() {
            Some(KeptNotice::Lost)
        } else {
            state.is_over_most().then_some(KeptNotice::Over)
        };
        // The one before is dropped after the lock is released.
        std::mem::swap(&mut state.waker, &mut waker);
        drop(state);
        drop(waker);
        notice
    }

    /// How many bytes have come.
    pub(crate) fn total(&self) -> u64 {
        lock(&self.state).kept.total()
    }

    /// Whether no more comes.
    pub(crate) fn is_over(&self) -> bool {
        lock(&self.state).ended.is_some()
    }

    /// A copy of what is kept now.
    pub(crate) fn look(&self) -> Kept {
        let state = lock(&self.state);
        Kept {
            bytes: state.kept.to_vec(),
            left_out: state.kept.left_out(),
            total: state.kept.total(),
        }
    }

    /// Takes what was kept; from now on nothing is.
    pub(crate) fn take(&self) -> Kept {
        let nothing = KeptBytes::new(Keep::first(0));
        let mut state = lock(&self.state);
        let kept = std::mem::replace(&mut state.kept, nothing);
        drop(state);
        kept.into()
    }
}

impl From<KeptBytes> for Kept {
    fn from(kept: KeptBytes) -> Self {
        Self {
            left_out: kept.left_out(),
            total: kept.total(),
            bytes: kept.into_vec(),
        }
    }
}

impl KeptState {
    /// Nobody was left to read the descriptor.
    fn is_lost(&self) -> bool {
        matches!(
            self.ended,
            Some(CloseReason::Gone | CloseReason::Failed { .. })
        )
    }

    const fn is_over_most(&self) -> bool {
        self.kept.total() > self.most
    }
}

/// No content.
impl fmt::Debug for KeptOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("KeptOutput")
            .field("total", &state.kept.total())
            .field("left_out", &state.kept.left_out())
            .field("ended", &state.ended)
            .finish_non_exhaustive()
    }
}
