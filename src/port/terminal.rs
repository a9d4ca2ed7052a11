//! What only the port of a terminal does: its size, its modes, and what ends its input.

use std::io;

use bytes::Bytes;

use crate::error::ResizeError;
use crate::port::Port;
use crate::sync::lock;
use crate::sys;
use crate::terminal_modes::{TerminalModes, TerminalModesError};
use crate::winsize::PtySize;

impl Port {
    /// What is typed to end the input of a program that reads this terminal by lines; `None` if it does
    /// not.
    pub(crate) fn end_of_input(&self) -> Option<Bytes> {
        let byte = self.terminal.as_ref()?.upgrade()?.end_of_input()?;
        Some(Bytes::copy_from_slice(&[byte]))
    }

    /// Gives a terminal's window another size.
    pub(crate) fn resize(&self, size: PtySize) -> Result<(), ResizeError> {
        let Some(terminal) = &self.terminal else {
            return Err(ResizeError::NoTerminal);
        };
        if sys::copy::is_copy() {
            return Err(ResizeError::Closed);
        }
        // Under the lock, so that a master which is closed meanwhile is so before anybody is told.
        let state = lock(&self.state);
        match (state.closed, terminal.upgrade()) {
            (false, Some(master)) => {
                let failed = |error: io::Error| ResizeError::Failed {
                    errno: error.raw_os_error().unwrap_or(0),
                };
                master.set_size(size).map_err(failed)
            }
            _ => Err(ResizeError::Closed),
        }
    }

    /// What the terminal is set to.
    pub(crate) fn terminal_modes(&self) -> Result<TerminalModes, TerminalModesError> {
        let master = self
            .terminal
            .as_ref()
            .ok_or(TerminalModesError::NoTerminal)?;
        if sys::copy::is_copy() {
            return Err(TerminalModesError::Closed);
        }
        // Under the lock, as a resize is: a master that is closed meanwhile is so before anybody is told.
        let state = lock(&self.state);
        match (state.closed, master.upgrade()) {
            (false, Some(master)) => {
                let failed = |error: io::Error| TerminalModesError::Failed {
                    errno: error.raw_os_error().unwrap_or(0),
                };
                master
                    .modes()
                    .map_err(failed)?
                    .ok_or(TerminalModesError::Closed)
            }
            _ => Err(TerminalModesError::Closed),
        }
    }
}
