//! Lines from the pieces in which a descriptor is read, as plain data.

use bytes::{Buf, Bytes, BytesMut};

use crate::line::{Line, LineEnd};

/// Cuts what is pushed into lines. A line within one piece is a slice of that piece; only one that lies across pieces
/// is copied, to `carry`.
pub(crate) struct LineSplitter {
    /// At least 1.
    max: usize,
    /// What was pushed and not looked at.
    piece: Bytes,
    /// The beginning of a line, at most `max` bytes without a newline.
    carry: BytesMut,
    /// The next text follows on a cut.
    continues: bool,
    ended: bool,
}

impl LineSplitter {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max: max.max(1),
            piece: Bytes::new(),
            carry: BytesMut::new(),
            continues: false,
            ended: false,
        }
    }

    /// Takes the next piece. The one before it was used up: [`next`](Self::next) gave `None`.
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.piece = piece;
    }

    /// No more comes: what is left is a line without its end.
    pub(crate) fn finish(&mut self) {
        self.ended = true;
    }

    /// The next line, and how many bytes it was with its end. `None`: more must be pushed, or that was all.
    pub(crate) fn next(&mut self) -> Option<(Line, usize)> {
        let room = self.max.saturating_sub(self.carry.len());
        let longest = self.piece.len().min(room.saturating_add(1));
        let seen = self.piece.get(..longest).unwrap_or_default();
        let newline = seen.iter().position(|byte| *byte == b'\n');
        if let Some(length) = newline {
            let mut text = self.take(length);
            let size = text.len() + 1;
            self.piece.advance(1);
            if text.last() == Some(&b'\r') {
                text.truncate(text.len() - 1);
            }
            return Some((self.line(text, LineEnd::Newline), size));
        }
        if self.piece.len() > room {
            let text = self.take(room);
            let size = text.len();
            return Some((self.line(text, LineEnd::Cut), size));
        }
        self.carry.extend_from_slice(&self.piece);
        self.piece = Bytes::new();
        if self.ended && !self.carry.is_empty() {
            let text = self.carry.split().freeze();
            let size = text.len();
            return Some((self.line(text, LineEnd::Closed), size));
        }
        None
    }

    /// What was carried, and `length` bytes of the piece.
    fn take(&mut self, length: usize) -> Bytes {
        let begin = self.piece.split_to(length);
        if self.carry.is_empty() {
            return begin;
        }
        self.carry.extend_from_slice(&begin);
        self.carry.split().freeze()
    }

    fn line(&mut self, text: Bytes, end: LineEnd) -> Line {
        let continues = std::mem::replace(&mut self.continues, end == LineEnd::Cut);
        Line {
            text,
            end,
            continues,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What shall come of `input`, whatever its pieces.
    fn model(input: &[u8], max: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut contents: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
        // Behind the last newline.
        let rest = contents.pop().unwrap_or_default();
        let with_ends = contents.into_iter().map(|line| (line, LineEnd::Newline));
        let last = (!rest.is_empty()).then_some((rest, LineEnd::Closed));
        for (content, end) in with_ends.chain(last) {
            let mut pieces: Vec<&[u8]> = content.chunks(max).collect();
            let mut last = pieces.pop().unwrap_or_default();
            if end == LineEnd::Newline {
                last = last.strip_suffix(b"\r").unwrap_or(last);
            }
            let continues = !pieces.is_empty();
            for (index, piece) in pieces.into_iter().enumerate() {
                let mut line = Line::new(piece.to_vec());
                (line.end, line.continues) = (LineEnd::Cut, index > 0);
                lines.push(line);
            }
            let mut line = Line::new(last.to_vec());
            (line.end, line.continues) = (end, continues);
            lines.push(line);
        }
        lines
    }

    /// Pushes the pieces; gives the lines, and holds what must be so at every step.
    fn split(pieces: Vec<&[u8]>, max: usize) -> Vec<Line> {
        let mut splitter = LineSplitter::new(max);
        let mut lines = Vec::new();
        let (mut pushed, mut told) = (0, 0);
        for piece in pieces {
            pushed += piece.len();
            splitter.push(Bytes::copy_from_slice(piece));
            while let Some((line, size)) = splitter.next() {
                told += size;
                lines.push(line);
            }
            assert!(splitter.carry.len() <= max && !splitter.carry.contains(&b'\n'));
            assert_eq!(pushed - told, splitter.carry.len());
        }
        splitter.finish();
        while let Some((line, size)) = splitter.next() {
            told += size;
            lines.push(line);
        }
        assert_eq!(told, pushed);
        lines
    }

    fn at_borders(input: &[u8], is_border: impl Fn(usize) -> bool) -> Vec<&[u8]> {
        let mut pieces = Vec::new();
        let mut begin = 0;
        for end in 1..=input.len() {
            if end == input.len() || is_border(end) {
                pieces.push(&input[begin..end]);
                begin = end;
            }
        }
        pieces
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
                        let pieces = at_borders(&input, |at| borders >> at & 1 == 1);
                        assert_eq!(split(pieces, max), wanted, "{input:?} by {borders:b}");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_pieces_of_any_input_give_the_lines_of_the_model(
            input in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..400),
            borders in prop::collection::vec(any::<bool>(), 400),
            max in 1_usize..60,
        ) {
            let pieces = at_borders(&input, |at| borders[at]);
            prop_assert_eq!(split(pieces, max), model(&input, max));
        }
    }

    #[test]
    fn lines_within_a_piece_are_slices_of_it() {
        let piece = Bytes::from("one\ntwo\r\n\nthree\n");
        let range = piece.as_ptr_range();
        let mut splitter = LineSplitter::new(100);
        splitter.push(piece);
        let mut count = 0;
        while let Some((line, _)) = splitter.next() {
            assert!(range.contains(&line.text.as_ptr()));
            count += 1;
        }
        assert_eq!(count, 4);
    }
}
