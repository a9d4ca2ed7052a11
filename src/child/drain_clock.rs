//! The clock of `ended_timeout`: how long a dead child's descendants have held its pipes. Plain data:
//! the caller that changes it arranges for the next ring.
//!
//! The clock runs while the child is reaped and no reader holds it. A reader holds it while it is paused, and
//! until it has read what its pipe held at the reap: the child's own last words, for which the protocol may be
//! slow. What descendants write does not stop the clock, nor does a protocol that is behind with that: else a
//! descendant that floods could hold up the end for ever. The clock's time adds up over interruptions.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;

#[derive(Debug)]
pub(crate) struct DrainClock {
    state: Mutex<ClockState>,
}

#[derive(Debug)]
struct ClockState {
    timeout: Duration,
    reaped: bool,
    /// How many readers hold it.
    held: usize,
    elapsed: Duration,
    running_since: Option<Instant>,
    /// A ring is arranged.
    armed: bool,
    /// It has told that time is up.
    done: bool,
}

/// Ring the clock after this time.
pub(crate) type RingAfter = Option<Duration>;

/// What a ring means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ring {
    /// The clock stands still. The call that starts it arranges for another ring.
    Nothing,
    /// It was held up meanwhile: ring again after this time.
    Again(Duration),
    /// Time is up. Once.
    Cut,
}

impl DrainClock {
    /// Readers hold it from the start.
    pub(crate) const fn new(timeout: Duration, readers: usize) -> Self {
        Self {
            state: Mutex::new(ClockState::new(timeout, readers)),
        }
    }

    pub(crate) fn reaped(&self) -> RingAfter {
        lock(&self.state).reaped(Instant::now())
    }

    /// A reader is paused.
    pub(crate) fn hold(&self) -> RingAfter {
        lock(&self.state).hold(Instant::now())
    }

    /// A reader has read what its pipe held at the reap, and is not paused; or it has closed.
    pub(crate) fn release(&self) -> RingAfter {
        lock(&self.state).release(Instant::now())
    }

    pub(crate) fn ring(&self) -> Ring {
        lock(&self.state).ring(Instant::now())
    }
}

impl ClockState {
    const fn new(timeout: Duration, readers: usize) -> Self {
        Self {
            timeout,
            reaped: false,
            held: readers,
            elapsed: Duration::ZERO,
            running_since: None,
            armed: false,
            done: false,
        }
    }

    fn reaped(&mut self, now: Instant) -> RingAfter {
        self.reaped = true;
        self.settle(now)
    }

    fn hold(&mut self, now: Instant) -> RingAfter {
        self.held += 1;
        self.settle(now)
    }

    fn release(&mut self, now: Instant) -> RingAfter {
        self.held = self.held.saturating_sub(1);
        self.settle(now)
    }

    /// Starts or stops after a change.
    fn settle(&mut self, now: Instant) -> RingAfter {
        let runs = self.reaped && self.held == 0;
        match (runs, self.running_since) {
            (true, None) => self.running_since = Some(now),
            (false, Some(since)) => {
                self.elapsed += now.saturating_duration_since(since);
                self.running_since = None;
            }
            _ => {}
        }
        if !runs || self.armed || self.done {
            return None;
        }
        self.armed = true;
        Some(self.timeout.saturating_sub(self.elapsed))
    }

    fn ring(&mut self, now: Instant) -> Ring {
        self.armed = false;
        let Some(since) = self.running_since else {
            return Ring::Nothing;
        };
        let elapsed = self.elapsed + now.saturating_duration_since(since);
        if self.done {
            return Ring::Nothing;
        }
        if elapsed >= self.timeout {
            self.done = true;
            return Ring::Cut;
        }
        self.armed = true;
        Ring::Again(self.timeout - elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TIMEOUT: u32 = 2;
    const READERS: usize = 2;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Reaped,
        /// Of a reader: it releases the clock if it holds it, and holds it if not.
        Turn(usize),
        /// A second passes, and what is due rings.
        Second,
    }

    /// A clock, what arranges its rings, and what it must say by the rule alone.
    struct Model {
        clock: ClockState,
        now: Instant,
        ring_at: Option<Instant>,
        reaped: bool,
        holds: [bool; READERS],
        counted: u32,
        cut: bool,
    }

    impl Model {
        fn new() -> Self {
            Self {
                clock: ClockState::new(TIMEOUT * SECOND, READERS),
                now: Instant::now(),
                ring_at: None,
                reaped: false,
                holds: [true; READERS],
                counted: 0,
                cut: false,
            }
        }

        fn runs(&self) -> bool {
            self.reaped && self.holds == [false; READERS]
        }

        fn arrange(&mut self, ring_after: RingAfter, steps: &[Step]) {
            if let Some(after) = ring_after {
                assert_eq!(self.ring_at, None, "two rings: {steps:?}");
                self.ring_at = Some(self.now + after);
            }
        }

        fn take(&mut self, step: Step, steps: &[Step]) {
            match step {
                Step::Reaped => {
                    self.reaped = true;
                    let ring = self.clock.reaped(self.now);
                    self.arrange(ring, steps);
                }
                Step::Turn(reader) => {
                    let holds = !self.holds[reader];
                    self.holds[reader] = holds;
                    let ring = match holds {
                        true => self.clock.hold(self.now),
                        false => self.clock.release(self.now),
                    };
                    self.arrange(ring, steps);
                }
                Step::Second => {
                    self.now += SECOND;
                    self.counted += u32::from(self.runs());
                }
            }
            if self.ring_at.is_some_and(|at| at <= self.now) {
                self.ring_at = None;
                match self.clock.ring(self.now) {
                    Ring::Nothing => {}
                    Ring::Again(after) => self.arrange(Some(after), steps),
                    Ring::Cut => {
                        assert!(!self.cut, "two cuts: {steps:?}");
                        self.cut = true;
                    }
                }
            }
            // It cuts when the time that counts is up: not before, and then at once, unless it stands.
            match self.counted >= TIMEOUT {
                false => assert!(!self.cut, "too early: {steps:?}"),
                true => assert!(self.cut || !self.runs(), "too late: {steps:?}"),
            }
        }
    }

    fn explore(steps: &mut Vec<Step>, left: usize) -> usize {
        let mut model = Model::new();
        for step in steps.iter() {
            model.take(*step, steps);
        }
        let mut runs = usize::from(model.cut);
        if left > 0 {
            for step in [Step::Reaped, Step::Turn(0), Step::Turn(1), Step::Second] {
                steps.push(step);
                runs += explore(steps, left - 1);
                steps.pop();
            }
        }
        runs
    }

    #[test]
    fn in_every_order_it_cuts_after_the_time_that_counts() {
        let cuts = explore(&mut Vec::new(), 8);
        assert!(cuts > 1_000, "{cuts} orders came to a cut");
    }

    #[test]
    fn no_time_at_all_is_up_at_once() {
        let clock = DrainClock::new(Duration::ZERO, 0);
        assert_eq!(clock.reaped(), Some(Duration::ZERO));
        assert_eq!(clock.ring(), Ring::Cut);
        assert_eq!(clock.ring(), Ring::Nothing);
    }
}
