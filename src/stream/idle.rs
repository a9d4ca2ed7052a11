//! The clock of a child that does nothing.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::threads::deadline::Deadline;

/// What a child has done as far as it can be seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signs {
    /// Bytes of its input that are not in its pipe yet.
    pub(super) queued: usize,
    /// Bytes that it wrote to its standard error.
    pub(super) said: u64,
}

/// It runs while the output is waited for, and the child takes nothing and says nothing. One timer serves for many pieces.
pub(super) struct Idle {
    limit: Duration,
    timer: Deadline,
    /// Since when nothing has come, and what the child had done by then.
    since: Option<(Instant, Signs)>,
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

    /// Ready when nothing has come for too long, and the `signs` are what they were.
    pub(super) fn poll_over(
        &mut self,
        cx: &mut Context<'_>,
        signs: impl Fn() -> Signs,
    ) -> Poll<()> {
        let now = || (Instant::now(), signs());
        self.since.get_or_insert_with(now);
        loop {
            ready!(Pin::new(&mut self.timer).poll(cx));
            let (since, before) = *self.since.get_or_insert_with(now);
            let mut left = self.limit.saturating_sub(since.elapsed());
            if left.is_zero() {
                let present = signs();
                if present.queued >= before.queued && present.said == before.said {
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
        let signs = |queued| Signs { queued, said: 0 };
        assert!(idle.poll_over(cx, || signs(0)).is_pending());
        let timer = format!("{:?}", idle.timer);
        for queued in 0..1000 {
            assert!(idle.poll_over(cx, || signs(queued)).is_pending());
            idle.reset();
        }
        assert_eq!(format!("{:?}", idle.timer), timer);
    }
}
