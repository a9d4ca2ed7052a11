//! What a guard is to know: which groups are alive, and which starts are under way.
//!
//! Each start has a slot here, which a later start takes over when it is over. So the lists on both sides are as long as the most
//! starts that there were at one time, and the line of a slot replaces whatever was said of that slot before.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

/// The most bytes that a pipe takes as a whole or not at all: PIPE_BUF of Linux.
const PIPE_BUF: usize = 4096;
/// More than the longest line has.
const LONGEST_LINE: usize = 96;

/// What a guard is to know of one start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GuardedStart {
    pub(super) generation: u64,
    /// The group that its child leads; `None` while it is under way.
    pub(super) group: Option<i32>,
    /// When the leader started, or, for a start that is under way, a time before that. In ticks since the boot, as
    /// `/proc/PID/stat` has it.
    pub(super) time: u64,
}

/// The starts of one monitor or pool, and of which of them the guard has still to be told.
#[derive(Debug, Default)]
pub(super) struct GuardedStarts {
    slots: Vec<Option<GuardedStart>>,
    free: Vec<usize>,
    slot_of: HashMap<u64, usize>,
    untold: BTreeSet<usize>,
}

impl GuardedStarts {
    /// Puts a start in, or what is known of it now.
    pub(super) fn put(&mut self, start: GuardedStart) {
        let slot = *self.slot_of.entry(start.generation).or_insert_with(|| {
            self.free.pop().unwrap_or_else(|| {
                self.slots.push(None);
                self.slots.len() - 1
            })
        });
        self.say(slot, Some(start));
    }

    /// Takes a start out, if it is in.
    pub(super) fn remove(&mut self, generation: u64) {
        if let Some(slot) = self.slot_of.remove(&generation) {
            self.say(slot, None);
            self.free.push(slot);
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.slot_of.len()
    }

    fn say(&mut self, slot: usize, start: Option<GuardedStart>) {
        if let Some(place) = self.slots.get_mut(slot)
            && *place != start
        {
            *place = start;
            self.untold.insert(slot);
        }
    }

    /// There is another guard, which knows nothing.
    pub(super) fn forget_told(&mut self) {
        let slots = self.slots.iter().enumerate();
        self.untold = slots
            .filter_map(|(slot, start)| start.is_some().then_some(slot))
            .collect();
    }

    /// Lines that the guard has not been told, of which the pipe takes all or none, and of how many slots they are. `guard.sh` tells their form.
    pub(super) fn lines(&self) -> (String, usize) {
        let (mut lines, mut count) = (String::new(), 0);
        if !self.untold.is_empty() {
            // Nothing fails that is written to a String.
            let _ = writeln!(lines, "slots={}", self.slots.len());
        }
        for &slot in &self.untold {
            if lines.len() + LONGEST_LINE > PIPE_BUF {
                break;
            }
            let _ = match self.slots.get(slot).copied().flatten() {
                Some(GuardedStart {
                    generation,
                    group,
                    time,
                }) => match group {
                    Some(group) => writeln!(lines, "s{slot}='{group} {time}'"),
                    None => writeln!(lines, "s{slot}='0 {time} {generation}'"),
                },
                None => writeln!(lines, "s{slot}="),
            };
            count += 1;
        }
        (lines, count)
    }

    /// The guard has got the first lines of so many slots.
    pub(super) fn told(&mut self, count: usize) {
        for _ in 0..count {
            self.untold.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(generation: u64, group: Option<i32>) -> GuardedStart {
        GuardedStart {
            generation,
            group,
            time: 5,
        }
    }

    #[test]
    fn each_line_says_all_of_its_slot() {
        let mut list = GuardedStarts::default();
        list.put(start(7, None));
        list.put(start(8, None));
        assert_eq!(
            list.lines(),
            ("slots=2\ns0='0 5 7'\ns1='0 5 8'\n".to_owned(), 2)
        );
        list.put(start(8, Some(90)));
        list.remove(7);
        list.remove(7);
        assert_eq!(list.lines(), ("slots=2\ns0=\ns1='90 5'\n".to_owned(), 2));
        list.told(2);
        list.put(start(8, Some(90)));
        assert_eq!(list.lines(), (String::new(), 0));
        list.put(start(9, Some(91)));
        assert_eq!(list.lines(), ("slots=2\ns0='91 5'\n".to_owned(), 1));
    }

    #[test]
    fn a_new_guard_is_told_all_that_is_listed_and_nothing_else() {
        let mut list = GuardedStarts::default();
        for generation in 0..3 {
            list.put(start(generation, Some(90)));
        }
        list.told(3);
        list.remove(1);
        list.forget_told();
        assert_eq!(
            list.lines(),
            ("slots=3\ns0='90 5'\ns2='90 5'\n".to_owned(), 2)
        );
    }

    #[test]
    fn what_waits_is_never_more_than_the_slots_and_no_write_is_more_than_a_pipe_takes_at_once() {
        let mut list = GuardedStarts::default();
        for generation in 0..100_000 {
            list.put(start(u64::MAX - generation, Some(i32::MAX)));
            if generation >= 1000 {
                list.remove(u64::MAX - generation + 1000);
            }
        }
        assert!(list.slots.len() <= 1001, "{}", list.slots.len());
        assert!(list.untold.len() <= list.slots.len());
        let mut slots = 0;
        loop {
            let (lines, count) = list.lines();
            assert!(lines.len() <= PIPE_BUF);
            if count == 0 {
                break;
            }
            slots += count;
            list.told(count);
        }
        assert!(slots <= 1001, "{slots}");
    }

    #[test]
    fn the_longest_line_is_reckoned_with() {
        let mut list = GuardedStarts::default();
        list.put(GuardedStart {
            generation: u64::MAX,
            group: Some(i32::MAX),
            time: u64::MAX,
        });
        assert!(list.lines().0.len() + 20 <= LONGEST_LINE);
    }
}
