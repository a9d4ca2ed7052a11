//! What a piped descriptor is for.

use crate::port::kept::Keep;

/// What a piped descriptor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The parent writes.
    Input,
    /// The parent reads for the protocol, or for a stream.
    Output { window: usize, stream: bool },
    /// The parent reads lines of at most `max` bytes for the protocol.
    Lines { window: usize, max: usize },
    /// The parent reads and keeps so much.
    Kept(Keep),
}

impl Role {
    pub(crate) const fn is_output(self) -> bool {
        matches!(
            self,
            Self::Output { .. } | Self::Lines { .. } | Self::Kept(_)
        )
    }

    /// The child's descriptors that the two halves of a terminal are, where its output has the role `output`.
    pub(crate) const fn halves_of_terminal(output: Self) -> [(i32, Self); 2] {
        [(0, Self::Input), (1, output)]
    }
}
