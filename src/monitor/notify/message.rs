//! What a service says by sd_notify: the lines of one datagram.

use std::time::Duration;

/// The longest datagram that is read: systemd's own bound.
pub(super) const MAX_DATAGRAM: usize = 4096;

/// The most bytes of a status that are shown, after the escapes.
const MAX_STATUS: usize = 256;

/// What one datagram says. The order of its lines does not matter; of several lines with one key the first counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::monitor) struct NotifyMessage {
    /// `READY=1`: the service is ready, or has reloaded.
    pub(in crate::monitor) ready: bool,
    /// `RELOADING=1`.
    pub(in crate::monitor) reloading: bool,
    /// `STOPPING=1`.
    pub(in crate::monitor) stopping: bool,
    /// `WATCHDOG=1` or `WATCHDOG=trigger`.
    pub(in crate::monitor) watchdog: Option<WatchdogWord>,
    /// `WATCHDOG_USEC`: the period of the watchdog from now on. Zero turns it off.
    pub(in crate::monitor) watchdog_period: Option<Duration>,
    /// `EXTEND_TIMEOUT_USEC`: how much more time, from now on, the service asks for.
    pub(in crate::monitor) extend: Option<Duration>,
    /// `STATUS`: 256 bytes at most, with what does not print escaped.
    pub(in crate::monitor) status: Option<String>,
    /// How many lines are none: without a `=`, or with a value that their key does not have. The other lines hold.
    pub(in crate::monitor) malformed: u32,
}

/// What a service says of its watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::monitor) enum WatchdogWord {
    /// It is alive.
    Alive,
    /// It wants to be treated as if it had missed its time.
    Trigger,
}

impl NotifyMessage {
    /// `None` for a datagram that is longer than systemd takes, empty, or holds a NUL other than one last byte.
    pub(super) fn parse(datagram: &[u8]) -> Option<Self> {
        if datagram.len() > MAX_DATAGRAM {
            return None;
        }
        let text = datagram.strip_suffix(b"\0").unwrap_or(datagram);
        if text.is_empty() || text.contains(&0) {
            return None;
        }
        let mut message = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            if !line.is_empty() && message.take(line).is_none() {
                message.malformed += 1;
            }
        }
        Some(message)
    }

    /// Whether it says something of the state of the service.
    pub(in crate::monitor) const fn tells_state(&self) -> bool {
        self.ready || self.reloading || self.stopping || self.status.is_some()
    }

    /// `None` if the line is malformed.
    fn take(&mut self, line: &[u8]) -> Option<()> {
        let at = line.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (line.get(..at)?, line.get(at + 1..)?);
        match key {
            b"READY" => self.ready |= is_one(value)?,
            b"RELOADING" => self.reloading |= is_one(value)?,
            b"STOPPING" => self.stopping |= is_one(value)?,
            b"WATCHDOG" => {
                let word = match value {
                    b"1" => WatchdogWord::Alive,
                    b"trigger" => WatchdogWord::Trigger,
                    _ => return None,
                };
                self.watchdog.get_or_insert(word);
            }
            b"WATCHDOG_USEC" => {
                let period = microseconds(value)?;
                self.watchdog_period.get_or_insert(period);
            }
            b"EXTEND_TIMEOUT_USEC" => {
                let time = microseconds(value)?;
                self.extend.get_or_insert(time);
            }
            b"STATUS" => {
                self.status.get_or_insert_with(|| shown(value));
            }
            // ERRNO, MAINPID, FDSTORE, BARRIER, X_ keys, and whatever comes later.
            _ => {}
        }
        Some(())
    }
}

fn is_one(value: &[u8]) -> Option<bool> {
    (value == b"1").then_some(true)
}

fn microseconds(value: &[u8]) -> Option<Duration> {
    let digits = std::str::from_utf8(value).ok()?;
    // Rust's integers take a sign as well.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Duration::from_micros)
}

/// With what does not print escaped as Rust's literals have it. Quotes and backslashes stay.
fn shown(value: &[u8]) -> String {
    let mut text = String::new();
    for chunk in value.utf8_chunks() {
        for letter in chunk.valid().chars() {
            let fits = match letter {
                '\\' | '"' | '\'' => append(&mut text, std::iter::once(letter)),
                letter => append(&mut text, letter.escape_debug()),
            };
            if !fits {
                return text;
            }
        }
        for byte in chunk.invalid() {
            if !append(&mut text, byte.escape_ascii().map(char::from)) {
                return text;
            }
        }
    }
    text
}

