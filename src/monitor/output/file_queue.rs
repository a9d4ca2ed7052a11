//! What is to be written to the file of a service, as plain data: bounded, the oldest goes.

use std::collections::VecDeque;
use std::mem;

use super::line_cutter::CutLine;

/// A chunk of the queue has about this size: it is what one write(2) gets.
const CHUNK: usize = 32 * 1024;

/// Some lines, or a piece of a long one at its beginning or end.
#[derive(Default)]
pub(super) struct FileChunk {
    bytes: Vec<u8>,
    /// So many bytes of it are in the file.
    written: usize,
    /// What came before it was dropped.
    after_gap: bool,
    /// Its first byte ends a line of the file whose rest was dropped.
    ends_torn_line: bool,
}

/// Lines for a file. One writer takes chunks, and says what came of each.
#[derive(Default)]
pub(super) struct FileQueue {
    limit: usize,
    chunks: VecDeque<FileChunk>,
    /// Bytes in `chunks`.
    size: usize,
    /// The descriptor whose long line the last chunk ends in.
    within: Option<i32>,
    /// What came after the last chunk was dropped.
    gap: bool,
    /// The file ends within a line.
    file_within_line: bool,
    /// Bytes that were dropped.
    lost: u64,
}

impl FileChunk {
    /// What is not in the file yet.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// So many bytes more are in the file.
    pub(super) const fn wrote(&mut self, more: usize) {
        self.written += more;
    }
}

impl FileQueue {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, fd: i32, lines: &[CutLine<'_>]) {
        for line in lines {
            // Another output does not go on with this line.
            let is_mixed = self.within.is_some_and(|within| within != fd);
            let size = usize::from(is_mixed) + line.bytes.len() + usize::from(!line.partial);
            let has_room = |back: &FileChunk| back.bytes.len() + size <= CHUNK;
            // The writer may have given back a chunk that came before the gap.
            if self.gap || !self.chunks.back().is_some_and(has_room) {
                self.chunks.push_back(FileChunk {
                    after_gap: mem::take(&mut self.gap),
                    ..FileChunk::default()
                });
            }
            if let Some(FileChunk { bytes, .. }) = self.chunks.back_mut() {
                if is_mixed {
                    bytes.push(b'\n');
                }
                bytes.extend_from_slice(line.bytes);
                if !line.partial {
                    bytes.push(b'\n');
                }
                self.size += size;
            }
            self.within = line.partial.then_some(fd);
        }
        self.drop_down_to_limit();
    }

    fn drop_down_to_limit(&mut self) {
        while self.size > self.limit && self.drop_first() {}
    }

    fn drop_first(&mut self) -> bool {
        let Some(oldest) = self.chunks.pop_front() else {
            return false;
        };
        self.size -= oldest.bytes.len();
        let not_lost = oldest.written.max(usize::from(oldest.ends_torn_line));
        self.lost += (oldest.bytes.len() - not_lost) as u64;
        match self.chunks.front_mut() {
            Some(next) => next.after_gap = true,
            None => self.gap = true,
        }
        true
    }

    /// The first chunk, for the writer.
    pub(super) fn take(&mut self) -> Option<FileChunk> {
        let mut chunk = self.chunks.pop_front()?;
        self.size -= chunk.bytes.len();
        if chunk.after_gap && chunk.written == 0 && !chunk.ends_torn_line && self.file_within_line {
            chunk.bytes.insert(0, b'\n');
            chunk.ends_torn_line = true;
        }
        Some(chunk)
    }

    /// The writer has done with a chunk what it could. It is the first one again if that was not all.
    pub(super) fn give_back(&mut self, chunk: FileChunk) {
        if let Some(last) = chunk.bytes.get(..chunk.written).and_then(<[u8]>::last) {
            self.file_within_line = *last != b'\n';
        }
        if !chunk.rest().is_empty() {
            self.size += chunk.bytes.len();
            self.chunks.push_front(chunk);
        }
        self.drop_down_to_limit();
    }

    /// The writer has another file.
    pub(super) const fn reopened(&mut self) {
        self.file_within_line = false;
    }

    /// Drops what is here: nobody will write it.
    pub(super) fn give_up(&mut self) {
        while self.drop_first() {}
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// How many bytes were dropped.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Act {
        Push {
            fd: i32,
            length: usize,
            partial: bool,
        },
        /// The writer takes a chunk.
        Take,
        /// It writes so many quarters of what is left of it.
        Write(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => (1..3, 1_usize..40_000, prop::bool::weighted(0.4))
                .prop_map(|(fd, length, partial)| Act::Push { fd, length, partial }),
            1 => Just(Act::Take),
            1 => (0_usize..5).prop_map(Act::Write),
        ]
    }

