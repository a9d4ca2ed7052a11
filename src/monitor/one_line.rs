//! A text of somebody else's, in a line of ours.

/// No text is longer, in bytes.
const LONGEST: usize = 1024;

const MARKS: [char; 3] = ['\\', '"', '\''];

/// This text, with all that does not print escaped as in a literal of Rust's, and cut to 1 KiB. Quotes and backslashes stay.
pub(super) fn one_line(text: &str) -> String {
    let start = cut(text, LONGEST);
    let mut line = String::with_capacity(start.len());
    // `escape_debug` escapes the marks too.
    for piece in start.split_inclusive(MARKS) {
        let plain = piece.trim_end_matches(MARKS);
        line.extend(plain.escape_debug());
        line.extend(piece.chars().skip(plain.chars().count()));
    }
    if start.len() < text.len() || line.len() > LONGEST {
        let kept = cut(&line, LONGEST - "...".len()).len();
        line.truncate(kept);
        line.push_str("...");
    }
    line
}

/// As much of its beginning as fits.
fn cut(text: &str, length: usize) -> &str {
    let mut end = length.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_print_is_escaped_and_what_is_long_is_cut() {
        for (text, line) in [
            ("", ""),
            ("it's \"\\ \u{fc}", "it's \"\\ \u{fc}"),
            ("a\nb\r\0\u{1b}[2J", "a\\nb\\r\\0\\u{1b}[2J"),
            ("\n\"\n", "\\n\"\\n"),
        ] {
            assert_eq!(one_line(text), line);
        }
        for long in ["x".repeat(1025), "\u{1f980}".repeat(999), "\n".repeat(600)] {
            let line = one_line(&long);
            assert!(line.len() <= LONGEST && line.len() > LONGEST - 8, "{line}");
            assert!(line.ends_with("...") && !line.contains('\n'));
        }
        assert_eq!(one_line(&"x".repeat(1024)).len(), 1024);
    }
}
