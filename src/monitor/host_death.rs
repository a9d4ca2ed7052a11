//! What becomes of a service when the program that runs it is gone.

/// What happens to the processes of a service when the host is gone: when a signal killed it (SIGKILL, too), when it called
/// `std::process::exit`, when it crashed.
///
/// No signal is needed for what a monitor does by itself while the host lives. This is for a host that can do nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OnHostDeath {
    /// The service runs on, and nobody watches it. Its pipes close all the same: its input ends, and it gets SIGPIPE when
    /// it writes to its output.
    Leave,
    /// Nothing is sent. The service sees the end of its standard input, and is expected to end by itself, as servers do that talk
    /// by their standard streams. A service that does not read its input, or has no pipe for it, runs on, and so does a descendant that
    /// does not end with it.
    StdinEof,
    /// The service and all of its process group get SIGKILL.
    ///
    /// The child itself gets it from the kernel ([`parent_death_signal`](crate::Command::parent_death_signal)). An exec of a
    /// set-user-id program clears that, and a program may clear it. The whole group, and the cgroup that was made for the service, get it
    /// from the monitor's guard, a process of its own that sees that the host is gone.
    ///
    /// Without a cgroup a process that has left the group lives on: one in a session of its own (`setsid`), as daemons are. A process
    /// that the guard may not signal lives on, too: the guard is a program, and has none of the host's capabilities but those that an exec keeps
    /// (root's, and ambient ones). So does all but the child itself if somebody kills the guard together with the host.
    #[default]
    Kill,
}
