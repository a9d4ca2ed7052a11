//! When the leader of a group started: what tells it from a later process of the same number.

use std::fs::{self, File};
use std::io::Read;
use std::time::Instant;

use crate::ProcessHandle;

/// The time of a leader that was reaped before anybody could look: no process that a program starts has it.
const NO_TIME: u64 = 0;

/// When `process` started, in ticks since the boot.
pub(super) fn of(process: &ProcessHandle) -> u64 {
    // Mostly a clone begins and ends within one tick.
    process.start_since_boot().unwrap_or_else(|| look(process))
}

fn look(process: &ProcessHandle) -> u64 {
    let Some(stat) = LeaderStat::of(process.spawned_pid()) else {
        return NO_TIME;
    };
    // A zombie that is held for the sake of its group (before Linux 6.9) is the leader, though its pid is not told any more.
    let is_held = || stat.state == "Z" && stat.parent == std::process::id();
    // Not reaped now, so it was not when its time was read.
    if process.pid().is_some() || is_held() {
        stat.start
    } else {
        NO_TIME
    }
}

/// What `/proc/PID/stat` tells of a process.
struct LeaderStat {
    state: String,
    parent: u32,
    start: u64,
}

impl LeaderStat {
    fn of(pid: i32) -> Option<Self> {
        // The start is the 22nd field: it ends within 500 bytes.
        let mut text = [0; 512];
        let mut file = File::open(format!("/proc/{pid}/stat")).ok()?;
        let length = file.read(&mut text).ok()?;
        Self::parse(&String::from_utf8_lossy(text.get(..length)?))
    }

    /// The name, in parentheses, may hold anything. What comes after it begins with the third field.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        Some(Self {
            state: fields.next()?.to_owned(),
            parent: fields.next()?.parse().ok()?,
            start: fields.nth(17)?.parse().ok()?,
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::NoProtocol;

    #[test]
    fn the_time_that_a_clone_tells_is_that_of_proc() {
        actix::System::new().block_on(async {
            let mut told = 0;
            // One in thirty or so is cloned amid a change of the tick.
            for _ in 0..50 {
                let child = Command::new("sleep").arg("600").spawn(NoProtocol);
                let child = child.await.unwrap();
                assert_eq!(of(&child), look(&child));
                assert_ne!(of(&child), NO_TIME);
                told += usize::from(child.start_since_boot().is_some());
                child.kill();
                child.ended().await;
            }
            assert!(told > 0);
        });
    }

    #[test]
    fn the_name_of_a_program_misleads_nobody() {
        let text = "7 (a) R 1 (b) Z 42 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 5962800 0 0";
        let stat = LeaderStat::parse(text).unwrap();
        assert_eq!(
            (&*stat.state, stat.parent, stat.start),
            ("Z", 42, 5_962_800)
        );
        assert!(LeaderStat::parse("7 (a) Z 42").is_none());
    }
}
