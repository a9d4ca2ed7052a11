//! Read buffers, pooled for each arbiter, taken only when there is something to read.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::sizes::READ;
use crate::sync::lock;
use crate::sys;

/// Reads that fill at most this part of their buffer (16 KiB) are copied to size; larger ones are handed over as
/// they are. So data on its way pins at most four times its size.
const COPIED_PART: usize = 4;
/// How many free buffers an arbiter keeps. The last that came back is the first to be taken, while it is in the cache.
const KEPT: usize = 8;
/// Buffers begin where a page does, as the pipe's own do: some CPUs copy at a lower rate to a place a little
/// further into its page than the source is into its own.
const PAGE: usize = 4096;

type Shelf = Arc<Mutex<Vec<Box<[u8]>>>>;

/// A buffer that goes back to the pool of the arbiter where it was taken, wherever it drops.
pub(super) struct Buffer {
    /// A page more than is used, to begin at one.
    bytes: Box<[u8]>,
    begin: usize,
    filled: usize,
    shelf: Shelf,
}

/// What an arbiter has.
#[derive(Default)]
struct Local {
    /// The last that was put back: the next to be taken, mostly, and at no cost.
    spare: Option<Buffer>,
    shelf: Shelf,
}

thread_local! {
    static LOCAL: RefCell<Local> = RefCell::default();
}

/// Takes a buffer of [`READ`] bytes from this arbiter's pool.
pub(super) fn take() -> Buffer {
    let found = LOCAL.with_borrow_mut(|local| {
        let spare = local.spare.take();
        spare.ok_or_else(|| Arc::clone(&local.shelf))
    });
    let shelf = match found {
        Ok(spare) => return spare,
        Err(shelf) => shelf,
    };
    let bytes = lock(&shelf).pop();
    let bytes = bytes.unwrap_or_else(|| vec![0; READ + PAGE].into_boxed_slice());
    Buffer {
        begin: bytes.as_ptr().align_offset(PAGE).min(PAGE),
        bytes,
        filled: 0,
        shelf,
    }
}

/// Puts a buffer back that was taken on this thread.
pub(super) fn put_back(buffer: Buffer) {
    let replaced = LOCAL.with_borrow_mut(|local| local.spare.replace(buffer));
    drop(replaced);
}

impl Buffer {
    /// The first `most` bytes, to read into.
    pub(super) fn room(&mut self, most: usize) -> &mut [u8] {
        let end = self.begin + most.min(READ);
        self.bytes.get_mut(self.begin..end).unwrap_or_default()
    }

    /// The first `filled` bytes.
    pub(super) fn first(&self, filled: usize) -> &[u8] {
        let end = self.begin + filled.min(READ);
        self.bytes.get(self.begin..end).unwrap_or_default()
    }

    /// The first `filled` bytes as data: a copy that leaves the buffer, or the buffer itself.
    pub(super) fn into_data(mut self, filled: usize) -> (Bytes, Option<Self>) {
        self.filled = filled;
        if filled <= READ / COPIED_PART {
            let copy = Bytes::copy_from_slice(self.as_ref());
            (copy, Some(self))
        } else {
            (Bytes::from_owner(self), None)
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.first(self.filled)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if sys::copy::is_copy() {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let mut free = lock(&self.shelf);
        if free.len() < KEPT {
            free.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_read_is_copied_and_a_large_one_handed_over() {
        let mut buffer = take();
        let copied = READ / COPIED_PART;
        buffer.room(copied)[0] = 7;
        let (data, buffer) = buffer.into_data(copied);
        assert_eq!((data.len(), data[0]), (copied, 7));
        let mut buffer = buffer.expect("the buffer stays with the reader");
        assert_eq!(buffer.room(usize::MAX).len(), READ);
        let (data, buffer) = buffer.into_data(copied + 1);
        assert_eq!((data.len(), data[0]), (copied + 1, 7));
        assert!(buffer.is_none());
    }

    #[test]
    fn a_buffer_begins_at_a_page() {
        let buffers: Vec<Buffer> = (0..4).map(|_| take()).collect();
        for buffer in buffers {
            let (data, _) = buffer.into_data(READ);
            assert_eq!(data.as_ptr() as usize % PAGE, 0);
        }
    }

    #[test]
    fn a_buffer_comes_home_from_another_thread() {
        let (data, _) = take().into_data(READ);
        let address = data.as_ptr() as usize;
        std::thread::spawn(move || drop(data)).join().unwrap();
        assert_eq!(take().room(1).as_ptr() as usize, address);
    }

    #[test]
    fn what_was_put_back_is_taken_next() {
        let mut buffer = take();
        let address = buffer.room(1).as_ptr() as usize;
        put_back(take());
        put_back(buffer);
        assert_eq!(take().room(1).as_ptr() as usize, address);
    }

    #[test]
    fn the_last_that_came_back_is_taken_first() {
        let mut buffers = [take(), take()];
        let addresses = buffers
            .each_mut()
            .map(|buffer| buffer.room(1).as_ptr() as usize);
        for buffer in buffers {
            drop(buffer.into_data(READ));
        }
        let [first, last] = addresses;
        assert_eq!(take().room(1).as_ptr() as usize, last);
        // It is free again.
        let mut taken = [take(), take()].map(|mut buffer| buffer.room(1).as_ptr() as usize);
        taken.sort_unstable();
        let mut both = [first, last];
        both.sort_unstable();
        assert_eq!(taken, both);
    }

    #[test]
    fn the_pool_keeps_a_bounded_number() {
        let many: Vec<Buffer> = (0..64).map(|_| take()).collect();
        let shelf = Arc::clone(&many[0].shelf);
        drop(many);
        assert_eq!(lock(&shelf).len(), KEPT);
    }
}
