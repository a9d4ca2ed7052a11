//! What waits between a descriptor's reader and the stream that somebody takes of it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::event::CloseReason;
use crate::port::window::Credit;
use crate::sync::lock;

/// After so many chunks in a row a taker is made to wait for a moment: its thread may have others to
/// serve, and a reader on another thread may never let it run dry.
const CHUNKS_PER_TURN: u32 = 64;

/// Bounded by the credits that its chunks hold.
#[derive(Default)]
pub(crate) struct StreamQueue {
    state: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    chunks: VecDeque<(Bytes, Credit)>,
    waker: Option<Waker>,
    /// Taken since the taker last waited.
    in_a_row: u32,
    taken: bool,
    /// Why no more comes.
    ended: Option<CloseReason>,
    /// Nobody takes any more.
    dropped: bool,
}

impl StreamQueue {
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
    pub(crate) fn end(&self, reason: CloseReason) {
        let mut state = lock(&self.state);
        state.ended.get_or_insert(reason);
        wake(state);
    }

    /// Whether it has ended because nobody was left to read the descriptor.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(
            lock(&self.state).ended,
            Some(CloseReason::Gone | CloseReason::Failed { .. })
        )
    }

    /// Whether what is pushed now would go to nobody.
    pub(crate) fn is_over(&self) -> bool {
        let state = lock(&self.state);
        state.ended.is_some() || state.dropped
    }

    /// False if the stream was taken before.
    pub(crate) fn take(&self) -> bool {
        !std::mem::replace(&mut lock(&self.state).taken, true)
    }

    /// The next chunk; `None` after the last.
    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut waker = Some(cx.waker().clone());
        let mut state = lock(&self.state);
        if state.in_a_row >= CHUNKS_PER_TURN && !state.chunks.is_empty() {
            state.in_a_row = 0;
            drop(state);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some((data, credit)) = state.chunks.pop_front() {
            state.in_a_row += 1;
            drop(state);
            // Wakes the reader.
            drop(credit);
            return Poll::Ready(Some(data));
        }
        if state.ended.is_some() {
            return Poll::Ready(None);
        }
        state.in_a_row = 0;
        // Made before the lock was taken, and the one before dropped after it is released.
        std::mem::swap(&mut state.waker, &mut waker);
        drop(state);
        drop(waker);
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

fn wake(mut state: std::sync::MutexGuard<'_, QueueState>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl fmt::Debug for StreamQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("StreamQueue")
            .field("chunks", &state.chunks.len())
            .field("ended", &state.ended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::window::Window;

    #[test]
    fn a_taker_whose_feed_never_runs_dry_lets_others_have_their_turn() {
        let stream_queue = StreamQueue::default();
        let window = Window::of_stream(1 << 20);
        let cx = Context::from_waker(Waker::noop());
        let mut taken = 0;
        for _ in 0..10 {
            while stream_queue.state.lock().unwrap().chunks.len() < 40 {
                stream_queue.push(Bytes::from_static(b"."), window.charge(1));
            }
            while taken < 1000 && stream_queue.poll_next(&cx).is_ready() {
                stream_queue.push(Bytes::from_static(b"."), window.charge(1));
                taken += 1;
            }
        }
        assert_eq!(taken, 10 * CHUNKS_PER_TURN);
    }

    #[test]
    fn a_taker_that_comes_again_gets_all_and_then_the_end() {
        let stream_queue = StreamQueue::default();
        let window = Window::of_stream(1 << 20);
        let cx = Context::from_waker(Waker::noop());
        for _ in 0..CHUNKS_PER_TURN {
            stream_queue.push(Bytes::from_static(b"."), window.charge(1));
        }
        stream_queue.end(CloseReason::ByChild);
        for _ in 0..CHUNKS_PER_TURN {
            assert!(matches!(stream_queue.poll_next(&cx), Poll::Ready(Some(_))));
        }
        assert!(matches!(stream_queue.poll_next(&cx), Poll::Ready(None)));
        assert!(matches!(stream_queue.poll_next(&cx), Poll::Ready(None)));
    }
}
