//! The last lines of a service, bounded in bytes, as plain data.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::line_cutter::CutLine;

/// What a kept line costs beside its bytes.
pub(super) const LINE_OVERHEAD: usize = size_of::<KeptLine>();

/// Where a line lies, and what else is known of it. Its number is that of the first line kept and its place behind that.
struct KeptLine {
    at: SystemTime,
    /// Counted from the first byte that this ring ever kept.
    start: u64,
    len: u32,
    fd: i32,
    /// How many restarts came before it.
    restarts: u32,
    partial: bool,
}

/// The lines of all outputs of a service, with one sequence number. The oldest go when there is no room.
#[derive(Default)]
pub(super) struct LineRing {
    /// Bytes of lines and [`LINE_OVERHEAD`] for each. A line that is larger is not kept.
    limit: usize,
    lines: VecDeque<KeptLine>,
    bytes: VecDeque<u8>,
    /// Of the first byte in `bytes`, counted as in [`KeptLine`].
    start: u64,
    /// How many lines have come.
    count: u64,
    restarts: u32,
}

/// A line that is kept. Its bytes may lie in two places.
#[derive(Debug, Clone, Copy)]
pub(super) struct RingLine<'a> {
    pub(super) seq: u64,
    pub(super) at: SystemTime,
    pub(super) fd: i32,
    pub(super) bytes: (&'a [u8], &'a [u8]),
    pub(super) partial: bool,
    pub(super) restarts: u32,
}

impl LineRing {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Lines of one chunk. Room is made for all of them at once.
    pub(super) fn push(&mut self, fd: i32, at: SystemTime, lines: &[CutLine<'_>]) {
        self.count += lines.len() as u64;
        // The end of them that has room.
        let mut size = 0;
        let fits = |line: &&CutLine<'_>| {
            size += line.bytes.len() + LINE_OVERHEAD;
            size <= self.limit
        };
        let kept = lines.iter().rev().take_while(fits).count();
        let (over, lines) = lines.split_at(lines.len() - kept);
        let size: usize = lines
            .iter()
            .map(|line| line.bytes.len() + LINE_OVERHEAD)
            .sum();
        // What is kept is without gaps.
        let room = if over.is_empty() {
            self.limit - size
        } else {
            0
        };
        self.evict_down_to(room);
        self.lines.reserve(lines.len());
        let mut start = self.start + self.bytes.len() as u64;
        for line in lines {
            self.lines.push_back(KeptLine {
                at,
                start,
                // It is shorter than the limit.
                len: u32::try_from(line.bytes.len()).unwrap_or(u32::MAX),
                fd,
                restarts: self.restarts,
                partial: line.partial,
            });
            self.bytes.extend(line.bytes);
            start += line.bytes.len() as u64;
        }
    }

    fn evict_down_to(&mut self, room: usize) {
        let mut size = self.size();
        let (mut lines, mut bytes) = (0, 0);
        for line in &self.lines {
            if size <= room {
                break;
            }
            size -= line.len as usize + LINE_OVERHEAD;
            bytes += line.len as usize;
            lines += 1;
        }
        self.lines.drain(..lines);
        self.bytes.drain(..bytes);
        self.start += bytes as u64;
    }

    fn size(&self) -> usize {
        self.bytes.len() + self.lines.len() * LINE_OVERHEAD
    }

    /// What comes from here on belongs to another generation.
    pub(super) const fn restart(&mut self) {
        self.restarts = self.restarts.wrapping_add(1);
    }

    pub(super) const fn restarts(&self) -> u32 {
        self.restarts
    }

    /// The number of the last line that came; 0 before the first.
    pub(super) const fn last_seq(&self) -> u64 {
        self.count
    }

    /// The number of the first line that is kept, or of the next line if none is.
    pub(super) fn first_seq(&self) -> u64 {
        self.count - self.lines.len() as u64 + 1
    }

