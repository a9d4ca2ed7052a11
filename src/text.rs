//! Names that come from elsewhere, in lines of text.

use std::fmt;

/// A text whose control characters, and whatever else does not print, are escaped as Rust's literals
/// have it. So no name can forge a line of a log, or drive a terminal. Quotes and backslashes stay.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

const MARKS: [char; 3] = ['\\', '"', '\''];

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `escape_debug` escapes the marks too.
        for piece in self.0.split_inclusive(MARKS) {
            let (text, mark) = piece.split_at(piece.trim_end_matches(MARKS).len());
            write!(f, "{}{mark}", text.escape_debug())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_print_is_escaped_and_the_rest_stays() {
        for (text, escaped) in [
            (
                "/usr/bin/[ 'ü' \"e\u{301}\" \\n",
                "/usr/bin/[ 'ü' \"e\u{301}\" \\n",
            ),
            ("a\nb\r\t\0", "a\\nb\\r\\t\\0"),
            ("\u{1b}[2J\u{9b}\u{7f}", "\\u{1b}[2J\\u{9b}\\u{7f}"),
            ("\u{202e}\u{2028}\u{feff}", "\\u{202e}\\u{2028}\\u{feff}"),
            ("\u{fffd}''\\", "\u{fffd}''\\"),
            ("", ""),
        ] {
            assert_eq!(Escaped(text).to_string(), escaped);
        }
    }
}
