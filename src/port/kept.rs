//! What is kept of an output: its first bytes, its last ones, or both. Plain data, bounded by what it is to keep.

use std::collections::VecDeque;

/// How much of an output is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keep {
    /// So many bytes from its beginning.
    pub(crate) first: usize,
    /// So many bytes before its end, of those that come after the first.
    pub(crate) last: usize,
}

impl Keep {
    pub(crate) const fn first(first: usize) -> Self {
        Self { first, last: 0 }
    }

    pub(crate) const fn last(last: usize) -> Self {
        Self { first: 0, last }
    }

    /// So many bytes from its beginning, and as many before its end.
    pub(crate) const fn ends(each: usize) -> Self {
        Self {
            first: each,
            last: each,
        }
    }
}

/// The bytes that are kept, and how many have come. Each vector has room for no more than it may keep.
pub(crate) struct KeptBytes {
    keep: Keep,
    first: Vec<u8>,
    last: VecDeque<u8>,
    total: u64,
}

impl KeptBytes {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self {
            keep,
            first: Vec::new(),
            last: VecDeque::new(),
            total: 0,
        }
    }

    pub(crate) fn push(&mut self, data: &[u8]) {
        self.total = self.total.saturating_add(data.len() as u64);
        let room = self.keep.first.saturating_sub(self.first.len());
        let (first, rest) = data.split_at_checked(room).unwrap_or((data, &[]));
        let more = growth(
            self.first.len(),
            self.first.capacity(),
            first.len(),
            self.keep.first,
        );
        self.first.reserve_exact(more);
        self.first.extend_from_slice(first);
        let most = self.keep.last;
        let rest = rest
            .get(rest.len().saturating_sub(most)..)
            .unwrap_or_default();
        let over = self
            .last
            .len()
            .saturating_add(rest.len())
            .saturating_sub(most);
        self.last.drain(..over.min(self.last.len()));
        let more = growth(self.last.len(), self.last.capacity(), rest.len(), most);
        self.last.reserve_exact(more);
        self.last.extend(rest);
    }

    /// How many bytes have come.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// How many of them are not kept: those between the first and the last.
    pub(crate) fn left_out(&self) -> u64 {
        let kept = self.first.len().saturating_add(self.last.len());
        self.total.saturating_sub(kept as u64)
    }

    /// A copy of what is kept.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let (one, other) = self.last.as_slices();
        [&self.first, one, other].concat()
    }

    /// What is kept; the first bytes are not copied, nor are the last if there are no first.
    pub(crate) fn into_vec(self) -> Vec<u8> {
        let mut all = self.first;
        if all.is_empty() {
            return self.last.into();
        }
        all.extend(self.last);
        all
    }
}

/// How much room to reserve for `more` bytes: as much again as there is, so that each byte is moved a bounded
/// number of times, but none that could never be used.
fn growth(length: usize, capacity: usize, more: usize, most: usize) -> usize {
    let needed = length.saturating_add(more);
    if needed <= capacity {
        return 0;
    }
    let wanted = needed.max(capacity.saturating_mul(2)).min(most);
    wanted.saturating_sub(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is kept of `all`, and how much is left out, by the rule alone.
    fn by_the_rule(keep: Keep, all: &[u8]) -> (Vec<u8>, u64) {
        let (first, rest) = all.split_at(keep.first.min(all.len()));
        let last = &rest[rest.len() - keep.last.min(rest.len())..];
        let left_out = all.len() - first.len() - last.len();
        ([first, last].concat(), left_out as u64)
    }

    fn check(keep: Keep, pieces: &[&[u8]]) {
        let mut kept = KeptBytes::new(keep);
        let mut all = Vec::new();
        for piece in pieces {
            kept.push(piece);
            all.extend_from_slice(piece);
            let (bytes, left_out) = by_the_rule(keep, &all);
            let what = format!("{keep:?} of {pieces:?}");
            assert_eq!(kept.to_vec(), bytes, "{what}");
            assert_eq!(
                (kept.total(), kept.left_out()),
                (all.len() as u64, left_out)
            );
            assert!(kept.first.capacity() <= keep.first, "{what}");
            assert!(kept.last.capacity() <= keep.last, "{what}");
        }
        assert_eq!(kept.into_vec(), by_the_rule(keep, &all).0);
    }

    /// Over all ways to cut up to eight bytes into pieces, and all small bounds.
    #[test]
    fn however_it_comes_the_first_and_the_last_bytes_are_kept() {
        let all: [u8; 8] = std::array::from_fn(|n| n as u8);
        for (first, last) in (0..=5).flat_map(|first| (0..=5).map(move |last| (first, last))) {
            for length in 0..=all.len() {
                for cuts in 0..1_u32 << length.saturating_sub(1) {
                    let mut pieces = vec![&all[..0]];
                    let mut begin = 0;
                    for end in 1..=length {
                        if end == length || cuts >> (end - 1) & 1 == 1 {
                            pieces.push(&all[begin..end]);
                            begin = end;
                        }
                    }
                    check(Keep { first, last }, &pieces);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn of_much_in_any_pieces_too(
            first in 0..300_usize,
            last in 0..300_usize,
            lengths in prop::collection::vec(0..200_usize, 0..20),
        ) {
            let all: Vec<u8> = (0..4000_u32).map(|n| (n % 251) as u8).collect();
            let mut rest = &all[..];
            let mut pieces = Vec::new();
            for length in lengths {
                let (piece, after) = rest.split_at(length);
                pieces.push(piece);
                rest = after;
            }
            check(Keep { first, last }, &pieces);
        }
    }

    #[test]
    fn each_way_to_keep_is_what_its_name_says() {
        let kept = |keep| {
            let mut kept = KeptBytes::new(keep);
            kept.push(b"123456789");
            (kept.left_out(), kept.into_vec())
        };
        assert_eq!(kept(Keep::first(2)), (7, b"12".to_vec()));
        assert_eq!(kept(Keep::last(3)), (6, b"789".to_vec()));
        assert_eq!(kept(Keep::ends(2)), (5, b"1289".to_vec()));
        assert_eq!(kept(Keep::first(usize::MAX)), (0, b"123456789".to_vec()));
        assert_eq!(kept(Keep::ends(usize::MAX)), (0, b"123456789".to_vec()));
    }

    /// What is moved when there is no more room; the rest is copied once.
    #[test]
    fn a_byte_is_moved_a_bounded_number_of_times() {
        for keep in [
            Keep::first(usize::MAX),
            Keep::last(1 << 20),
            Keep::ends(1 << 19),
        ] {
            let mut kept = KeptBytes::new(keep);
            let mut moved = 0;
            for _ in 0..1 << 20 {
                let before = [
                    (kept.first.len(), kept.first.capacity()),
                    (kept.last.len(), kept.last.capacity()),
                ];
                kept.push(b"x");
                let after = [kept.first.capacity(), kept.last.capacity()];
                for ((length, capacity), now) in before.into_iter().zip(after) {
                    moved += if now == capacity { 0 } else { length };
                }
            }
            assert!(moved <= 2 << 20, "{keep:?}: {moved} bytes were moved");
        }
    }
}
