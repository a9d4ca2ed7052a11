//! The lines of a service in the log of this program, so many in a time.

use std::fmt::{self, Write};
use std::time::{Duration, Instant};

use log::Level;

use super::line_cutter::CutLine;

/// The lines of a service as records of the crate `log`.
pub(super) struct LogSink {
    target: Box<str>,
    rate: LineRate,
}

impl LogSink {
    pub(super) fn new(target: &str, (lines, time): (u32, Duration)) -> Self {
        Self {
            target: target.into(),
            rate: LineRate::new(lines, time),
        }
    }

    /// What goes to the standard output is `info`, anything else `warn`.
    pub(super) fn lines(&mut self, fd: i32, lines: &[CutLine<'_>], now: Instant) {
        let level = if fd == 1 { Level::Info } else { Level::Warn };
        // What nobody sees is not counted.
        if !log::log_enabled!(target: &self.target, level) {
            return;
        }
        for line in lines {
            let turn = self.rate.turn(now);
            self.tell_suppressed(turn.suppressed);
            if turn.is_allowed {
                log::log!(target: &self.target, level, "{}", LogText(line.bytes));
            }
        }
    }

    /// Tells what was suppressed, if the time for that has come.
    pub(super) fn look(&mut self, now: Instant) {
        let suppressed = self.rate.window_over(now);
        self.tell_suppressed(suppressed);
    }

    /// Tells what was suppressed: no line comes for a while.
    pub(super) fn pause(&mut self) {
        let suppressed = self.rate.take_suppressed();
        self.tell_suppressed(suppressed);
    }

    pub(super) const fn total_suppressed(&self) -> u64 {
        self.rate.total
    }

    fn tell_suppressed(&self, suppressed: u64) {
        if suppressed > 0 {
            log::warn!(target: &self.target, "{suppressed} lines suppressed");
        }
    }
}

/// So many lines in a window of time, which begins with its first line. Plain data: the caller has the clock.
struct LineRate {
    limit: u32,
    time: Duration,
    since: Option<Instant>,
    count: u32,
    /// In this window.
    suppressed: u64,
    /// Ever.
    total: u64,
}

/// What is to be done with a line.
struct LineTurn {
    /// So many before it were suppressed, which nobody has told yet.
    suppressed: u64,
    is_allowed: bool,
}

impl LineRate {
    const fn new(limit: u32, time: Duration) -> Self {
        Self {
            limit,
            time,
            since: None,
            count: 0,
            suppressed: 0,
            total: 0,
        }
    }

    fn turn(&mut self, now: Instant) -> LineTurn {
        let suppressed = self.window_over(now);
        self.since.get_or_insert(now);
        let is_allowed = self.count < self.limit;
        if is_allowed {
            self.count += 1;
        } else {
            self.suppressed += 1;
            self.total += 1;
        }
        LineTurn {
            suppressed,
            is_allowed,
        }
    }

    /// Ends a window whose time is over; how many lines it suppressed.
    fn window_over(&mut self, now: Instant) -> u64 {
        match self.since {
            Some(since) if now.saturating_duration_since(since) >= self.time => {
                self.since = None;
                self.count = 0;
                self.take_suppressed()
            }
            _ => 0,
        }
    }

    const fn take_suppressed(&mut self) -> u64 {
        std::mem::replace(&mut self.suppressed, 0)
    }
}

/// What a child wrote, on one line of a log: U+FFFD for what is not UTF-8, and control characters but tabs as escapes, so that a
/// child can neither forge a line nor move the cursor of whoever reads the log.
struct LogText<'a>(&'a [u8]);

impl fmt::Display for LogText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() && c != '\t' {
                    write!(f, "{}", c.escape_debug())?;
                } else {
                    f.write_char(c)?;
                }
            }
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_lets_so_many_lines_through_and_the_next_one_tells_how_many_it_suppressed() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut rate = LineRate::new(2, Duration::from_secs(10));
        let mut turn = |seconds| {
            let turn = rate.turn(at(seconds));
            (turn.suppressed, turn.is_allowed)
        };
        assert_eq!(
            [turn(5), turn(6), turn(7), turn(14)],
            [(0, true), (0, true), (0, false), (0, false)]
        );
        assert_eq!(
            [turn(15), turn(24), turn(24)],
            [(2, true), (0, true), (0, false)]
        );
        // The window began with its first line.
        assert_eq!(
            [turn(99), turn(108), turn(108), turn(109)],
            [(1, true), (0, true), (0, false), (1, true)]
        );
        assert_eq!(rate.total, 4);
    }

    #[test]
    fn what_was_suppressed_is_told_once_in_a_pause() {
        let now = Instant::now();
        let mut rate = LineRate::new(0, Duration::from_secs(10));
        rate.turn(now);
        assert_eq!(rate.window_over(now), 0);
        assert_eq!(rate.take_suppressed(), 1);
        assert_eq!(rate.window_over(now + Duration::from_secs(10)), 0);
    }

    #[test]
    fn a_log_shows_what_is_not_text_without_harm() {
        let text = LogText(b"caf\xc3\xa9\t\x1b[2J\r\xff\xfe ok\0").to_string();
        assert_eq!(text, "caf\u{e9}\t\\u{1b}[2J\\r\u{fffd}\u{fffd} ok\\0");
    }
}
