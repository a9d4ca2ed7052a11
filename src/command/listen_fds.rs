//! Sockets that a child finds by systemd's variables.

use std::sync::Arc;

use super::Command;
use super::fd_map::{Fd, FdMap, Kind};

/// The number of a child's first socket.
pub(crate) const FIRST: i32 = 3;

impl Command {
    /// Hands the child sockets as systemd does (`sd_listen_fds(3)`): as its descriptors 3, 4 and so on, in this order, with
    /// the variables `LISTEN_FDS` (how many), `LISTEN_FDNAMES` (their names, joined by colons) and `LISTEN_PID` (the child's own pid). So
    /// the host listens before its child runs, keeps the port while the child is exchanged for another, and may bind a port that
    /// the child's user may not.
    ///
    /// No other child has them: a child has the descriptors that its own command names, and the host's sockets are not among them.
    ///
    /// A socket is whatever becomes an [`Fd`]: a `TcpListener`, `UnixListener`, `UdpSocket`, `UnixDatagram`, an `OwnedFd`.
    /// As ever such a descriptor is moved: made blocking, taken by the first spawn, and closed in this program then. For a
    /// command that is spawned again (a restart, several workers at one socket) give it as an [`Fd::share`].
    ///
    /// ```
    /// use actix_process::{Command, Fd};
    /// use std::net::TcpListener;
    /// use std::sync::Arc;
    ///
    /// # actix::System::new().block_on(async {
    /// let web = Arc::new(TcpListener::bind("127.0.0.1:0")?.into());
    /// let script = r#"test $LISTEN_PID = $$ && echo $LISTEN_FDS socket: $LISTEN_FDNAMES"#;
    /// let worker = Command::new("sh").args(["-c", script]).listen_fds([("web", Fd::share(web))]);
    /// for _ in 0..2 {
    ///     assert_eq!(worker.output().await?.stdout, b"1 socket: web\n");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// - The three variables say what the child gets, whatever the command says of them by [`env`](Self::env),
    ///   [`env_remove`](Self::env_remove) or [`env_clear`](Self::env_clear), before or after, and whatever this program has inherited. Without
    ///   sockets (`listen_fds([])`) they are none of this method's business.
    /// - `LISTEN_PID` is the process that the crate starts. A program that this one forks and waits for (a wrapper that does not
    ///   `exec`) takes the sockets for somebody else's, as the protocol wants it.
    /// - A second call replaces the sockets of the first. [`fds`](Self::fds) sets all descriptors, so the sockets before it are
    ///   gone. [`fd_map`](Self::fd_map) shows them among the others.
    ///
    /// A spawn fails at [`SpawnStep::Invalid`](crate::SpawnStep::Invalid), before anything is opened, if the command gives a
    /// socket's number to something else as well; if what is given is a pipe of this program; or if a name is not 1 to 255
    /// printable characters of ASCII without a colon.
    #[must_use = "a command is changed by value: `command = command.listen_fds(..)`"]
    pub fn listen_fds<I, N, F>(self, sockets: I) -> Self
    where
        I: IntoIterator<Item = (N, F)>,
        N: AsRef<str>,
        F: Into<Fd>,
    {
        let sockets = (FIRST..).zip(sockets).map(|(n, (name, socket))| {
            let mut socket = socket.into();
            socket.socket_name = Some(name.as_ref().into());
            (n, socket)
        });
        // Beside what else has these numbers, for the spawn to refuse.
        self.edit(|spec| {
            let others = spec.fds.iter().filter(|(_, fd)| fd.socket_name.is_none());
            let others = others.map(|(n, fd)| (n, fd.clone()));
            spec.fds = others.chain(sockets).collect();
        })
    }
}

impl Fd {
    /// Whether this may be a socket: no pipe, file or terminal that the spawn makes.
    pub(crate) const fn is_given(&self) -> bool {
        matches!(
            self.kind,
            Kind::Moved(_) | Kind::Shared(_) | Kind::Inherit(_) | Kind::SameAs(_)
        )
    }
}

/// The sockets of [`Command::listen_fds`] in `map`, by number.
pub(crate) fn sockets(map: &FdMap) -> Vec<(i32, &Arc<str>)> {
    let named = map.iter();
    let mut sockets: Vec<_> = named
        .filter_map(|(n, fd)| Some((n, fd.socket_name.as_ref()?)))
        .collect();
    sockets.sort_unstable();
    sockets
}
