//! Where the headers of a message begin and end, and what comes before them: of bytes that are there, without state.

/// The one header that counts.
pub(super) const NAME: &[u8] = b"content-length:";

/// From its name to its line's end, behind noise in the same line: no more than this.
pub(super) const AFTER_NOISE: usize = 64;

/// What some bytes begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// This cannot be told yet.
    Unknown,
    /// So many bytes of headers, and a body of this length after them.
    Head { bytes: usize, length: u64 },
    /// So many bytes that are no headers. The line, or what is told of it, ends with them.
    Noise { bytes: usize },
    /// So many bytes that are no headers, of a line that goes on.
    NoiseGoesOn { bytes: usize },
}

/// Looks at `bytes`, which begin a line, or go on with a line of noise (`in_noise`). Headers of more than `max` bytes, their
/// empty line included, are none.
pub(super) fn start(bytes: &[u8], max: usize, in_noise: bool) -> Beginning {
    let mut length = None;
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = end.and_then(|end| rest.get(..=end));
        let is_long = at + line.unwrap_or(rest).len() > max;
        // What reads like headers up to here, and does not go on like them.
        let broken = (at > 0).then_some(Beginning::Noise { bytes: at });
        let Some(line) = line else {
            return match broken {
                _ if !is_long => Beginning::Unknown,
                Some(noise) => noise,
                None => Beginning::NoiseGoesOn {
                    bytes: rest.len().saturating_sub(AFTER_NOISE),
                },
            };
        };
        if is_long && let Some(noise) = broken {
            return noise;
        }
        match HeaderLine::of(line, is_long || (in_noise && at == 0)) {
            HeaderLine::Length(said) => length = Some(said),
            HeaderLine::Other => {}
            HeaderLine::Empty => {
                let bytes = at + line.len();
                let head = length.map(|length| Beginning::Head { bytes, length });
                return head.unwrap_or(Beginning::Noise { bytes });
            }
            HeaderLine::Noise(bytes) => return broken.unwrap_or(Beginning::Noise { bytes }),
        }
        at += line.len();
    }
}

/// What a whole line is.
enum HeaderLine {
    /// The header, with its number.
    Length(u64),
    /// Another header.
    Other,
    Empty,
    /// So many bytes of it are no header.
    Noise(usize),
}

impl HeaderLine {
    /// `line` ends with LF. `after_noise`: it does not begin with the name of a header.
    fn of(line: &[u8], after_noise: bool) -> Self {
        let Some(text) = line.strip_suffix(b"\r\n") else {
            return Self::Noise(line.len());
        };
        if !after_noise && let Some(length) = length_of(text) {
            return Self::Length(length);
        }
        // A program that has not ended its line before the message.
        let tail = line.len().saturating_sub(AFTER_NOISE);
        let first = if after_noise { tail } else { tail.max(1) };
        let places = (first..text.len()).rev();
        let mut headers = places.filter(|at| text.get(*at..).and_then(length_of).is_some());
        if let Some(at) = headers.next() {
            return Self::Noise(at);
        }
        match text {
            _ if after_noise => Self::Noise(line.len()),
            [] => Self::Empty,
            _ if is_other_header(text) => Self::Other,
            _ => Self::Noise(line.len()),
        }
    }
}

/// The number, if `text` is the whole header.
fn length_of(text: &[u8]) -> Option<u64> {
    let (name, value) = text.split_at_checked(NAME.len())?;
    let digits = value.trim_ascii();
    if !name.eq_ignore_ascii_case(NAME) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether `text` is a name that may be, and a value; one of a body's length without a number is none.
fn is_other_header(text: &[u8]) -> bool {
    let is_named = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let colon = text.iter().position(|byte| *byte == b':');
    let name = colon.and_then(|colon| text.get(..colon));
    let is_length = text
        .get(..NAME.len())
        .is_some_and(|name| name.eq_ignore_ascii_case(NAME));
    name.is_some_and(|name| !name.is_empty() && name.iter().all(is_named)) && !is_length
}
