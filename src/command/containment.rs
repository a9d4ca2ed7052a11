//! What holds a child together with all that it starts.

use std::fmt;

use crate::command::spec::{Contain, Spec};

/// What holds a child together with the processes that the child starts. A signal to the child's
/// [group](crate::ProcessHandle::signal_group) reaches the processes that are held, and no others.
///
/// The variants are in the order of their strength, so they can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Containment {
    /// Nothing: the child is one process among others. The processes that it starts are out of reach.
    Process,
    /// The process group that the child leads. A process escapes by setsid(2) or setpgid(2), as
    /// daemons and shells with job control do.
    Group,
    /// A cgroup: no process leaves it by starting others, nor by a session or a group of its own. Only a process that may
    /// move processes into another cgroup escapes, if it tries: one of root, or of the user to whom the host's own
    /// cgroup belongs.
    Cgroup,
}

impl Containment {
    /// Which processes escape, as text for a log or a user.
    #[must_use]
    pub const fn does_not_hold(self) -> &'static str {
        match self {
            Self::Process => "whatever the child starts",
            Self::Group => "processes that call setsid or setpgid",
            Self::Cgroup => "processes that may move into another cgroup",
        }
    }

    /// What a child of this command gets, with or without a cgroup.
    pub(crate) const fn of(spec: &Spec, in_cgroup: bool) -> Self {
        let by_itself = spec.setsid || spec.pty.is_some() || matches!(spec.process_group, Some(0));
        if in_cgroup {
            Self::Cgroup
        } else if by_itself || matches!(spec.contain, Some(Contain::Strongest)) {
            Self::Group
        } else {
            Self::Process
        }
    }
}

impl fmt::Display for Containment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "process",
            Self::Group => "process group",
            Self::Cgroup => "cgroup",
        })
    }
}
