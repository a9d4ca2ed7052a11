//! The modes of a child's terminal, and why they are not told.

use std::io;

/// The modes of a child's terminal that matter to a program which types there. The child may change them at any
/// time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TerminalModes {
    /// The terminal shows what is typed (ECHO). Programs switch it off before they ask for a password.
    pub echo: bool,
    /// The child reads what is typed by lines, which can be edited before (ICANON). Editors and shells switch it off.
    pub canonical: bool,
    /// Ctrl-C, Ctrl-\ and Ctrl-Z make signals (ISIG).
    pub signals: bool,
}

/// Why the modes of a terminal cannot be told, or did not become what was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TerminalModesError {
    /// The child was not spawned on a [`pty`](crate::Command::pty).
    #[error("the child has no terminal")]
    NoTerminal,
    /// The child has exited, or the terminal is closed: this side closed it, or the child closed its end.
    #[error("the terminal is closed, or the child has exited")]
    Closed,
    /// The time is over.
    #[error(
        "the terminal did not get the wanted modes in time: echo is {}, lines are {}, signals are {}",
        on(modes.echo),
        on(modes.canonical),
        on(modes.signals)
    )]
    TimedOut {
        /// The modes at the last look.
        modes: TerminalModes,
    },
    /// The kernel refused to tell.
    #[error("cannot get the terminal's modes: {}", io::Error::from_raw_os_error(*errno))]
    Failed {
        /// The kernel's error number.
        errno: i32,
    },
}

const fn on(mode: bool) -> &'static str {
    if mode { "on" } else { "off" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_says_what_was_found() {
        let modes = TerminalModes {
            echo: true,
            canonical: false,
            signals: true,
        };
        let text = |error: TerminalModesError| error.to_string();
        assert_eq!(
            text(TerminalModesError::NoTerminal),
            "the child has no terminal"
        );
        assert_eq!(
            text(TerminalModesError::Closed),
            "the terminal is closed, or the child has exited"
        );
        assert_eq!(
            text(TerminalModesError::TimedOut { modes }),
            "the terminal did not get the wanted modes in time: echo is on, lines are off, signals are on"
        );
        assert_eq!(
            text(TerminalModesError::Failed { errno: 25 }),
            "cannot get the terminal's modes: Inappropriate ioctl for device (os error 25)"
        );
    }
}
