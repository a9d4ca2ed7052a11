//! The last bytes of an output, as plain data.

use crate::Bytes;

/// What an [`Exit`](crate::monitor::Exit) shows.
const TAIL: usize = 4 * 1024;

/// The last 4 KiB of what came. Nothing is allocated before something comes.
#[derive(Default)]
pub(super) struct TailBytes {
    bytes: Vec<u8>,
}

impl TailBytes {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        if chunk.len() >= TAIL {
            self.bytes.clear();
        } else if self.bytes.len() + chunk.len() > 2 * TAIL {
            // Each byte is moved once at most for each that comes.
            self.bytes.drain(..self.bytes.len() - TAIL);
        }
        self.bytes.extend_from_slice(end(chunk));
    }

    pub(super) fn look(&self) -> Bytes {
        last(&self.bytes)
    }

    pub(super) fn clear(&mut self) {
        self.bytes = Vec::new();
    }
}

/// What an [`Exit`](crate::monitor::Exit) shows of these bytes.
pub(in crate::monitor) fn last(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(end(bytes))
}

fn end(bytes: &[u8]) -> &[u8] {
    let begin = bytes.len().saturating_sub(TAIL);
    bytes.get(begin..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_end_of_all_that_came(lengths in prop::collection::vec(0_usize..6000, 0..20)) {
            let mut tail = TailBytes::default();
            let mut all = Vec::new();
            for (index, length) in lengths.into_iter().enumerate() {
                let chunk: Vec<u8> = (0..length).map(|at| (at + index) as u8).collect();
                tail.push(&chunk);
                all.extend(chunk);
                prop_assert_eq!(&tail.look()[..], &all[all.len().saturating_sub(TAIL)..]);
                prop_assert!(tail.bytes.len() <= 2 * TAIL);
            }
            tail.clear();
            prop_assert_eq!(tail.look().len() + tail.bytes.capacity(), 0);
        }
    }
}
