//! The process group of a child that is not to outlive its caller: its own, so that all that it starts can be
//! stopped with it, unless that would keep it from the terminal that its user sits at.

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{getpgrp, tcgetpgrp};

use crate::command::Command;
use crate::command::spec::OnLeftovers;

/// What a caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum GroupChoice {
    /// As the command says; else its own, but this program's while that is in the foreground of its
    /// terminal.
    #[default]
    Fitting,
    Own,
    Ours,
}

/// `command` with the group that it is to have, and with the helpers' policy for what it leaves.
pub(crate) fn grouped(command: Command, group: GroupChoice) -> Command {
    let spec = command.spec();
    // These lead a group by themselves.
    let leads = spec.setsid || spec.pty.is_some();
    let own = match group {
        GroupChoice::Own => true,
        GroupChoice::Ours => false,
        GroupChoice::Fitting => spec.process_group.is_none() && !is_in_foreground(),
    };
    let command = match group {
        GroupChoice::Ours => command.without_process_group(),
        _ if own && !leads => command.process_group(0),
        _ => command,
    };
    command.on_leftovers_unless_set(OnLeftovers::Kill)
}

/// Whether this process is in the foreground of its controlling terminal: then a child in another
/// group could not read what is typed there, and would not get its Ctrl-C.
fn is_in_foreground() -> bool {
    let flags = OFlag::O_RDONLY | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    // Without a controlling terminal this fails at once.
    open("/dev/tty", flags, Mode::empty())
        .is_ok_and(|terminal| tcgetpgrp(&terminal) == Ok(getpgrp()))
}
