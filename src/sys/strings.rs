//! Strings for the kernel, many in one buffer.

use std::ffi::{CStr, c_char};
use std::fmt;
use std::ptr;

/// A list of NUL-terminated strings: a child's arguments or its environment.
#[derive(Default)]
pub(crate) struct Strings {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

/// A string holds a NUL, which would end it.
#[derive(Debug)]
pub(crate) struct HoldsNul;

impl Strings {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            starts: Vec::new(),
        }
    }

    pub(crate) fn with_capacity(strings: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            starts: Vec::with_capacity(strings),
        }
    }

    /// Adds the string that `parts` make together.
    pub(crate) fn push(&mut self, parts: &[&[u8]]) -> Result<(), HoldsNul> {
        if parts.iter().any(|part| part.contains(&0)) {
            return Err(HoldsNul);
        }
        self.starts.push(self.bytes.len());
        parts
            .iter()
            .for_each(|part| self.bytes.extend_from_slice(part));
        self.bytes.push(0);
        Ok(())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &CStr> {
        let rests = self
            .starts
            .iter()
            .filter_map(|start| self.bytes.get(*start..));
        rests.filter_map(|rest| CStr::from_bytes_until_nul(rest).ok())
    }
}

/// The addresses of all strings of each pair of lists, of one more where there is one, then a null, and where each list of
/// addresses begins.
pub(super) fn pointers<const N: usize>(
    pairs: [([&Strings; 2], Option<*const c_char>); N],
) -> (Vec<*const c_char>, [*const *const c_char; N]) {
    let lists = pairs.iter().flat_map(|(pair, _)| pair);
    let length: usize = lists.map(|list| list.starts.len()).sum();
    let mut pointers = Vec::with_capacity(length + 2 * N);
    let begins = pairs.map(|(pair, more)| {
        let begin = pointers.len();
        for list in pair {
            let base = list.bytes.as_ptr().cast::<c_char>();
            pointers.extend(list.starts.iter().map(|start| base.wrapping_add(*start)));
        }
        pointers.extend(more);
        pointers.push(ptr::null());
        begin
    });
    let base = pointers.as_ptr();
    let begins = begins.map(|begin| base.wrapping_add(begin));
    (pointers, begins)
}

/// Without the strings, which may be secret.
impl fmt::Debug for Strings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strings")
            .field("strings", &self.starts.len())
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_comes_out_and_a_nul_is_refused() {
        let mut strings = Strings::default();
        strings.push(&[b"a", b"=", b"b"]).unwrap();
        assert!(strings.push(&[b"no", b"\0"]).is_err());
        strings.push(&[]).unwrap();
        assert_eq!(strings.iter().collect::<Vec<_>>(), [c"a=b", c""]);
        let more = c"more".as_ptr();
        let none = &Strings::new();
        let (pointers, begins) =
            pointers([([none, none], None), ([&strings, &strings], Some(more))]);
        assert_eq!(pointers.len(), 1 + 6);
        assert_eq!(pointers[5], more);
        assert_eq!(pointers[1..3], pointers[3..5]);
        assert_eq!(
            begins.map(|begin| pointers.as_ptr_range().start == begin),
            [true, false]
        );
        assert_eq!(
            pointers.iter().filter(|pointer| pointer.is_null()).count(),
            2
        );
    }
}
