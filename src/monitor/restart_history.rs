//! What one instance of a service remembers of its restarts: how many in a row, and when, if they are limited.

use std::collections::VecDeque;
use std::time::Duration;

use super::restart::{Restart, RestartLimit};

/// The restarts of one instance of a service. Times are of a clock that does not go back, from any zero. It holds no memory unless
/// there is a limit, and then as many times as the limit allows restarts.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct RestartHistory {
    in_a_row: u32,
    /// When the restarts were decided that the limit counts, oldest first.
    decided: VecDeque<Duration>,
}

/// Whether one more restart is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextTry {
    /// After this delay.
    After(Duration),
    /// It would be one more than the limit allows.
    LimitReached(RestartLimit),
}

impl RestartHistory {
    /// Counts one restart, decided at `now`; `random` is from 0 to 1. One that the limit forbids is not counted.
    pub(super) fn next_try(&mut self, restart: &Restart, now: Duration, random: f64) -> NextTry {
        if let Some(limit) = restart.get_limit() {
            let old = |decided: &Duration| now.saturating_sub(*decided) >= limit.window;
            while self.decided.front().is_some_and(old) {
                self.decided.pop_front();
            }
            if self.decided.len() >= usize::try_from(limit.count).unwrap_or(usize::MAX) {
                return NextTry::LimitReached(limit);
            }
            self.decided.push_back(now);
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        NextTry::After(restart.get_backoff().delay(self.in_a_row, random))
    }

    /// Takes note of how long the service was ready before it ended: call this before [`next_try`](Self::next_try).
    pub(super) fn was_ready_for(&mut self, restart: &Restart, readiness: Duration) {
        if restart.get_backoff().forgets_after(readiness) {
            self.in_a_row = 0;
        }
    }

    /// Forgets all: somebody started the service by hand.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Which try the next start is, from 1 on.
    pub(super) const fn attempt(&self) -> u32 {
        self.in_a_row.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::backoff::Backoff;
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn next(history: &mut RestartHistory, restart: &Restart, now: u64) -> NextTry {
        history.next_try(restart, ms(now), 0.5)
    }

    #[test]
    fn without_a_limit_it_goes_on_for_ever_and_remembers_no_times() {
        let (restart, mut history) = (Restart::on_failure(), RestartHistory::default());
        for tried in 0..2000 {
            let expected = (200_u64 << tried.min(20)).min(30_000);
            assert_eq!(history.attempt(), tried + 1);
            assert_eq!(
                next(&mut history, &restart, 7),
                NextTry::After(ms(expected))
            );
        }
        assert_eq!(history.decided.capacity(), 0);
    }

    #[test]
    fn a_service_that_was_ready_for_long_restarts_with_the_first_delay() {
        let (restart, mut history) = (Restart::always(), RestartHistory::default());
        next(&mut history, &restart, 0);
        next(&mut history, &restart, 0);
        history.was_ready_for(&restart, ms(29_999));
        assert_eq!(
            next(&mut history, &restart, 30_000),
            NextTry::After(ms(800))
        );
        history.was_ready_for(&restart, ms(30_000));
        assert_eq!(history.attempt(), 1);
        assert_eq!(
            next(&mut history, &restart, 60_000),
            NextTry::After(ms(200))
        );
    }

    #[test]
    fn one_more_than_the_limit_in_its_window_is_too_many() {
        let restart = Restart::on_failure()
            .limit(2, ms(1000))
            .backoff(Backoff::none());
        let limit = restart.get_limit().unwrap();
        let again = NextTry::After(Duration::ZERO);
        let mut history = RestartHistory::default();
        assert_eq!(next(&mut history, &restart, 5000), again);
        assert_eq!(next(&mut history, &restart, 5500), again);
        assert_eq!(
            next(&mut history, &restart, 5999),
            NextTry::LimitReached(limit)
        );
        // Readiness forgets the delay, not the count.
        history.was_ready_for(&restart, ms(100_000));
        assert_eq!(
            next(&mut history, &restart, 5999),
            NextTry::LimitReached(limit)
        );
        // What was forbidden is not counted.
        assert_eq!(next(&mut history, &restart, 6000), again);
        assert_eq!(
            next(&mut history, &restart, 6499),
            NextTry::LimitReached(limit)
        );
        history.forget();
        assert_eq!(next(&mut history, &restart, 6499), again);
    }

    proptest! {
        #[test]
        fn a_limit_holds_in_every_window_and_bounds_the_memory(
            count in 1..6_u32,
            window in 1..50_u64,
            steps in proptest::collection::vec(0..30_u64, 1..60),
        ) {
            let restart = Restart::always().limit(count, ms(window));
            let mut history = RestartHistory::default();
            let (mut now, mut allowed) = (0, Vec::<u64>::new());
            for step in steps {
                now += step;
                let recent = allowed.iter().filter(|at| now - **at < window).count();
                let answer = next(&mut history, &restart, now);
                let expected = recent < usize::try_from(count).unwrap();
                prop_assert_eq!(matches!(answer, NextTry::After(_)), expected, "{:?} at {}", allowed, now);
                if expected {
                    allowed.push(now);
                }
                prop_assert!(history.decided.len() <= usize::try_from(count).unwrap());
            }
        }
    }
}
