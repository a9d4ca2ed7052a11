//! What the line is like by which a service says that it is ready.

use std::fmt;
use std::sync::Arc;

/// What [`Ready::line`](super::Ready::line) looks for: text or bytes that the line contains, or, with feature `regex`, a
/// `regex::bytes::Regex` that matches it.
#[derive(Clone)]
pub struct LinePattern(PatternKind);

#[derive(Clone)]
enum PatternKind {
    Contains(Arc<[u8]>),
    #[cfg(feature = "regex")]
    Matches(regex::bytes::Regex),
}

impl LinePattern {
    pub(super) fn is_in(&self, line: &[u8]) -> bool {
        match &self.0 {
            PatternKind::Contains(part) if part.is_empty() => true,
            PatternKind::Contains(part) => line.windows(part.len()).any(|window| window == &**part),
            #[cfg(feature = "regex")]
            PatternKind::Matches(regex) => regex.is_match(line),
        }
    }
}

macro_rules! parts_of_lines {
    ($($kind:ty),*) => {
        $(
            impl From<$kind> for LinePattern {
                fn from(part: $kind) -> Self {
                    let bytes: &[u8] = part.as_ref();
                    Self(PatternKind::Contains(bytes.into()))
                }
            }
        )*
    };
}

parts_of_lines!(&str, String, &[u8], Vec<u8>, crate::Bytes);

impl<const N: usize> From<&[u8; N]> for LinePattern {
    fn from(part: &[u8; N]) -> Self {
        Self::from(&part[..])
    }
}

#[cfg(feature = "regex")]
impl From<regex::bytes::Regex> for LinePattern {
    fn from(regex: regex::bytes::Regex) -> Self {
        Self(PatternKind::Matches(regex))
    }
}

impl fmt::Debug for LinePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            PatternKind::Contains(part) => write!(f, "\"{}\"", part.escape_ascii()),
            #[cfg(feature = "regex")]
            PatternKind::Matches(regex) => write!(f, "/{}/", regex.as_str().escape_debug()),
        }
    }
}
