//! What the processes of services use, by procfs.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::time::Duration;

use procfs::FromRead;
use procfs::process::Stat;

/// What the processes of a service use: those of its process group, and of its session if its child leads one.
///
/// A process that has left both, or that this program may not see (`hidepid`), is not in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Usage {
    /// The CPU time that they have used, and that the children used that they have reaped. When a process dies whose parent is
    /// not among them, or whose parent ignores SIGCHLD, its time is no longer counted: the number can go back then.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::seconds::seconds"))]
    pub cpu: Duration,
    /// Their resident memory, in bytes. A page that several of them share, as those of a program or a library are, is counted
    /// for each.
    pub rss: u64,
    /// How many they are, without zombies.
    pub processes: usize,
}

/// What the processes of each of these groups use, found in one pass over `/proc`. A group without processes is not in the answer.
///
/// This blocks while it reads a file of each process of the machine.
pub(crate) fn sample(groups: &[i32]) -> io::Result<HashMap<i32, Usage>> {
    let groups = groups.iter().filter(|group| **group > 0);
    let mut sums: HashMap<i32, GroupSum> =
        groups.map(|group| (*group, GroupSum::default())).collect();
    if sums.is_empty() {
        return Ok(HashMap::new());
    }
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let name = entry.file_name();
        let is_process = name
            .to_str()
            .is_some_and(|name| name.parse::<i32>().is_ok());
        if !is_process {
            continue;
        }
        // One that is gone by now, or not ours to see.
        let Ok(stat) = File::open(entry.path().join("stat")) else {
            continue;
        };
        let Ok(stat) = Stat::from_read(stat) else {
            continue;
        };
        // A session has the number of the process that made it, and no group has that number but the one of the same process.
        let group = if sums.contains_key(&stat.pgrp) {
            stat.pgrp
        } else {
            stat.session
        };
        if let Some(sum) = sums.get_mut(&group) {
            sum.add(&stat);
        }
    }
    let (ticks, page) = (procfs::ticks_per_second(), procfs::page_size());
    let found = sums.into_iter().filter(|(_, sum)| sum.found);
    Ok(found
        .map(|(group, sum)| (group, sum.usage(ticks, page)))
        .collect())
}

/// In the units of the kernel.
#[derive(Default)]
struct GroupSum {
    found: bool,
    ticks: u64,
    pages: u64,
    processes: usize,
}

impl GroupSum {
    fn add(&mut self, stat: &Stat) {
        let reaped = [stat.cutime, stat.cstime].map(|ticks| u64::try_from(ticks).unwrap_or(0));
        let ticks = [stat.utime, stat.stime].into_iter().chain(reaped);
        self.ticks = ticks.fold(self.ticks, u64::saturating_add);
        self.pages = self.pages.saturating_add(stat.rss);
        self.processes += usize::from(!matches!(stat.state, 'Z' | 'X'));
        self.found = true;
    }

    fn usage(&self, ticks_per_second: u64, page: u64) -> Usage {
        let millis = self.ticks.saturating_mul(1000) / ticks_per_second.max(1);
        Usage {
            cpu: Duration::from_millis(millis),
            rss: self.pages.saturating_mul(page),
            processes: self.processes,
        }
    }
}

#[cfg(test)]
mod tests;
