//! The clock of `ended_timeout`: how long a dead child's pipes have had nothing to say. Plain data;
//! whoever changes it arranges for the next ring.
//!
//! It runs while the child is reaped and no reader is busy (reading, paused, or waiting for the
//! protocol). Its time adds up over interruptions, so that an heir which says a little now and
//! then cannot hold the end for ever.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;

#[derive(Debug)]
pub(crate) struct DrainClock {
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    reaped: bool,
    busy: usize,
    elapsed: Duration,
    running_since: Option<Instant>,
    /// A ring is arranged.
    armed: bool,
}

/// Ring the clock after this time.
pub(crate) type RingAfter = Option<Duration>;

/// What a ring means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ring {
    /// The clock stands still: whoever starts it arranges for another ring.
    Nothing,
    /// It was held up meanwhile: ring again after this time.
    Again(Duration),
    /// Time is up.
    Cut,
}

impl DrainClock {
    /// Readers start out busy.
    pub(crate) const fn new(timeout: Duration, readers: usize) -> Self {
        Self {
            timeout,
            state: Mutex::new(State {
                reaped: false,
                busy: readers,
                elapsed: Duration::ZERO,
                running_since: None,
                armed: false,
            }),
        }
    }

    pub(crate) fn reaped(&self) -> RingAfter {
        self.change(|state| state.reaped = true)
    }

    /// A reader waits for data, or has closed.
    pub(crate) fn reader_idle(&self) -> RingAfter {
        self.change(|state| state.busy = state.busy.saturating_sub(1))
    }

    /// A reader has data, or is held up by the protocol.
    pub(crate) fn reader_busy(&self) -> RingAfter {
        self.change(|state| state.busy += 1)
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> RingAfter {
        let mut state = lock(&self.state);
        change(&mut state);
        let runs = state.reaped && state.busy == 0;
        match (runs, state.running_since) {
            (true, None) => state.running_since = Some(Instant::now()),
            (false, Some(since)) => {
                state.elapsed += since.elapsed();
                state.running_since = None;
            }
            _ => {}
        }
        if state.running_since.is_none() || state.armed {
            return None;
        }
        state.armed = true;
        Some(self.timeout.saturating_sub(state.elapsed))
    }

    pub(crate) fn ring(&self) -> Ring {
        let mut state = lock(&self.state);
        state.armed = false;
        let Some(since) = state.running_since else {
            return Ring::Nothing;
        };
        let elapsed = state.elapsed + since.elapsed();
        if elapsed >= self.timeout {
            return Ring::Cut;
        }
        state.armed = true;
        Ring::Again(self.timeout - elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_only_while_the_child_is_reaped_and_every_reader_waits() {
        let clock = DrainClock::new(Duration::from_secs(60), 2);
        assert_eq!(clock.reader_idle(), None);
        assert_eq!(clock.reader_idle(), None);
        assert_eq!(clock.reader_busy(), None);
        assert_eq!(clock.reaped(), None);
        assert_eq!(clock.ring(), Ring::Nothing);
        assert!(clock.reader_idle().is_some());
        // Armed once; an interruption does not arm it again before the ring.
        assert_eq!(clock.reader_busy(), None);
        assert_eq!(clock.reader_idle(), None);
        assert!(matches!(clock.ring(), Ring::Again(_)));
        assert_eq!(clock.reader_busy(), None);
        assert_eq!(clock.ring(), Ring::Nothing);
    }

    #[test]
    fn cuts_when_the_time_is_up() {
        let clock = DrainClock::new(Duration::ZERO, 0);
        assert_eq!(clock.reaped(), Some(Duration::ZERO));
        assert_eq!(clock.ring(), Ring::Cut);
    }
}
