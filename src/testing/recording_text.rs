//! The file of a recording: its text, and back.

use std::fmt;
use std::str;
use std::time::Duration;

use bytes::Bytes;

use super::recording::{RecordedEnd, RecordedPiece, Recording, RecordingError};
use crate::signal::Signal;

const TITLE: &str = "actix-process recording 1";

/// Bytes on a line of text.
struct EscapedBytes<'a>(&'a [u8]);

impl fmt::Display for EscapedBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            match byte {
                b'\n' => f.write_str("\\n")?,
                b'\\' => f.write_str("\\\\")?,
                b' '..=b'~' => write!(f, "{}", char::from(*byte))?,
                other => write!(f, "\\x{other:02x}")?,
            }
        }
        Ok(())
    }
}

/// Seconds with nine digits.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0.as_secs(), self.0.subsec_nanos())
    }
}

/// The text of the file.
impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{TITLE}\nprogram {}",
            EscapedBytes(self.program.as_bytes())
        )?;
        for arg in &self.args {
            writeln!(f, "arg {}", EscapedBytes(arg))?;
        }
        if self.has_input {
            writeln!(f, "input")?;
        }
        for RecordedPiece { at, fd, bytes } in &self.pieces {
            writeln!(f, "{} {fd} {}", Seconds(*at), EscapedBytes(bytes))?;
        }
        let at = Seconds(self.ended_at);
        match self.end {
            RecordedEnd::Exit(code) => writeln!(f, "{at} exit {code}"),
            RecordedEnd::Signal(signal) => writeln!(f, "{at} signal {}", signal.number()),
        }
    }
}

pub(super) fn parsed(text: &[u8]) -> Result<Recording, RecordingError> {
    let wrong = |line, wanted| RecordingError::Format { line, wanted };
    let text = str::from_utf8(text).map_err(|error| {
        let before = text.get(..error.valid_up_to()).unwrap_or_default();
        let newlines = before.iter().filter(|byte| **byte == b'\n').count();
        wrong(newlines + 1, "text")
    })?;
    let mut lines = (1..).zip(text.lines()).peekable();
    if lines.next().is_none_or(|(_, line)| line != TITLE) {
        return Err(wrong(1, "`actix-process recording 1`"));
    }
    let program = lines
        .next()
        .and_then(|(_, line)| unescaped(line.strip_prefix("program ")?));
    let program = program.and_then(|bytes| String::from_utf8(bytes).ok());
    let program = program.ok_or_else(|| wrong(2, "`program NAME`"))?;
    let mut args = Vec::new();
    while let Some((number, line)) = lines.next_if(|(_, line)| line.starts_with("arg ")) {
        let arg = line.strip_prefix("arg ").and_then(unescaped);
        args.push(arg.ok_or_else(|| wrong(number, "`arg TEXT`"))?);
    }
    let has_input = lines.next_if(|(_, line)| *line == "input").is_some();
    let mut pieces = Vec::new();
    let mut size = 0;
    let mut last = 2;
    for (number, line) in lines.by_ref() {
        last = number;
        match parsed_moment(line).ok_or_else(|| {
            wrong(
                number,
                "`TIME FD BYTES`, `TIME exit CODE` or `TIME signal NUMBER`",
            )
        })? {
            Moment::Piece(piece) => {
                size += piece.bytes.len();
                if size > Recording::MAX {
                    let limit = Recording::MAX;
                    return Err(RecordingError::TooMuch { limit });
                }
                pieces.push(piece);
            }
            Moment::End(ended_at, end) => {
                if let Some((number, _)) = lines.next() {
                    return Err(wrong(number, "the end, which came before"));
                }
                return Ok(Recording {
                    program,
                    args,
                    has_input,
                    pieces,
                    ended_at,
                    end,
                });
            }
        }
    }
    Err(wrong(last + 1, "`TIME exit CODE` or `TIME signal NUMBER`"))
}

