//! Lines from the chunks in which one descriptor is read, without an allocation for each of them.

use std::io::BufRead;

/// A line, or a piece of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CutLine<'a> {
    /// Without the newline, and without one carriage return before it.
    pub(super) bytes: &'a [u8],
    /// The line was longer than the maximum: it goes on in the next piece.
    pub(super) partial: bool,
}

/// How many lines are handed on at once.
const BATCH: usize = 128;

/// Cuts the chunks of one descriptor into lines of at most `max` bytes.
///
/// A line within one chunk is a slice of that chunk. Only a line that lies across chunks is copied, to `carry`.
pub(super) struct LineCutter {
    /// At least 1.
    max: usize,
    /// The beginning of a line, at most `max` bytes without a newline.
    carry: Vec<u8>,
}

impl LineCutter {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max: max.max(1),
            carry: Vec::new(),
        }
    }

    /// Calls `each` with the lines that end in this chunk, in batches and in order.
    pub(super) fn cut(&mut self, chunk: &[u8], mut each: impl FnMut(&[CutLine<'_>])) {
        let mut rest = chunk;
        // A line that is longer than the maximum may begin in the carry, and its second piece is a slice of the chunk.
        if !self.carry.is_empty() {
            let room = self.max.saturating_sub(self.carry.len());
            let (taken, end) = next_end(rest, room);
            let (begin, after) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
            self.carry.extend_from_slice(begin);
            rest = after;
            let Some(end) = end else { return };
            let mut whole = std::mem::take(&mut self.carry);
            each(&[end.line(&whole, &mut rest)]);
            whole.clear();
            self.carry = whole;
        }
        let mut batch = [CutLine::default(); BATCH];
        while !rest.is_empty() {
            let mut count = 0;
            for place in &mut batch {
                let (taken, end) = next_end(rest, self.max);
                let (begin, after) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
                rest = after;
                let Some(end) = end else {
                    self.carry.extend_from_slice(begin);
                    break;
                };
                *place = end.line(begin, &mut rest);
                count += 1;
            }
            if let Some(lines) = batch.get(..count)
                && !lines.is_empty()
            {
                each(lines);
            }
        }
        if self.carry.is_empty() {
            // Between two lines nothing is held.
            self.carry = Vec::new();
        }
    }

    /// No more comes: calls `each` with the unfinished last line, if there is one.
    pub(super) fn finish(&mut self, each: impl FnOnce(&[CutLine<'_>])) {
        let last = std::mem::take(&mut self.carry);
        if !last.is_empty() {
            each(&[CutLine {
                bytes: &last,
                partial: false,
            }]);
        }
    }
}

/// What ends a piece of a line.
enum PieceEnd {
    Newline,
    Cut,
}

impl PieceEnd {
    /// The piece whose bytes stand before this end, which is taken off `rest`.
    fn line<'a>(&self, bytes: &'a [u8], rest: &mut &[u8]) -> CutLine<'a> {
        match self {
            Self::Newline => {
                *rest = rest.get(1..).unwrap_or_default();
                CutLine {
                    bytes: bytes.strip_suffix(b"\r").unwrap_or(bytes),
                    partial: false,
                }
            }
            Self::Cut => CutLine {
                bytes,
                partial: true,
            },
        }
    }
}

/// How many bytes of `rest` belong to the piece that begins there and has `room`, and what ends it. `None`: the piece goes on
/// in the next chunk.
fn next_end(rest: &[u8], room: usize) -> (usize, Option<PieceEnd>) {
    // The newline may stand behind a line of the full length.
    let longest = rest.len().min(room.saturating_add(1));
    let seen = rest.get(..longest).unwrap_or(rest);
    // The standard library's memchr, which it has no other name for. A slice gives no error.
    let through = (&mut &*seen).skip_until(b'\n').unwrap_or(seen.len());
    if through > 0 && seen.get(through - 1) == Some(&b'\n') {
        (through - 1, Some(PieceEnd::Newline))
    } else if rest.len() > room {
        (room, Some(PieceEnd::Cut))
    } else {
        (rest.len(), None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Lines = Vec<(Vec<u8>, bool)>;

    /// What shall come of `input`, whatever its chunks.
    fn model(input: &[u8], max: usize) -> Lines {
        let mut lines = Vec::new();
        let mut contents: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
        let rest = contents.pop().unwrap();
        let with_ends = contents.into_iter().map(|line| (line, true));
        for (content, ended) in with_ends.chain((!rest.is_empty()).then_some((rest, false))) {
            let mut pieces: Vec<&[u8]> = content.chunks(max).collect();
            let mut last = pieces.pop().unwrap_or_default();
            if ended {
                last = last.strip_suffix(b"\r").unwrap_or(last);
            }
            lines.extend(pieces.into_iter().map(|piece| (piece.to_vec(), true)));
            lines.push((last.to_vec(), false));
        }
        lines
    }

    fn cut(chunks: Vec<&[u8]>, max: usize) -> Lines {
        let mut cutter = LineCutter::new(max);
        let mut lines = Vec::new();
        let mut keep = |batch: &[CutLine<'_>]| {
            assert!(!batch.is_empty() && batch.len() <= BATCH);
            lines.extend(batch.iter().map(|line| (line.bytes.to_vec(), line.partial)));
        };
        for chunk in chunks {
            cutter.cut(chunk, &mut keep);
            assert!(cutter.carry.len() <= max && !cutter.carry.contains(&b'\n'));
        }
        cutter.finish(&mut keep);
        cutter.finish(|_| panic!("nothing is left"));
        lines
    }

    fn at_borders(input: &[u8], is_border: impl Fn(usize) -> bool) -> Vec<&[u8]> {
        let mut chunks = Vec::new();
        let mut begin = 0;
        for end in 1..=input.len() {
            if end == input.len() || is_border(end) {
                chunks.push(&input[begin..end]);
                begin = end;
            }
        }
        chunks
    }

    #[test]
    fn every_way_to_cut_short_inputs_gives_the_same_lines() {
        const ALPHABET: &[u8] = b"x\r\n";
        for length in 0..=6_u32 {
            for number in 0..3_usize.pow(length) {
                let letter = |place| ALPHABET[number / 3_usize.pow(place) % 3];
                let input: Vec<u8> = (0..length).map(letter).collect();
                for max in 1..=4 {
                    let wanted = model(&input, max);
                    for borders in 0..1_usize << length {
                        let chunks = at_borders(&input, |at| borders >> at & 1 == 1);
                        assert_eq!(cut(chunks, max), wanted, "{input:?} by {borders:b}");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_chunks_of_any_input_give_the_lines_of_the_model(
            input in prop::collection::vec(prop_oneof![3 => Just(b'\n'), 1 => Just(b'\r'), 3 => any::<u8>()], 0..1000),
            borders in prop::collection::vec(prop::bool::weighted(0.02), 1000),
            max in 1_usize..60,
        ) {
            let chunks = at_borders(&input, |at| borders[at]);
            prop_assert_eq!(cut(chunks, max), model(&input, max));
        }
    }

    #[test]
    fn nothing_is_held_between_two_lines() {
        let mut cutter = LineCutter::new(100);
        cutter.cut(b"half", |_| panic!("no line yet"));
        cutter.cut(b" a line\nwhole\n", |_| {});
        assert_eq!(cutter.carry.capacity(), 0);
    }
}
