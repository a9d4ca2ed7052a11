//! When the leader of a group started: what tells it from a later process of the same number.

use std::fs;
use std::time::Instant;

use procfs::process::Process;

use crate::ProcessHandle;

/// The time of a leader that was reaped before anybody looked: no process that a program starts has it.
const NO_TIME: u64 = 0;

/// When `process` started, in ticks since the boot.
pub(super) fn of(process: &ProcessHandle) -> u64 {
    let number = process.spawned_pid();
    let stat = Process::new(number).and_then(|process| process.stat());
    let Ok(stat) = stat else {
        return NO_TIME;
    };
    // A zombie that is held for the sake of its group (before Linux 6.9) is the leader, though its pid is not told any more.
    let is_held = || stat.state == 'Z' && u32::try_from(stat.ppid) == Ok(std::process::id());
    // Not reaped now, so it was not when its time was read.
    if process.pid().is_some() || is_held() {
        stat.starttime
    } else {
        NO_TIME
    }
}

/// The clock by which processes start, without a look at `/proc` each time.
#[derive(Debug)]
pub(super) struct StartClock {
    /// In ticks since the boot; 0 where that cannot be read.
    at_first: u64,
    first: Instant,
}

impl StartClock {
    pub(super) fn new() -> Self {
        // Seconds with two places: a tick is a hundredth of a second.
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = uptime.split_whitespace().next();
        let seconds: f64 = seconds.and_then(|text| text.parse().ok()).unwrap_or(0.0);
        Self {
            // What is negative or too large is cut to the range.
            at_first: (seconds * 100.0) as u64,
            first: Instant::now(),
        }
    }

    /// A time before each start that is still to come. The clock of this program stands still while the machine sleeps, and the
    /// kernel's does not, so that the time may be long before.
    pub(super) fn not_later_than_now(&self) -> u64 {
        const SECOND: u64 = 100;
        let since = u64::try_from(self.first.elapsed().as_millis() / 10).unwrap_or(u64::MAX);
        (self.at_first.saturating_add(since)).saturating_sub(SECOND)
    }
}
