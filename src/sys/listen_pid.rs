//! The one variable of an environment that only the child can know: its own pid, in `LISTEN_PID`.

use std::ffi::c_char;
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};

const NAME: &[u8] = b"LISTEN_PID=";
/// Those of the largest `u32`.
const DIGITS: usize = 10;

/// `LISTEN_PID=` with room for a number, which is empty up to [`store`](Self::store). It belongs to one spawn: its child
/// writes here before the exec, in the parent's memory or in a copy of it, and nobody else.
#[derive(Debug)]
pub(crate) struct ListenPid {
    /// The last is a NUL for good.
    text: [AtomicU8; NAME.len() + DIGITS + 1],
}

impl ListenPid {
    pub(crate) fn new() -> Self {
        let text = [const { AtomicU8::new(0) }; NAME.len() + DIGITS + 1];
        for (place, byte) in text.iter().zip(NAME) {
            place.store(*byte, Ordering::Relaxed);
        }
        Self { text }
    }

    /// For the kernel: ends with a NUL, whatever is stored.
    pub(super) const fn as_ptr(&self) -> *const c_char {
        ptr::from_ref(&self.text).cast()
    }

    /// Writes `pid` in place of an earlier one. The child calls this between its clone and its exec.
    pub(super) fn store(&self, pid: u32) {
        let mut count = 1_usize;
        let mut rest = pid / 10;
        while rest != 0 {
            count = count.wrapping_add(1);
            rest /= 10;
        }
        rest = pid;
        let digits = self.text.iter().skip(NAME.len());
        for place in digits.clone().take(count).rev() {
            let digit = (rest % 10) as u8;
            place.store(b'0'.wrapping_add(digit), Ordering::Relaxed);
            rest /= 10;
        }
        for place in digits.skip(count) {
            place.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn each_number_is_written_in_full_over_a_longer_or_shorter_one() {
        let variable = ListenPid::new();
        let text = || {
            // SAFETY: a live value that ends with a NUL; the test alone writes to it.
            let text = unsafe { CStr::from_ptr(variable.as_ptr()) };
            text.to_str().unwrap().to_owned()
        };
        assert_eq!(text(), "LISTEN_PID=");
        for pid in [1, 4_194_304, 0, u32::MAX, 10, 9, 99, 100, 1_000_000_000] {
            variable.store(pid);
            assert_eq!(text(), format!("LISTEN_PID={pid}"));
        }
    }
}
