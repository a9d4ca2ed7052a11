//! When the leader of a group started: what tells it from a later process of the same number.

use std::fs::{self, File};
use std::io::Read;
use std::time::Instant;

use crate::ProcessHandle;

/// The time of a leader that was reaped before anybody could look: no process that a program starts has it.
const NO_TIME: u64 = 0;

/// More than a line of `/proc/PID/stat` has.
const LINE: usize = 2048;

/// When `process` started, in ticks since the boot: not before the first time, and not after the second one. No other process of its number
/// started between them.
pub(super) fn of(process: &ProcessHandle) -> (u64, u64) {
    process.start_since_boot().unwrap_or_else(|| {
        let time = look(process);
        (time, time)
    })
}

fn look(process: &ProcessHandle) -> u64 {
    let Some(stat) = LeaderStat::read(process.spawned_pid()) else {
        return NO_TIME;
    };
    // A zombie that is held for the sake of its group (before Linux 6.9) is the leader, though its pid is not told any more.
    let is_held = || stat.is_zombie && stat.parent == std::process::id();
    // Not reaped now, so it was not when its time was read.
    if process.pid().is_some() || is_held() {
        stat.began
    } else {
        NO_TIME
    }
}

/// What `/proc/PID/stat` says that counts here.
#[derive(Debug, PartialEq, Eq)]
struct LeaderStat {
    is_zombie: bool,
    parent: u32,
    began: u64,
}

impl LeaderStat {
    fn read(number: i32) -> Option<Self> {
        let mut line = [0; LINE];
        let mut file = File::open(format!("/proc/{number}/stat")).ok()?;
        let count = file.read(&mut line).ok()?;
        Self::of(line.get(..count)?)
    }

    fn of(line: &[u8]) -> Option<Self> {
        // The name may hold anything, so what counts is after the last ")".
        let name_end = line.iter().rposition(|byte| *byte == b')')?;
        let rest = str::from_utf8(line.get(name_end + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        Some(Self {
            is_zombie: fields.next()? == "Z",
            parent: fields.next()?.parse().ok()?,
            began: fields.nth(17)?.parse().ok()?,
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
    fn the_time_of_proc_is_among_those_that_a_clone_tells() {
        actix::System::new().block_on(async {
            for _ in 0..50 {
                let child = Command::new("sleep").arg("600").spawn(NoProtocol);
                let child = child.await.unwrap();
                let (earliest, latest) = child.start_since_boot().unwrap();
                assert_eq!(of(&child), (earliest, latest));
                assert!((earliest..=latest).contains(&look(&child)));
                assert_ne!(earliest, NO_TIME);
                child.kill();
                child.ended().await;
            }
        });
    }

    #[test]
    fn the_line_of_a_process_is_read_as_procfs_reads_it() {
        let own = LeaderStat::read(std::process::id() as i32).unwrap();
        let stat = procfs::process::Process::myself().unwrap().stat().unwrap();
        assert_eq!(own.began, stat.starttime);
        assert_eq!(own.parent as i32, stat.ppid);
        assert!(!own.is_zombie);
    }

    #[test]
    fn a_name_may_hold_anything_and_half_a_line_says_nothing() {
        let line = "7 (a) Z 9 \n) Z 3 7 7 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 4711 0 0";
        let whole = LeaderStat::of(line.as_bytes());
        let (is_zombie, parent, began) = (true, 3, 4711);
        assert_eq!(
            whole,
            Some(LeaderStat {
                is_zombie,
                parent,
                began
            })
        );
        assert_eq!(LeaderStat::of(&line.as_bytes()[..40]), None);
        assert_eq!(LeaderStat::of(b""), None);
    }
}