/// False, and nothing is appended, if the piece does not fit.
fn append(text: &mut String, piece: impl Iterator<Item = char> + Clone) -> bool {
    let fits = text.len() + piece.clone().map(char::len_utf8).sum::<usize>() <= MAX_STATUS;
    if fits {
        text.extend(piece);
    }
    fits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(datagram: &str) -> NotifyMessage {
        NotifyMessage::parse(datagram.as_bytes()).unwrap()
    }

    #[test]
    fn each_key_is_read() {
        let all = parsed(
            "READY=1\nRELOADING=1\nSTOPPING=1\nWATCHDOG=1\nWATCHDOG_USEC=2000000\nEXTEND_TIMEOUT_USEC=5\nSTATUS=a = b\n\
             ERRNO=2\nMAINPID=1\nFDSTORE=1\nX_Y=z\nMONOTONIC_USEC=17",
        );
        let expected = NotifyMessage {
            ready: true,
            reloading: true,
            stopping: true,
            watchdog: Some(WatchdogWord::Alive),
            watchdog_period: Some(Duration::from_secs(2)),
            extend: Some(Duration::from_micros(5)),
            status: Some("a = b".to_owned()),
            malformed: 0,
        };
        assert_eq!(all, expected);
        let trigger = parsed("WATCHDOG=trigger\n\0");
        assert_eq!(trigger.watchdog, Some(WatchdogWord::Trigger));
        assert_eq!(parsed("ERRNO=2\nUNKNOWN=x"), NotifyMessage::default());
    }

    #[test]
    fn every_order_of_the_lines_says_the_same() {
        let lines = [
            "READY=1",
            "STATUS=x",
            "WATCHDOG=1",
            "WATCHDOG_USEC=9",
            "EXTEND_TIMEOUT_USEC=7",
            "no line",
        ];
        let first = parsed(&lines.join("\n"));
        assert_eq!(first.malformed, 1);
        let mut orders = 0;
        let mut order = [0, 1, 2, 3, 4, 5];
        permute(&mut order, 0, &mut |order| {
            let text: Vec<&str> = order.iter().map(|at| lines[*at]).collect();
            assert_eq!(parsed(&text.join("\n")), first, "{text:?}");
            orders += 1;
        });
        assert_eq!(orders, 720);
    }

    fn permute(order: &mut [usize; 6], from: usize, each: &mut impl FnMut(&[usize; 6])) {
        if from == order.len() {
            return each(order);
        }
        for at in from..order.len() {
            order.swap(from, at);
            permute(order, from + 1, each);
            order.swap(from, at);
        }
    }

    #[test]
    fn the_first_of_one_key_counts_and_what_is_no_value_is_counted() {
        let twice = parsed("STATUS=a\nSTATUS=b\nWATCHDOG_USEC=1\nWATCHDOG_USEC=2");
        assert_eq!(twice.status.as_deref(), Some("a"));
        assert_eq!(twice.watchdog_period, Some(Duration::from_micros(1)));
        for bad in [
            "READY=2",
            "READY=",
            "READY",
            "STOPPING=yes",
            "WATCHDOG=0",
            "WATCHDOG_USEC=-1",
            "WATCHDOG_USEC=+1",
            "WATCHDOG_USEC=",
            "WATCHDOG_USEC=18446744073709551616",
            "EXTEND_TIMEOUT_USEC=1s",
        ] {
            let message = parsed(&format!("{bad}\nSTATUS=kept"));
            let expected = NotifyMessage {
                status: Some("kept".to_owned()),
                malformed: 1,
                ..NotifyMessage::default()
            };
            assert_eq!(message, expected, "{bad}");
        }
    }

    #[test]
    fn a_datagram_that_is_too_long_empty_or_holds_a_nul_is_none() {
        let mut long = b"STATUS=".to_vec();
        long.resize(MAX_DATAGRAM, b'x');
        assert!(NotifyMessage::parse(&long).is_some());
        long.push(b'x');
        for bad in [&long[..], b"", b"\0", b"READY=1\0STATUS=x", b"READY=1\0\0"] {
            assert_eq!(NotifyMessage::parse(bad), None);
        }
    }

    #[test]
    fn a_status_is_cut_and_what_does_not_print_is_escaped() {
        let status = |text: &[u8]| {
            NotifyMessage::parse(&[b"STATUS=", text].concat())
                .unwrap()
                .status
                .unwrap()
        };
        assert_eq!(status(b"\x1b[2J \xff\t'\"\\"), "\\u{1b}[2J \\xff\\t'\"\\");
        assert_eq!(status("\u{202e}ü".as_bytes()), "\\u{202e}ü");
        assert_eq!(status(b""), "");
        assert_eq!(status(&[b'x'; 300]), "x".repeat(256));
        // No half letter, and no half escape.
        assert_eq!(
            status(format!("{}ü", "x".repeat(255)).as_bytes()).len(),
            255
        );
        assert_eq!(status(&[&[b'x'; 253][..], b"\xff"].concat()).len(), 253);
    }

    proptest! {
        #[test]
        fn no_datagram_breaks_it(datagram in proptest::collection::vec(any::<u8>(), 0..5000)) {
            if let Some(message) = NotifyMessage::parse(&datagram) {
                prop_assert!(message.status.is_none_or(|text| text.len() <= MAX_STATUS));
            }
        }

        #[test]
        fn lines_that_are_known_are_read_among_any_others(
            before in "([A-Z_]{1,9}=[^\n\0]{0,20}\n){0,5}",
            after in "(\n[A-Z_]{1,9}=[^\n\0]{0,20}){0,5}",
            time in any::<u64>(),
        ) {
            let own = |text: &str| ["READY", "EXTEND_TIMEOUT_USEC"].iter().any(|key| text.contains(key));
            prop_assume!(!own(&before) && !own(&after));
            let message = parsed(&format!("{before}READY=1\nEXTEND_TIMEOUT_USEC={time}{after}"));
            prop_assert!(message.ready);
            prop_assert_eq!(message.extend, Some(Duration::from_micros(time)));
        }
    }
}