enum Moment {
    Piece(RecordedPiece),
    End(Duration, RecordedEnd),
}

fn parsed_moment(line: &str) -> Option<Moment> {
    let (at, rest) = line.split_once(' ')?;
    let at = seconds(at)?;
    let (what, rest) = rest.split_once(' ')?;
    let fd = match what {
        "exit" => return Some(Moment::End(at, RecordedEnd::Exit(rest.parse().ok()?))),
        "signal" => {
            let signal = Signal::new(rest.parse().ok()?)?;
            return Some(Moment::End(at, RecordedEnd::Signal(signal)));
        }
        "1" => 1,
        "2" => 2,
        _ => return None,
    };
    let bytes = Bytes::from(unescaped(rest)?);
    Some(Moment::Piece(RecordedPiece { at, fd, bytes }))
}

/// One to nine digits after the point, or no point.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 9 {
        return None;
    }
    let nanos = format!("{part:0<9}").parse().ok()?;
    Some(Duration::new(whole.parse().ok()?, nanos))
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'n' => b'\n',
                b'\\' => b'\\',
                b'x' => {
                    let digit = |byte: u8| char::from(byte).to_digit(16);
                    let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                    u8::try_from(high * 16 + low).ok()?
                }
                _ => return None,
            },
            byte => byte,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn recordings() -> impl Strategy<Value = Recording> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
        let time = || (0u64..1 << 40, 0u32..1_000_000_000).prop_map(|(s, n)| Duration::new(s, n));
        let piece = (time(), 1..3, bytes()).prop_map(|(at, fd, bytes)| RecordedPiece {
            at,
            fd,
            bytes: bytes.into(),
        });
        let end = prop_oneof![
            any::<u8>().prop_map(RecordedEnd::Exit),
            (1..65).prop_filter_map("a signal", |number| {
                Some(RecordedEnd::Signal(Signal::new(number)?))
            }),
        ];
        let args = proptest::collection::vec(bytes(), 0..4);
        let pieces = proptest::collection::vec(piece, 0..8);
        (any::<String>(), args, any::<bool>(), pieces, time(), end).prop_map(
            |(program, args, has_input, pieces, ended_at, end)| Recording {
                program,
                args,
                has_input,
                pieces,
                ended_at,
                end,
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_saved_is_loaded(recording in recordings()) {
            let text = recording.to_string();
            prop_assert!(text.is_ascii());
            prop_assert!(parsed(text.as_bytes()).unwrap() == recording, "{text}");
        }

        #[test]
        fn no_text_panics(text in any::<Vec<u8>>(), recording in recordings(), cut in any::<prop::sample::Index>()) {
            let _ = parsed(&text);
            let mut damaged = recording.to_string().into_bytes();
            let at = cut.index(damaged.len());
            damaged[at] ^= 0x55;
            let _ = parsed(&damaged);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let head = "actix-process recording 1\nprogram x\n";
        for (text, line) in [
            ("", 1),
            ("recording 2\n", 1),
            ("actix-process recording 1\nname x\n", 2),
            (head, 3),
            (&format!("{head}0.5 1 half\n"), 4),
            (&format!("{head}arg \\q\n"), 3),
            (&format!("{head}0.5 3 x\n"), 3),
            (&format!("{head}-1 1 x\n"), 3),
            (&format!("{head}0.5 1 \\x9\n"), 3),
            (&format!("{head}0 exit 256\n"), 3),
            (&format!("{head}0 signal 0\n"), 3),
            (&format!("{head}0 exit 0\n1 1 more\n"), 4),
        ] {
            match parsed(text.as_bytes()) {
                Err(RecordingError::Format { line: told, .. }) => assert_eq!(told, line, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        let by_hand = format!("{head}input\n0 2 a b \n1.5 signal 9\n");
        let recording = parsed(by_hand.as_bytes()).unwrap();
        assert_eq!(recording.stderr(), b"a b ");
        assert_eq!(recording.ended_at, Duration::from_millis(1500));
    }
}
