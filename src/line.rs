//! One line of what a child wrote.

use std::borrow::Cow;

use bytes::Bytes;

/// One line of a descriptor that is read by [`Fd::lines`](crate::Fd::lines), or a piece of a line that
/// is longer than the maximum given there.
///
/// `Debug` shows what the child wrote; the crate never logs it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// The bytes without the line's end: the newline, and one carriage return before it. They need not
    /// be UTF-8. Text that is kept holds on to at most one read buffer (64 KiB), or to twice the longest
    /// line; copy text that is kept for long.
    pub text: Bytes,
    /// What stands behind the text.
    pub end: LineEnd,
    /// Whether the text continues the piece before it, whose end is [`LineEnd::Cut`], in place of beginning a
    /// line.
    pub continues: bool,
}

/// What stands behind the text of a [`Line`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LineEnd {
    /// A newline, which is not in the text, nor is one carriage return before it.
    Newline,
    /// Nothing: the line is longer than the maximum, and goes on in the next piece.
    Cut,
    /// Nothing: the descriptor closed in the middle of the line. A carriage return at the end stays in the
    /// text, since no newline follows it.
    Closed,
}

impl Line {
    /// A whole line, for tests of protocols; the fields can be set.
    ///
    /// ```
    /// use actix_process::{Line, LineEnd};
    ///
    /// let mut line = Line::new("half a li");
    /// line.end = LineEnd::Closed;
    /// assert!(!line.is_whole());
    /// ```
    #[must_use]
    pub fn new(text: impl Into<Bytes>) -> Self {
        Self {
            text: text.into(),
            end: LineEnd::Newline,
            continues: false,
        }
    }

    /// Whether the text is a whole line, from its beginning to its newline.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        matches!(self.end, LineEnd::Newline) && !self.continues
    }

    /// The text, with U+FFFD in place of bytes that are not UTF-8.
    #[must_use]
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }
}
