//! What a terminal's port tells of the terminal.

use std::os::fd::AsFd;

use bytes::Bytes;

use crate::port::Port;
use crate::sys;

impl Port {
    /// What is typed to end the input of a program that reads this terminal by lines; `None` if it does
    /// not.
    pub(crate) fn end_of_input(&self) -> Option<Bytes> {
        let master = self.master.upgrade()?;
        let byte = sys::tty::end_of_input(master.get_ref().as_fd())?;
        Some(Bytes::copy_from_slice(&[byte]))
    }
}
