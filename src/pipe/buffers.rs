//! Read buffers, pooled for each arbiter, taken only when there is something to read.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::sync::lock;

/// What a reader starts with: a default pipe's capacity.
pub(super) const SMALL: usize = 64 * 1024;
/// What a reader of a busy child gets, and its pipe with it.
pub(super) const LARGE: usize = 256 * 1024;
/// Reads that fill at most this part of their buffer (16 KiB of a small one) are copied to size;
/// larger ones are handed over as they are. So data on its way pins at most four times its size.
const COPIED_PART: usize = 4;
/// How many bytes of free buffers of each size an arbiter keeps.
const KEPT: usize = 512 * 1024;

type Shelf = Arc<Mutex<Free>>;

#[derive(Default)]
struct Free {
    buffers: Vec<Box<[u8]>>,
    bytes: usize,
}

impl Free {
    /// Gives up to so many bytes back to the allocator.
    fn discard(&mut self, bytes: usize) {
        let mut discarded = 0;
        while discarded < bytes
            && let Some(buffer) = self.buffers.pop()
        {
            discarded += buffer.len();
        }
        self.bytes -= discarded;
    }
}

/// A buffer that goes back to the pool of the arbiter where it was taken, wherever it drops.
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    filled: usize,
    shelf: Shelf,
}

/// What an arbiter has of one size.
#[derive(Default)]
struct Local {
    /// The last that was put back: the next to be taken, mostly, and at no cost.
    spare: Option<Buffer>,
    shelf: Shelf,
}

thread_local! {
    static LOCALS: RefCell<[Local; 2]> = RefCell::default();
}

fn with_local<T>(size: usize, act: impl FnOnce(&mut Local) -> T) -> T {
    LOCALS.with_borrow_mut(|[small, large]| act(if size == SMALL { small } else { large }))
}

/// Takes a buffer of `size` bytes from this arbiter's pool.
pub(super) fn take(size: usize) -> Buffer {
    let found = with_local(size, |local| {
        let spare = local.spare.take();
        spare.ok_or_else(|| Arc::clone(&local.shelf))
    });
    let shelf = match found {
        Ok(spare) => return spare,
        Err(shelf) => shelf,
    };
    let mut free = lock(&shelf);
    let bytes = free.buffers.pop();
    if bytes.is_none() && size == LARGE {
        // Where large ones are short, their readers once had small ones.
        with_local(SMALL, |local| lock(&local.shelf).discard(LARGE));
    }
    if let Some(bytes) = &bytes {
        free.bytes -= bytes.len();
    }
    drop(free);
    Buffer {
        bytes: bytes.unwrap_or_else(|| vec![0; size].into_boxed_slice()),
        filled: 0,
        shelf,
    }
}

/// Puts a buffer back that was taken on this thread.
pub(super) fn put_back(buffer: Buffer) {
    let replaced = with_local(buffer.len(), |local| local.spare.replace(buffer));
    drop(replaced);
}

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The first `most` bytes, to read into.
    pub(super) fn room(&mut self, most: usize) -> &mut [u8] {
        let most = most.min(self.bytes.len());
        self.bytes.get_mut(..most).unwrap_or_default()
    }

    /// The first `filled` bytes as data: a copy that leaves the buffer, or the buffer itself.
    pub(super) fn into_data(mut self, filled: usize) -> (Bytes, Option<Self>) {
        self.filled = filled;
        if filled <= self.bytes.len() / COPIED_PART {
            let copy = Bytes::copy_from_slice(self.as_ref());
            (copy, Some(self))
        } else {
            (Bytes::from_owner(self), None)
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut free = lock(&self.shelf);
        if free.bytes + bytes.len() <= KEPT {
            free.bytes += bytes.len();
            free.buffers.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_read_is_copied_and_a_large_one_handed_over() {
        let mut buffer = take(SMALL);
        let copied = SMALL / COPIED_PART;
        buffer.room(copied)[0] = 7;
        let (data, buffer) = buffer.into_data(copied);
        assert_eq!((data.len(), data[0]), (copied, 7));
        let buffer = buffer.expect("the buffer stays with the reader");
        let (data, buffer) = buffer.into_data(copied + 1);
        assert_eq!(data.len(), copied + 1);
        assert!(buffer.is_none());
    }

    #[test]
    fn a_buffer_comes_home_from_another_thread() {
        let (data, _) = take(LARGE).into_data(LARGE);
        let address = data.as_ptr() as usize;
        std::thread::spawn(move || drop(data)).join().unwrap();
        assert_eq!(take(LARGE).bytes.as_ptr() as usize, address);
    }

    #[test]
    fn what_was_put_back_is_taken_next() {
        let buffer = take(SMALL);
        let address = buffer.bytes.as_ptr() as usize;
        put_back(take(SMALL));
        put_back(buffer);
        assert_eq!(take(SMALL).bytes.as_ptr() as usize, address);
    }

    #[test]
    fn the_pool_keeps_a_bounded_number() {
        let many: Vec<Buffer> = (0..64).map(|_| take(SMALL)).collect();
        let shelf = Arc::clone(&many[0].shelf);
        drop(many);
        assert_eq!(lock(&shelf).bytes, KEPT);
        assert_eq!(lock(&shelf).buffers.len(), KEPT / SMALL);
    }

    #[test]
    fn large_buffers_displace_small_ones() {
        let many: Vec<Buffer> = (0..KEPT / SMALL).map(|_| take(SMALL)).collect();
        let shelf = Arc::clone(&many[0].shelf);
        drop(many);
        let large = take(LARGE);
        assert_eq!(lock(&shelf).bytes, KEPT - LARGE);
        assert_eq!(lock(&shelf).buffers.len(), (KEPT - LARGE) / SMALL);
        drop(large);
        // One is free: nothing is short.
        drop(take(LARGE));
        assert_eq!(lock(&shelf).bytes, KEPT - LARGE);
    }
}
