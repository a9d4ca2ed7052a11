//! What a guard is to know: which groups are alive, and which starts are under way.
//!
//! Each start has a slot here, which a later start takes over when it is over. So the list is as long as the most
//! starts that there were at one time, and the line of a slot replaces whatever was said of that slot before.

use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The bytes of each slot in the file of the list. A page holds a whole number of them, so none is written by half when the host is killed.
pub(super) const SLOT: usize = 256;
/// One write tells of so many slots at most: a page.
const MOST: usize = 16;

/// What a guard is to know of one start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GuardedStart {
    pub(super) generation: u64,
    /// The group that its child leads; `None` while it is under way.
    pub(super) group: Option<i32>,
    /// The leader started at this time or later. In ticks since the boot, as `/proc/PID/stat` has it.
    pub(super) earliest: u64,
    /// It started at this time or before, if it has.
    pub(super) latest: u64,
    /// The directory of the cgroup that was made for it.
    pub(super) cgroup: Option<PathBuf>,
}

/// The starts of one monitor or pool, and which slots of the list have still to be written.
#[derive(Debug, Default)]
pub(super) struct GuardedStarts {
    slots: Vec<Option<GuardedStart>>,
    free: Vec<usize>,
    slot_of: HashMap<u64, usize>,
    /// In order.
    untold: Vec<usize>,
    /// What was written last: each start is written three times.
    lines: Vec<u8>,
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
            if let Err(at) = self.untold.binary_search(&slot) {
                self.untold.insert(at, slot);
            }
        }
    }

    /// There is another guard, with a list of its own, which is empty.
    pub(super) fn forget_told(&mut self) {
        self.untold = (0..self.slots.len()).collect();
    }

    /// The first slots that the list does not have as they are, up to the last of them that one write takes, and their lines. `guard.sh` tells
    /// their form.
    pub(super) fn untold(&mut self) -> Option<(Range<usize>, &[u8])> {
        let first = *self.untold.first()?;
        let near = self.untold.partition_point(|slot| *slot < first + MOST);
        let last = *self.untold.get(near.checked_sub(1)?)?;
        let lines = &mut self.lines;
        lines.clear();
        for slot in self.slots.get(first..=last)? {
            let end = lines.len() + SLOT - 1;
            // Nothing fails that is written to a Vec.
            let _ = match slot {
                Some(GuardedStart {
                    generation,
                    group,
                    earliest,
                    latest,
                    ..
                }) => match group {
                    Some(group) => write!(lines, "g {group} {earliest} {latest} "),
                    None => write!(lines, "u {generation} {earliest}"),
                },
                None => Ok(()),
            };
            let cgroup = slot.as_ref().and_then(|start| start.cgroup.as_deref());
            if let Some(cgroup) = cgroup.map(Path::as_os_str).map(OsStrExt::as_bytes)
                && lines.len() + cgroup.len() <= end
                && !cgroup.contains(&b'\n')
            {
                lines.extend_from_slice(cgroup);
            }
            lines.resize(end, b' ');
            lines.push(b'\n');
        }
        Some((first..last + 1, lines))
    }

    /// The list has the slots before this one as they are.
    pub(super) fn told(&mut self, before: usize) {
        let told = self.untold.partition_point(|slot| *slot < before);
        self.untold.drain(..told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(generation: u64, group: Option<i32>) -> GuardedStart {
        GuardedStart {
            generation,
            group,
            earliest: 5,
            latest: 6,
            cgroup: None,
        }
    }

    /// What is to be written, from which slot on, without the spaces.
    fn untold(list: &mut GuardedStarts) -> Option<(usize, String)> {
        let (slots, lines) = list.untold()?;
        assert_eq!(lines.len(), slots.len() * SLOT);
        let lines = lines.chunks(SLOT).map(|line| {
            let line = str::from_utf8(line).unwrap();
            assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
            format!("{}\n", line.trim_end())
        });
        Some((slots.start, lines.collect()))
    }

    #[test]
    fn each_line_says_all_of_its_slot() {
        let mut list = GuardedStarts::default();
        list.put(start(7, None));
        list.put(start(8, None));
        assert_eq!(untold(&mut list), Some((0, "u 7 5\nu 8 5\n".to_owned())));
        list.put(start(8, Some(90)));
        list.remove(7);
        list.remove(7);
        assert_eq!(untold(&mut list), Some((0, "\ng 90 5 6\n".to_owned())));
        list.told(2);
        list.put(start(8, Some(90)));
        assert_eq!(untold(&mut list), None);
        list.put(start(9, Some(91)));
        assert_eq!(untold(&mut list), Some((0, "g 91 5 6\n".to_owned())));
        list.told(1);
        list.remove(8);
        assert_eq!(untold(&mut list), Some((1, "\n".to_owned())));
    }

    #[test]
    fn a_new_guard_is_told_all_that_is_listed() {
        let mut list = GuardedStarts::default();
        for generation in 0..3 {
            list.put(start(generation, Some(90)));
        }
        list.told(3);
        list.remove(1);
        list.forget_told();
        assert_eq!(
            untold(&mut list),
            Some((0, "g 90 5 6\n\ng 90 5 6\n".to_owned()))
        );
    }

    #[test]
    fn what_waits_is_never_more_than_the_slots_and_no_write_is_more_than_a_page() {
        let mut list = GuardedStarts::default();
        for generation in 0..100_000 {
            list.put(start(u64::MAX - generation, Some(i32::MAX)));
            if generation >= 1000 {
                list.remove(u64::MAX - generation + 1000);
            }
        }
        assert!(list.slots.len() <= 1001, "{}", list.slots.len());
        assert!(list.untold.len() <= list.slots.len());
        let mut told = 0;
        while let Some((slots, lines)) = list.untold() {
            assert!(lines.len() <= 4096);
            assert_eq!(slots.start, told);
            told = slots.end;
            list.told(told);
        }
        assert_eq!(told, list.slots.len());
    }

    #[test]
    fn what_lies_far_apart_is_written_apart() {
        let mut list = GuardedStarts::default();
        for generation in 0..200 {
            list.put(start(generation, None));
        }
        list.told(200);
        list.remove(3);
        list.remove(18);
        list.remove(19);
        let mut told = Vec::new();
        while let Some((slots, _)) = list.untold() {
            list.told(slots.end);
            told.push(slots);
        }
        assert_eq!(told, [3..19, 19..20]);
    }

    #[test]
    fn the_longest_line_has_room() {
        let mut list = GuardedStarts::default();
        for (generation, group) in [(u64::MAX, None), (0, Some(i32::MAX))] {
            list.put(GuardedStart {
                generation,
                group,
                earliest: u64::MAX,
                latest: u64::MAX,
                cgroup: None,
            });
        }
        let (_, lines) = list.untold().unwrap();
        assert_eq!(lines.len(), 2 * SLOT);
        assert_eq!(4096 % SLOT, 0);
    }

    #[test]
    fn a_cgroup_is_told_whose_path_is_in_one_line_and_has_room() {
        let mut list = GuardedStarts::default();
        let fits = format!("/{}", "c".repeat(SLOT - "g 90 5 6 /\n".len()));
        let cgroups = ["/a b", &fits, &format!("{fits}c"), "/a\nb"];
        for (generation, cgroup) in cgroups.into_iter().enumerate() {
            list.put(GuardedStart {
                cgroup: Some(cgroup.into()),
                ..start(generation as u64, Some(90))
            });
        }
        let expected = format!("g 90 5 6 /a b\ng 90 5 6 {fits}\ng 90 5 6\ng 90 5 6\n");
        assert_eq!(untold(&mut list), Some((0, expected)));
    }
}
