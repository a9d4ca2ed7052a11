//! When a service counts as ready.

mod pattern;
#[cfg(test)]
mod tests;
mod wait;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::Command;

use super::check::Check;
use super::start::{Start, StartError};
pub use pattern::LinePattern;
pub(super) use wait::{NotReady, ReadyFeed, begin};

const WITHIN: Duration = Duration::from_secs(30);
const TRY: Duration = Duration::from_secs(1);

/// When a service counts as ready: when [`MonitorHandle::ready`](super::MonitorHandle::ready) answers, a lease is given, and the services come that are
/// [after](super::Service::after) it.
///
/// A service is never ready because time is up. If it is not ready [`within`](Self::within) its time, or its child ends, or it can no
/// longer say that it is ready since that output was closed, the start has failed: the child is stopped, with
/// [`ExitKind::Unready`](super::ExitKind::Unready), and the service follows its [`Restart`](super::Restart).
///
/// The first choice is what the program does by itself: [`notify`](Self::notify) for a program made for systemd, [`fd`](Self::fd) for
/// one made for s6, [`line`](Self::line) for one that logs a line when it serves. Probes ask again and again: [`tcp`](Self::tcp),
/// [`exec`](Self::exec) and [`probe`](Self::probe).
///
/// ```
/// use std::time::Duration;
///
/// use actix_process::Command;
/// use actix_process::monitor::Ready;
///
/// let logs = Ready::line("Listening on").within(Duration::from_secs(10));
/// let connects = Ready::tcp("127.0.0.1:7001");
/// let answers = Ready::exec(Command::new("pg_isready")).every(Duration::from_millis(200));
/// ```
#[derive(Clone)]
#[must_use = "a service has it by `Service::ready`"]
pub struct Ready {
    kind: ReadyKind,
    within: Duration,
    every: Option<Duration>,
    timeout: Option<Duration>,
}

#[derive(Debug, Clone)]
enum ReadyKind {
    Started,
    After(Duration),
    Line(LinePattern, Option<i32>),
    Fd(i32),
    Notify,
    Protocol,
    Check(Check),
}

impl Ready {
    const fn new(kind: ReadyKind) -> Self {
        Self {
            kind,
            within: WITHIN,
            every: None,
            timeout: None,
        }
    }

    /// When the program runs: the exec has succeeded. What a service has unless it says otherwise.
    pub const fn started() -> Self {
        Self::new(ReadyKind::Started)
    }

    /// When the child has run for so long. For a program that tells nothing; anything else is better. [`within`](Self::within) does not
    /// count.
    pub const fn after(time: Duration) -> Self {
        Self::new(ReadyKind::After(time))
    }

    /// When the child writes a line that contains these bytes, or that this regex matches, to its standard output or error; or to the
    /// descriptor that [`on`](Self::on) names. The descriptor has to be piped.
    ///
    /// The start fails when these outputs are closed before. A line that is longer than the service's longest line is looked at piece by
    /// piece.
    ///
    /// ```
    /// # use actix_process::monitor::Ready;
    /// let ready = Ready::line("Ready to accept connections").on(1);
    /// ```
    pub fn line(pattern: impl Into<LinePattern>) -> Self {
        Self::new(ReadyKind::Line(pattern.into(), None))
    }

    /// When the child writes a newline to its descriptor `n`, which is 3 or greater: what s6 calls `notification-fd`. The monitor maps
    /// the descriptor as a pipe; what comes there is no output of the service. The start fails when the descriptor is closed before.
    pub const fn fd(n: i32) -> Self {
        Self::new(ReadyKind::Fd(n))
    }

    /// When the service sends `READY=1`, as programs do that are made for systemd's `Type=notify`.
    ///
    /// `NOTIFY_SOCKET` is an abstract socket of this start alone. A message counts if its sender is the child, is in the group that the
    /// child leads, or descends from the child. If the sender is already gone it counts if it ran as the child's user. `STATUS=` is shown in
    /// the service's status, with its first 256 bytes. `EXTEND_TIMEOUT_USEC=` moves the end of [`within`](Self::within) away, to so long
    /// from then. `STOPPING=1` before `READY=1` fails the start; later the service is not ready from then on, as after `RELOADING=1`, which
    /// `READY=1` ends. Descriptors that are sent along are closed, and their message does not
    /// count.
    pub const fn notify() -> Self {
        Self::new(ReadyKind::Notify)
    }

    /// When the service's protocol actor calls [`Start::set_ready`].
    pub const fn protocol() -> Self {
        Self::new(ReadyKind::Protocol)
    }

    /// When a connection to this address can be made: an IP address and a port, as text or as a `SocketAddr`. The connection is closed
    /// at once.
    ///
    /// Another program that listens there is taken for the service. [`port`](Self::port) is safer.
    pub fn tcp(address: impl fmt::Display) -> Self {
        Self::new(ReadyKind::Check(Check::tcp(address)))
    }

    /// The same on 127.0.0.1 and the port that [`Start::free_port`] gave to this start. Refused for a service whose command no closure makes:
    /// nobody asks for a port there.
    pub const fn port() -> Self {
        Self::new(ReadyKind::Check(Check::Port))
    }

