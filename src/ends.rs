//! The parent's ends of what connects it to a child.

use std::os::fd::OwnedFd;

use crate::process::Purpose;

/// The parent's ends, not blocking.
#[derive(Debug, Default)]
pub(crate) struct ParentEnds {
    pub(crate) pipes: Vec<ParentEnd>,
    /// A terminal's master, and how much of its output may be on its way.
    pub(crate) terminal: Option<(OwnedFd, usize)>,
}

/// The parent's end of one pipe.
#[derive(Debug)]
pub(crate) struct ParentEnd {
    pub(crate) fd: i32,
    pub(crate) purpose: Purpose,
    pub(crate) end: OwnedFd,
}

impl ParentEnds {
    /// What each descriptor is for; a terminal is two.
    pub(crate) fn purposes(&self) -> impl Iterator<Item = (i32, Purpose)> {
        let terminal = self.terminal.iter().flat_map(|(_, window)| {
            let (window, stream) = (*window, false);
            [(0, Purpose::Input), (1, Purpose::Output { window, stream })]
        });
        terminal.chain(self.pipes.iter().map(|end| (end.fd, end.purpose)))
    }
}
