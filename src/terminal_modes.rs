//! The modes of a child's terminal, and why they are not told.

use std::error::Error;
use std::fmt;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TerminalModesError {
    /// The child was not spawned on a [`pty`](crate::Command::pty).
    NoTerminal,
    /// The child has exited, or the terminal is closed: this side closed it, or the child closed its end.
    Closed,
    /// The time is over.
    TimedOut {
        /// The modes at the last look.
        modes: TerminalModes,
    },
    /// The kernel refused to tell.
    Failed {
        /// The kernel's error number.
        errno: i32,
    },
}

impl fmt::Display for TerminalModesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTerminal => f.write_str("the child has no terminal"),
            Self::Closed => f.write_str("the terminal is closed, or the child has exited"),
            Self::TimedOut { modes } => {
                let on = |mode| if mode { "on" } else { "off" };
                write!(
                    f,
                    "the terminal did not get the wanted modes in time: echo is {}, lines are {}, signals are {}",
                    on(modes.echo),
                    on(modes.canonical),
                    on(modes.signals)
                )
            }
            Self::Failed { errno } => {
                let error = io::Error::from_raw_os_error(*errno);
                write!(f, "cannot get the terminal's modes: {error}")
            }
        }
    }
}

impl Error for TerminalModesError {}