    /// The line with this number, if it is kept.
    pub(super) fn line(&self, seq: u64) -> Option<RingLine<'_>> {
        let index = usize::try_from(seq.checked_sub(self.first_seq())?).ok()?;
        let line = self.lines.get(index)?;
        let begin = usize::try_from(line.start - self.start).ok()?;
        let end = begin + line.len as usize;
        let (front, back) = self.bytes.as_slices();
        // Where the two places meet.
        let middle = front.len();
        Some(RingLine {
            seq,
            at: line.at,
            fd: line.fd,
            bytes: (
                front.get(begin.min(middle)..end.min(middle))?,
                back.get(begin.saturating_sub(middle)..end.saturating_sub(middle))?,
            ),
            partial: line.partial,
            restarts: line.restarts,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AT: SystemTime = SystemTime::UNIX_EPOCH;

    proptest! {
        /// Against a list of all lines: the ring holds the longest end of it that its limit has room for, whole.
        #[test]
        fn it_keeps_the_last_lines_that_its_limit_has_room_for(
            limit in 0_usize..1000,
            lengths in prop::collection::vec(0_usize..300, 0..100),
        ) {
            let mut ring = LineRing::new(limit);
            let mut all: Vec<Vec<u8>> = Vec::new();
            for (index, length) in lengths.into_iter().enumerate() {
                let line: Vec<u8> = (0..length).map(|at| (index * 7 + at) as u8).collect();
                let partial = index % 3 == 0;
                ring.push(index as i32 % 2, AT, &[CutLine { bytes: &line, partial }]);
                all.push(line);
                let mut room = limit;
                let fitting = all.iter().rev().take_while(|line| {
                    let size = line.len() + LINE_OVERHEAD;
                    let fits = size <= room;
                    room -= size * usize::from(fits);
                    fits
                });
                let kept = fitting.count();
                prop_assert_eq!(ring.last_seq(), all.len() as u64);
                prop_assert_eq!(ring.first_seq(), (all.len() - kept) as u64 + 1);
                prop_assert!(ring.size() <= limit);
                for (before, line) in all.iter().enumerate() {
                    let seq = before as u64 + 1;
                    let there = ring.line(seq);
                    prop_assert_eq!(there.is_some(), before >= all.len() - kept);
                    if let Some(there) = there {
                        prop_assert_eq!([there.bytes.0, there.bytes.1].concat(), &line[..]);
                        prop_assert_eq!(there.seq, seq);
                        prop_assert_eq!(there.fd, before as i32 % 2);
                        prop_assert_eq!(there.partial, before % 3 == 0);
                    }
                }
                prop_assert!(ring.line(0).is_none() && ring.line(all.len() as u64 + 1).is_none());
            }
        }
    }

    proptest! {
        #[test]
        fn many_lines_at_once_leave_what_each_for_itself_leaves(
            limit in 0_usize..1000,
            batches in prop::collection::vec(prop::collection::vec(0_usize..200, 0..10), 0..10),
        ) {
            let (mut ring, mut single) = (LineRing::new(limit), LineRing::new(limit));
            for lengths in batches {
                let bytes = [b'x'; 200];
                let lines: Vec<_> = lengths
                    .iter()
                    .map(|length| CutLine { bytes: &bytes[..*length], partial: false })
                    .collect();
                ring.push(1, AT, &lines);
                lines.iter().for_each(|line| single.push(1, AT, std::slice::from_ref(line)));
                prop_assert_eq!(ring.first_seq(), single.first_seq());
                prop_assert_eq!(ring.last_seq(), single.last_seq());
                prop_assert_eq!(&ring.bytes, &single.bytes);
            }
        }
    }

    #[test]
    fn an_empty_ring_allocates_nothing() {
        let ring = LineRing::new(64 * 1024);
        assert_eq!((ring.lines.capacity(), ring.bytes.capacity()), (0, 0));
        let mut none = LineRing::new(0);
        for _ in 0..100 {
            none.push(1, AT, &[CutLine::default()]);
        }
        assert_eq!((none.lines.capacity(), none.bytes.capacity()), (0, 0));
        assert_eq!((none.last_seq(), none.first_seq()), (100, 101));
    }

    #[test]
    fn its_memory_stays_flat() {
        let mut ring = LineRing::new(64 * 1024);
        for length in (0..200).cycle().take(100_000) {
            let bytes = &vec![b'x'; length][..];
            ring.push(
                1,
                AT,
                &[CutLine {
                    bytes,
                    partial: false,
                }; 3],
            );
            assert!(ring.bytes.capacity() <= 128 * 1024);
            assert!(ring.lines.capacity() * LINE_OVERHEAD <= 128 * 1024);
        }
    }
}