    /// When this command ends with exit code 0. It runs in a process group of its own, and is killed with that group when its
    /// [`timeout`](Self::timeout) is over. Its outputs are read; 1 KiB of each end of them is kept, for the text of a failure. If the host is
    /// killed meanwhile, the command gets SIGKILL, whatever its own `parent_death_signal` is; what it has started does not.
    pub fn exec(command: Command) -> Self {
        Self::new(ReadyKind::Check(Check::exec(command)))
    }

    /// When a future that this closure makes gives `Ok`. The future runs on the monitor's arbiter: it must not block, and need not be
    /// `Send`. A panic is a failed try.
    ///
    /// ```
    /// use actix_process::monitor::{Ready, Start};
    ///
    /// let ready = Ready::probe(|start: Start| async move {
    ///     let port = start.port().ok_or("no port")?;
    ///     tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    ///     Ok(())
    /// });
    /// ```
    pub fn probe<F, A>(probe: F) -> Self
    where
        F: Fn(Start) -> A + Send + Sync + 'static,
        A: Future<Output = Result<(), StartError>> + 'static,
    {
        Self::new(ReadyKind::Check(Check::probe(probe)))
    }

    /// How long the service has, from its spawn on: 30 seconds unless set. Not zero. Before that the closure of its command and the spawn may
    /// take as long.
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// How long from the end of a failed try of [`tcp`](Self::tcp), [`port`](Self::port), [`exec`](Self::exec) or [`probe`](Self::probe)
    /// to the next one. Not zero. Unless set that is 20 ms at first, and twice as much each time, up to 1 second.
    pub const fn every(mut self, time: Duration) -> Self {
        self.every = Some(time);
        self
    }

    /// How long one try of those may take: 1 second unless set, and no longer than [`within`](Self::within). Not zero.
    pub const fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// The only descriptor on which [`line`](Self::line) looks for its line.
    pub fn on(mut self, fd: i32) -> Self {
        if let ReadyKind::Line(_, on) = &mut self.kind {
            *on = Some(fd);
        }
        self
    }

    /// Whether it looks at the port that the start chose.
    pub(in crate::monitor) const fn needs_port(&self) -> bool {
        matches!(self.kind, ReadyKind::Check(Check::Port))
    }

    /// What is wrong with it, for the check of a service's spec.
    pub(in crate::monitor) fn problem(&self) -> Option<String> {
        let text = |text: &str| Some(text.to_owned());
        if self.within.is_zero() {
            return text("`within` is zero");
        }
        if self.every.is_some_and(|time| time.is_zero()) {
            return text("`every` is zero");
        }
        if self.timeout.is_some_and(|time| time.is_zero()) {
            return text("`timeout` is zero");
        }
        if self.timeout.is_some_and(|time| time > self.within) {
            return text("`timeout` is longer than `within`");
        }
        match &self.kind {
            ReadyKind::After(time) if time.is_zero() => text("the time is zero"),
            ReadyKind::Line(_, Some(fd)) if *fd < 0 => text("the descriptor is negative"),
            ReadyKind::Fd(fd) if *fd < 3 => text("the descriptor is below 3"),
            ReadyKind::Check(check) => check.problem(),
            _ => None,
        }
    }

    /// Whether a line of this descriptor may be the one.
    pub(in crate::monitor) fn watches_lines_of(&self, fd: i32) -> bool {
        match &self.kind {
            ReadyKind::Line(_, Some(on)) => *on == fd,
            ReadyKind::Line(_, None) => fd == 1 || fd == 2,
            _ => false,
        }
    }

    /// The descriptor that the monitor has to map as a pipe that it reads.
    pub(in crate::monitor) const fn notification_fd(&self) -> Option<i32> {
        match &self.kind {
            ReadyKind::Fd(fd) => Some(*fd),
            _ => None,
        }
    }

    /// Whether something that the child writes tells it.
    pub(in crate::monitor) const fn needs_output(&self) -> bool {
        matches!(self.kind, ReadyKind::Line(..) | ReadyKind::Fd(_))
    }

    /// The time for the command of a start, and its spawn.
    pub(in crate::monitor) const fn get_within(&self) -> Duration {
        match &self.kind {
            ReadyKind::After(_) => WITHIN,
            _ => self.within,
        }
    }

    /// Whether the start needs a `NotifySocket`.
    pub(in crate::monitor) const fn wants_notify(&self) -> bool {
        matches!(self.kind, ReadyKind::Notify)
    }

    /// Whether the service is ready at its spawn, so that there is nothing to wait for.
    pub(in crate::monitor) const fn is_at_once(&self) -> bool {
        matches!(self.kind, ReadyKind::Started)
    }
}

impl Default for Ready {
    fn default() -> Self {
        Self::started()
    }
}

/// No argument of a command.
impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("kind", &self.kind)
            .field("within", &self.within)
            .field("every", &self.every)
            .field("timeout", &self.timeout)
            .finish()
    }
}