    fn write(queue: &mut FileQueue, file: &mut Vec<u8>, mut chunk: FileChunk, quarters: usize) {
        let more = chunk.rest().len() * quarters / 4;
        file.extend_from_slice(&chunk.rest()[..more]);
        chunk.wrote(more);
        queue.give_back(chunk);
    }

    proptest! {
        /// The bytes of each push are its number, so the file tells what stands beside what.
        #[test]
        fn every_byte_is_written_once_or_counted_and_no_line_goes_on_in_another(
            limit in 0_usize..150_000,
            acts in prop::collection::vec(act(), 0..60),
        ) {
            let mut queue = FileQueue::new(limit);
            let mut file = Vec::new();
            let mut pushes = Vec::new();
            let mut taken = None;
            for act in acts {
                match act {
                    Act::Push { fd, length, partial } => {
                        let bytes = vec![b' ' + pushes.len() as u8; length];
                        queue.push(fd, &[CutLine { bytes: &bytes, partial }]);
                        pushes.push((fd, length, partial));
                    }
                    Act::Take => taken = taken.or_else(|| queue.take()),
                    Act::Write(quarters) => {
                        if let Some(chunk) = taken.take() {
                            write(&mut queue, &mut file, chunk, quarters);
                        }
                    }
                }
                prop_assert!(queue.size <= limit.max(CHUNK + 40_002) + CHUNK + 40_002);
                prop_assert_eq!(queue.size, queue.chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>());
            }
            while let Some(chunk) = taken.take().or_else(|| queue.take()) {
                write(&mut queue, &mut file, chunk, 4);
            }
            let pushed: u64 = pushes.iter().map(|(_, length, _)| *length as u64).sum();
            let there = file.iter().filter(|byte| **byte != b'\n').count() as u64;
            let counted = there + queue.lost();
            prop_assert!(counted >= pushed && counted <= pushed + 2 * pushes.len() as u64);
            for pair in file.windows(2).filter(|pair| !pair.contains(&b'\n')) {
                let [one, two] = [pair[0], pair[1]].map(|byte| usize::from(byte - b' '));
                let (fd, _, partial) = pushes[one];
                let goes_on = two == one + 1 && partial && pushes[two].0 == fd;
                prop_assert!(one == two || goes_on, "{} before {}", one, two);
            }
            let order: Vec<u8> = file.into_iter().filter(|byte| *byte != b'\n').collect();
            prop_assert!(order.is_sorted());
        }
    }

    #[test]
    fn a_chunk_that_is_given_back_before_a_gap_does_not_go_on_behind_it() {
        let mut queue = FileQueue::new(10);
        let push = |queue: &mut FileQueue, bytes: &[u8], partial| {
            queue.push(1, &[CutLine { bytes, partial }]);
        };
        push(&mut queue, b"half", true);
        let chunk = queue.take().unwrap();
        push(&mut queue, b"is dropped", false);
        queue.give_back(chunk);
        push(&mut queue, b"next", false);
        let mut file = Vec::new();
        while let Some(chunk) = queue.take() {
            write(&mut queue, &mut file, chunk, 4);
        }
        assert_eq!((file, queue.lost()), (b"half\nnext\n".to_vec(), 11));
    }

    #[test]
    fn what_is_dropped_is_the_oldest_and_is_counted() {
        let mut queue = FileQueue::new(CHUNK);
        let line = vec![b'x'; CHUNK - 1];
        let push = |queue: &mut FileQueue, fd, bytes: &[u8]| {
            let partial = false;
            queue.push(fd, &[CutLine { bytes, partial }]);
        };
        for _ in 0..3 {
            push(&mut queue, 1, &line);
        }
        assert_eq!(queue.lost(), 2 * CHUNK as u64);
        // The file has a hundred bytes of the third line, and the rest is dropped.
        let mut chunk = queue.take().unwrap();
        chunk.wrote(100);
        queue.give_back(chunk);
        push(&mut queue, 2, b"next");
        assert_eq!(queue.lost(), 3 * CHUNK as u64 - 100);
        assert_eq!(queue.take().unwrap().rest(), b"\nnext\n");
    }
}
