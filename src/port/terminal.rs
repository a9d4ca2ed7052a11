//! What a terminal's port tells of the terminal.

use std::io;
use std::os::fd::AsFd;

use bytes::Bytes;

use crate::port::Port;
use crate::sync::lock;
use crate::sys;
use crate::terminal_modes::{TerminalModes, TerminalModesError};

impl Port {
    /// What is typed to end the input of a program that reads this terminal by lines; `None` if it does
    /// not.
    pub(crate) fn end_of_input(&self) -> Option<Bytes> {
        let master = self.master.upgrade()?;
        let byte = sys::tty::end_of_input(master.get_ref().as_fd())?;
        Some(Bytes::copy_from_slice(&[byte]))
    }

    /// What the terminal is set to.
    pub(crate) fn terminal_modes(&self) -> Result<TerminalModes, TerminalModesError> {
        if !self.terminal {
            return Err(TerminalModesError::NoTerminal);
        }
        if sys::copy::is_copy() {
            return Err(TerminalModesError::Closed);
        }
        // Under the lock, as a resize is: a master that is closed meanwhile is so before anybody is told.
        let state = lock(&self.state);
        match (&state.route, self.master.upgrade()) {
            (Some(_), Some(master)) => {
                let failed = |error: io::Error| TerminalModesError::Failed {
                    errno: error.raw_os_error().unwrap_or(0),
                };
                sys::tty::modes(master.get_ref().as_fd()).map_err(failed)
            }
            _ => Err(TerminalModesError::Closed),
        }
    }
}
