//! The clock of a child that does nothing.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::threads::deadline::Deadline;

/// It runs while the output is waited for, and the child takes nothing. One timer serves for many pieces.
pub(super) struct Idle {
    limit: Duration,
    timer: Deadline,
    /// Since when nothing has come, and how many bytes the child had not taken then.
    since: Option<(Instant, usize)>,
}

impl Idle {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            timer: Deadline::after(limit),
            since: None,
        }
    }

    pub(super) const fn limit(&self) -> Duration {
        self.limit
    }

    /// Something came, or went.
    pub(super) const fn reset(&mut self) {
        self.since = None;
    }

    /// Ready when nothing has come for too long, and nothing was taken of what is `queued`.
    pub(super) fn poll_over(
        &mut self,
        cx: &mut Context<'_>,
        queued: impl Fn() -> usize,
    ) -> Poll<()> {
        let now = || (Instant::now(), queued());
        self.since.get_or_insert_with(now);
        loop {
            ready!(Pin::new(&mut self.timer).poll(cx));
            let (since, before) = *self.since.get_or_insert_with(now);
            let mut left = self.limit.saturating_sub(since.elapsed());
            if left.is_zero() {
                if queued() >= before {
                    return Poll::Ready(());
                }
                self.since = Some(now());
                left = self.limit;
            }
            self.timer = Deadline::after(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn many_pieces_take_one_timer() {
        let mut idle = Idle::new(Duration::from_secs(3600));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(idle.poll_over(cx, || 0).is_pending());
        let timer = format!("{:?}", idle.timer);
        for queued in 0..1000 {
            assert!(idle.poll_over(cx, || queued).is_pending());
            idle.reset();
        }
        assert_eq!(format!("{:?}", idle.timer), timer);
    }
}
