//! The keys that are pressed, one by one and not shown.

use std::io::{self, Read, Write};

use nix::sys::termios::{
    LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};
use tokio::sync::mpsc;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Up,
    Down,
    Restart,
    Stop,
    Lease,
    Quit,
}

/// While this lives the terminal gives each key at once, and shows another screen than the one that the shell was on. Its drop puts both
/// right: at the end, at an error, and in a panic.
pub struct RawMode {
    before: Termios,
}

/// The other screen, no cursor, no line that is wrapped.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";

impl RawMode {
    /// Ctrl-C stays a signal. Ctrl-\ and Ctrl-Z are none: they would end or stop this program with the terminal as it is now.
    pub fn set() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.local_flags
            .remove(LocalFlags::ICANON | LocalFlags::ECHO);
        for (character, value) in [
            (SpecialCharacterIndices::VQUIT, 0),
            (SpecialCharacterIndices::VSUSP, 0),
            (SpecialCharacterIndices::VMIN, 1),
            (SpecialCharacterIndices::VTIME, 0),
        ] {
            raw.control_chars[character as usize] = value;
        }
        tcsetattr(io::stdin(), SetArg::TCSANOW, &raw)?;
        let mode = Self { before };
        show(ENTER)?;
        Ok(mode)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // These fail if the terminal is gone, and then nothing is left to be put right.
        let _ = show(LEAVE);
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before);
    }
}

/// Writes this to the terminal at once.
pub fn show(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// The keys as they come; the end when the terminal is gone. A read of the terminal blocks, so a thread does it, which is left behind at
/// the end.
pub fn keys() -> io::Result<mpsc::Receiver<Key>> {
    let (pressed, keys) = mpsc::channel(16);
    std::thread::Builder::new().spawn(move || {
        let mut state = KeyState::default();
        let mut bytes = [0; 64];
        while let Ok(count @ 1..) = io::stdin().read(&mut bytes) {
            let keys = bytes[..count].iter().filter_map(|byte| state.next(*byte));
            for key in keys {
                if pressed.blocking_send(key).is_err() {
                    return;
                }
            }
        }
    })?;
    Ok(keys)
}

/// How much of an arrow key has come: ESC, `[` or `O`, a letter.
#[derive(Default)]
enum KeyState {
    #[default]
    Plain,
    Escape,
    Arrow,
}

impl KeyState {
    fn next(&mut self, byte: u8) -> Option<Key> {
        match (std::mem::take(self), byte) {
            (_, b'\x1b') => *self = Self::Escape,
            (Self::Escape, b'[' | b'O') => *self = Self::Arrow,
            (Self::Arrow, b'A') | (Self::Plain, b'k') => return Some(Key::Up),
            (Self::Arrow, b'B') | (Self::Plain, b'j') => return Some(Key::Down),
            (Self::Plain, b'r') => return Some(Key::Restart),
            (Self::Plain, b's') => return Some(Key::Stop),
            (Self::Plain, b'l') => return Some(Key::Lease),
            (Self::Plain, b'q') => return Some(Key::Quit),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_arrows_are_keys() {
        let mut state = KeyState::default();
        let keys: Vec<_> = b"r\x1b[Ax\x1bOB\x1b[Csq"
            .iter()
            .filter_map(|byte| state.next(*byte))
            .collect();
        use Key::{Down, Quit, Restart, Stop, Up};
        assert_eq!(keys, [Restart, Up, Down, Stop, Quit]);
    }
}
