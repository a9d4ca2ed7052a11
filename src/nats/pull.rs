//! The one pull request that a consumer has at the server: when it is made, what it is owed, when it is over. Plain data.
//!
//! One request at a time is enough. A request that is open means that the stream has nothing to deliver, and a request that is used up makes room for the
//! next. Two would make it unclear which one a message was for.

use std::time::Duration;

/// A request that is over without a word, this long after its time: the server drops some at the moment of their expiry.
const AFTER_EXPIRY: Duration = Duration::from_millis(50);

/// How many messages a request asks for, and for how long it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PullTerms {
    /// How long a request waits for messages.
    pub(super) expires: Duration,
    /// How often the server says that a request waits still.
    pub(super) heartbeat: Duration,
}

impl PullTerms {
    /// With the heartbeats that go with `expires`: one a second, and at least four a request.
    pub(super) fn new(expires: Duration) -> Self {
        Self {
            expires,
            heartbeat: Duration::from_secs(1).min(expires / 4),
        }
    }

    /// No heartbeat and no message for so long is silence: two heartbeats are missing.
    fn silence(self) -> Duration {
        self.heartbeat * 5 / 2
    }
}

#[derive(Debug, Clone, Copy)]
struct OpenRequest {
    number: u64,
    left: usize,
    expires: Duration,
    /// When the server was last heard of, for this request.
    heard: Duration,
    /// A message came for it.
    used: bool,
}

/// Times are since some start.
#[derive(Debug)]
pub(super) struct PullState {
    terms: PullTerms,
    last: u64,
    open: Option<OpenRequest>,
    /// So many requests in a row ended without a message.
    empty: u32,
}

/// What the time has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The request's time is over, and the server has not said so.
    Expired,
    /// The server has not been heard of.
    Silent,
}

impl PullState {
    pub(super) const fn new(terms: PullTerms) -> Self {
        Self {
            terms,
            last: 0,
            open: None,
            empty: 0,
        }
    }

    pub(super) const fn terms(&self) -> PullTerms {
        self.terms
    }

    /// How many messages the server owes.
    pub(super) fn owed(&self) -> usize {
        self.open.map_or(0, |open| open.left)
    }

    /// Whether a request is to be made.
    pub(super) const fn is_closed(&self) -> bool {
        self.open.is_none()
    }

    /// The number of the request that is made now.
    pub(super) const fn next_number(&self) -> u64 {
        self.last + 1
    }

    /// A request for `batch` messages was made.
    pub(super) fn asked(&mut self, batch: usize, now: Duration) {
        self.last += 1;
        self.open = Some(OpenRequest {
            number: self.last,
            left: batch,
            expires: now + self.terms.expires + AFTER_EXPIRY,
            heard: now,
            used: false,
        });
    }

    /// A message came. It may be for a request that was given up.
    pub(super) fn received(&mut self, now: Duration) {
        self.empty = 0;
        let Some(open) = &mut self.open else {
            return;
        };
        open.left -= 1;
        open.heard = now;
        open.used = true;
        if open.left == 0 {
            self.open = None;
        }
    }

    /// The server says that the request waits.
    pub(super) fn heard(&mut self, number: u64, now: Duration) {
        if let Some(open) = self.open.as_mut().filter(|open| open.number == number) {
            open.heard = now;
        }
    }

    /// The server says that the request is over.
    pub(super) fn ended(&mut self, number: u64) {
        if self.open.is_some_and(|open| open.number == number) {
            self.close();
        }
    }

    /// Gives the request up.
    pub(super) fn close(&mut self) {
        if let Some(open) = self.open.take()
            && !open.used
        {
            self.empty += 1;
        }
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let open = self.open?;
        Some(open.expires.min(open.heard + self.terms.silence()))
    }

    /// What is due now, if anything.
    pub(super) fn overdue(&self, now: Duration) -> Option<Overdue> {
        let open = self.open?;
        if now >= open.expires {
            return Some(Overdue::Expired);
        }
        (now >= open.heard + self.terms.silence()).then_some(Overdue::Silent)
    }

    /// Whether two whole requests have brought nothing: it is time to ask whether there is something. Asked once, the count begins anew.
    pub(super) fn is_long_empty(&mut self) -> bool {
        let is_long = self.empty >= 2;
        if is_long {
            self.empty = 0;
        }
        is_long
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn pull() -> PullState {
        PullState::new(PullTerms::new(secs(30)))
    }

    #[test]
    fn a_request_that_is_used_up_makes_room_for_the_next() {
        let mut pull = pull();
        assert!(pull.is_closed());
        pull.asked(2, secs(0));
        assert_eq!(pull.owed(), 2);
        pull.received(secs(1));
        assert!(!pull.is_closed());
        pull.received(secs(1));
        assert!(pull.is_closed());
        assert_eq!(pull.next_due(), None);
    }

    #[test]
    fn a_message_for_a_request_that_was_given_up_is_not_taken_from_the_next() {
        let mut pull = pull();
        pull.asked(2, secs(0));
        pull.close();
        pull.received(secs(1));
        assert!(pull.is_closed());
    }

    #[test]
    fn silence_is_two_heartbeats_that_are_missing() {
        let mut pull = pull();
        pull.asked(4, secs(0));
        assert_eq!(pull.next_due(), Some(Duration::from_millis(2500)));
        assert_eq!(pull.overdue(secs(2)), None);
        pull.heard(1, secs(2));
        assert_eq!(pull.overdue(secs(4)), None);
        // Of another request.
        pull.heard(7, secs(4));
        assert_eq!(pull.overdue(secs(5)), Some(Overdue::Silent));
    }

    #[test]
    fn a_request_is_over_at_its_time_though_nobody_says_so() {
        let mut pull = pull();
        pull.asked(4, secs(0));
        for second in 1..=30 {
            pull.heard(1, secs(second));
        }
        assert_eq!(pull.overdue(secs(30)), None);
        let after = Duration::from_millis(30_050);
        assert_eq!(pull.next_due(), Some(after));
        assert_eq!(pull.overdue(after), Some(Overdue::Expired));
    }

    #[test]
    fn the_end_of_an_earlier_request_ends_no_other() {
        let mut pull = pull();
        pull.asked(4, secs(0));
        pull.close();
        pull.asked(4, secs(3));
        pull.ended(1);
        assert!(!pull.is_closed());
        pull.ended(2);
        assert!(pull.is_closed());
    }

    #[test]
    fn two_empty_requests_in_a_row_are_a_long_time() {
        let mut pull = pull();
        for (used, is_long) in [
            (false, false),
            (false, true),
            (false, false),
            (true, false),
            (false, false),
            (false, true),
        ] {
            pull.asked(2, secs(0));
            if used {
                pull.received(secs(0));
            }
            pull.close();
            assert_eq!(pull.is_long_empty(), is_long);
        }
    }

    #[test]
    fn short_requests_have_short_heartbeats() {
        assert_eq!(PullTerms::new(secs(30)).heartbeat, secs(1));
        let short = PullTerms::new(secs(1)).heartbeat;
        assert_eq!(short, Duration::from_millis(250));
    }
}
