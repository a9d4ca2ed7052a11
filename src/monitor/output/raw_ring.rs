//! The last bytes of one descriptor as they came, and where they were of another generation, as plain data.

use std::collections::VecDeque;

/// The last `limit` bytes. Places are counted from the first byte that came.
#[derive(Default)]
pub(super) struct RawRing {
    limit: usize,
    bytes: VecDeque<u8>,
    /// How many bytes have come.
    end: u64,
    /// Before which places a generation began: one mark for each place.
    marks: VecDeque<u64>,
    /// How many marks have gone with the bytes before them.
    marks_gone: u64,
}

/// What somebody who reads the ring has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawCursor {
    place: u64,
    marks: u64,
}

/// What is next for a cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RawPart {
    Bytes(Vec<u8>),
    Missed(u64),
    Restart,
}

impl RawRing {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.end += chunk.len() as u64;
        let kept = chunk.len().min(self.limit);
        let over = (self.bytes.len() + kept).saturating_sub(self.limit);
        self.bytes.drain(..over.min(self.bytes.len()));
        let last = chunk.split_at_checked(chunk.len() - kept);
        self.bytes.extend(last.map_or(&[][..], |(_, last)| last));
        while self.marks.front().is_some_and(|mark| *mark < self.start()) {
            self.marks.pop_front();
            self.marks_gone += 1;
        }
    }

    /// What comes from here on belongs to another generation. Generations without a byte between them are one.
    pub(super) fn restart(&mut self) {
        if self.marks.back() != Some(&self.end) {
            self.marks.push_back(self.end);
        }
    }

    fn start(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    /// For somebody who wants all that is here.
    pub(super) fn cursor(&self) -> RawCursor {
        let at_start = self.marks.front() == Some(&self.start());
        RawCursor {
            place: self.start(),
            // Before what is here there is nothing for them.
            marks: self.marks_gone + u64::from(at_start),
        }
    }

    /// The next part, which the cursor has then behind it.
    pub(super) fn read(&self, cursor: &mut RawCursor) -> Option<RawPart> {
        let missed = self.start().saturating_sub(cursor.place);
        if missed > 0 {
            cursor.place = self.start();
            return Some(RawPart::Missed(missed));
        }
        let next_mark = match cursor.marks.checked_sub(self.marks_gone) {
            None => {
                cursor.marks = self.marks_gone;
                return Some(RawPart::Restart);
            }
            Some(told) => usize::try_from(told).ok().and_then(|at| self.marks.get(at)),
        };
        if next_mark == Some(&cursor.place) {
            cursor.marks += 1;
            return Some(RawPart::Restart);
        }
        let until = next_mark.copied().unwrap_or(self.end);
        let begin = usize::try_from(cursor.place - self.start()).ok()?;
        let end = usize::try_from(until - self.start()).ok()?;
        if begin >= end {
            return None;
        }
        cursor.place = until;
        Some(RawPart::Bytes(
            self.bytes.range(begin..end).copied().collect(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Act {
        Push(usize),
        Restart,
        /// A reader of this number begins.
        Begin,
        /// The reader reads until nothing is next.
        Read(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => (0_usize..12).prop_map(Act::Push),
            2 => Just(Act::Restart),
            1 => Just(Act::Begin),
            3 => (0_usize..4).prop_map(Act::Read),
        ]
    }

    struct Reader {
        cursor: RawCursor,
        /// How many of all bytes are behind it.
        place: usize,
    }

    proptest! {
        #[test]
        fn every_reader_gets_each_byte_or_is_told_of_it(
            limit in 0_usize..20,
            acts in prop::collection::vec(act(), 0..60),
        ) {
            let mut ring = RawRing::new(limit);
            let (mut all, mut marks) = (Vec::<u8>::new(), std::collections::BTreeSet::new());
            let mut readers: Vec<Reader> = Vec::new();
            for act in acts {
                match act {
                    Act::Push(length) => {
                        let chunk: Vec<u8> = (all.len()..all.len() + length).map(|at| at as u8).collect();
                        ring.push(&chunk);
                        all.extend(chunk);
                    }
                    Act::Restart => {
                        ring.restart();
                        marks.insert(all.len());
                    }
                    Act::Begin => readers.push(Reader {
                        cursor: ring.cursor(),
                        place: all.len() - ring.bytes.len(),
                    }),
                    Act::Read(number) => {
                        let Some(reader) = readers.get_mut(number) else { continue };
                        let before = reader.place;
                        let mut restarts = 0;
                        while let Some(part) = ring.read(&mut reader.cursor) {
                            match part {
                                RawPart::Bytes(bytes) => {
                                    prop_assert!(!bytes.is_empty());
                                    let next = reader.place + bytes.len();
                                    prop_assert_eq!(&bytes[..], &all[reader.place..next]);
                                    let crossed = marks.range(reader.place + 1..next).count();
                                    prop_assert_eq!(crossed, 0, "a restart lies within");
                                    reader.place = next;
                                }
                                RawPart::Missed(missed) => {
                                    reader.place += missed as usize;
                                    prop_assert_eq!(reader.place, all.len() - ring.bytes.len());
                                }
                                RawPart::Restart => restarts += 1,
                            }
                        }
                        prop_assert_eq!(reader.place, all.len());
                        let most = marks.range(before..=all.len()).count();
                        prop_assert!(restarts <= most, "{} of {}", restarts, most);
                    }
                }
                prop_assert!(ring.bytes.len() <= limit && ring.marks.len() <= limit + 1);
            }
        }
    }

    #[test]
    fn a_restart_is_told_between_the_bytes_of_two_generations() {
        let mut ring = RawRing::new(100);
        let mut cursor = ring.cursor();
        ring.push(b"one");
        ring.restart();
        ring.push(b"two");
        let parts: Vec<_> = std::iter::from_fn(|| ring.read(&mut cursor)).collect();
        let bytes = |text: &[u8]| RawPart::Bytes(text.to_vec());
        assert_eq!(parts, [bytes(b"one"), RawPart::Restart, bytes(b"two")]);
        ring.restart();
        assert_eq!(ring.read(&mut cursor), Some(RawPart::Restart));
        assert_eq!(ring.read(&mut cursor), None);
    }
}
