//! What waits between a descriptor's reader and the stream that somebody takes of it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::credit::Credit;
use crate::sync::lock;

/// Bounded by the credits that its chunks hold.
#[derive(Default)]
pub(crate) struct Feed {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<(Bytes, Credit)>,
    waker: Option<Waker>,
    taken: bool,
    /// No more comes.
    ended: bool,
    /// Nobody takes any more.
    dropped: bool,
}

impl Feed {
    /// Puts a chunk at the end; drops it if nobody is there to take it.
    pub(crate) fn push(&self, data: Bytes, credit: Credit) {
        let mut state = lock(&self.state);
        if state.dropped {
            return;
        }
        state.chunks.push_back((data, credit));
        wake(state);
    }

    /// No more comes.
    pub(crate) fn end(&self) {
        let mut state = lock(&self.state);
        state.ended = true;
        wake(state);
    }

    /// False if the stream was taken before.
    pub(crate) fn take(&self) -> bool {
        !std::mem::replace(&mut lock(&self.state).taken, true)
    }

    /// The next chunk; `None` after the last.
    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = lock(&self.state);
        if let Some((data, credit)) = state.chunks.pop_front() {
            drop(state);
            // Wakes the reader.
            drop(credit);
            return Poll::Ready(Some(data));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Nobody takes any more.
    pub(crate) fn discard(&self) {
        let mut state = lock(&self.state);
        state.dropped = true;
        let chunks = std::mem::take(&mut state.chunks);
        drop(state);
        drop(chunks);
    }
}

fn wake(mut state: std::sync::MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("Feed")
            .field("chunks", &state.chunks.len())
            .field("ended", &state.ended)
            .finish_non_exhaustive()
    }
}
