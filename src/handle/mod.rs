//! What a program holds of a child.

mod identity;
pub(crate) mod kill_on_drop;
pub mod producer;
pub(crate) mod sink;
pub(crate) mod stop;
pub(crate) mod stream;
mod terminal;

use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::child::Child;
use crate::child::progress::Phase;
use crate::error::{ResizeError, SignalError, WriteError};
use crate::event::CloseReason;
use crate::port::FdCommand;
use crate::signal::Signal;
use crate::status::ExitStatus;
use crate::winsize::PtySize;

/// A child process: cheap to clone, usable from any thread, and dropping it does nothing.
///
/// A handle that is kept costs no descriptor, unless others of the child's group outlive the child. Writing, closing, pausing and resuming are queued:
/// they return at once, and those for one descriptor run in the order in which they were given.
/// Signals are sent, and a terminal's size is set, by the calling thread, at once: neither waits for what
/// is queued to be written. After the end commands do nothing, or say so where they can fail.
///
/// ```
/// use actix_process::{Command, NoProtocol, Signal};
///
/// # actix::System::new().block_on(async {
/// let process = Command::new("sleep").arg("60").spawn(NoProtocol).await?;
/// process.signal(Signal::TERM)?;
/// let status = process.ended().await;
/// assert_eq!(status.signal(), Some(Signal::TERM));
/// assert!(process.signal(Signal::TERM).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct ProcessHandle {
    child: Arc<Child>,
}

impl ProcessHandle {
    pub(crate) const fn new(child: Arc<Child>) -> Self {
        Self { child }
    }

    pub(crate) const fn child(&self) -> &Arc<Child> {
        &self.child
    }

    /// Queues bytes for the child's standard input.
    ///
    /// The queue has no bound: a program that writes more than a child takes must look after that
    /// itself. It keeps what it is given, so a borrowed slice is copied by the caller:
    /// `write(Bytes::copy_from_slice(slice))`.
    ///
    /// On a terminal that is not raw, more than 4,095 bytes before the end of a line are lost; see
    /// [`Command::pty`](crate::Command::pty).
    ///
    /// # Errors
    ///
    /// [`WriteError::Closed`] after a close from either side, [`WriteError::NotWritable`] if
    /// standard input is no pipe of ours.
    pub fn write(&self, data: impl Into<Bytes>) -> Result<(), WriteError> {
        self.write_to_child(0, data)
    }

    /// Queues pieces for the child's standard input, one after the other, without joining them.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_sequence<I>(&self, pieces: I) -> Result<(), WriteError>
    where
        I: IntoIterator,
        I::Item: Into<Bytes>,
    {
        let pieces: Vec<Bytes> = pieces.into_iter().map(Into::into).collect();
        self.write_command(0, FdCommand::WriteSequence(pieces))
    }

    /// Queues bytes for any descriptor of the child that we write to.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_to_child(&self, fd: i32, data: impl Into<Bytes>) -> Result<(), WriteError> {
        self.write_command(fd, FdCommand::Write(data.into()))
    }

    fn write_command(&self, fd: i32, command: FdCommand) -> Result<(), WriteError> {
        match self.child.port(fd) {
            Some(port) => port.write(command),
            None => Err(WriteError::NotWritable { fd }),
        }
    }

    /// Closes the child's standard input when everything that was queued is written.
    pub fn close_stdin(&self) {
        self.close_child_fd(0);
    }

    /// Stops reading the child's standard output; what was not read is lost, and the child gets
    /// SIGPIPE when it writes on.
    pub fn close_stdout(&self) {
        self.close_child_fd(1);
    }

    /// The same for its standard error.
    pub fn close_stderr(&self) {
        self.close_child_fd(2);
    }

    /// Closes one descriptor: after its queue is written (and its
    /// [producer](Self::register_producer) gone), or at once if we read from it. Closing what is
    /// closed or unknown does nothing.
    ///
    /// Nor does closing one half of a [terminal](crate::Command::pty), which has no halves: write
    /// `\x04` (Ctrl-D) for the end of input, or [`lose_connection`](Self::lose_connection).
    pub fn close_child_fd(&self, fd: i32) {
        match self.child.port(fd) {
            Some(port) if !port.is_terminal() => port.close(CloseReason::ByParent),
            _ => {}
        }
    }

    /// Closes every pipe: those we write when their queues are written, those we read at once, so
    /// that what was not read is lost. The child is not signalled; but a
    /// [terminal](crate::Command::pty) is hung up when what was written to it is, so its
    /// foreground processes get SIGHUP. The kernel throws away then what they had not read yet.
    pub fn lose_connection(&self) {
        for port in self.child.ports() {
            if port.is_terminal() && port.is_output() {
                port.discard();
            } else {
                port.close(CloseReason::ByParent);
            }
        }
    }

    /// Closes every pipe without losing what was written: what the pipes hold now is delivered
    /// first; queues for writing are dropped. The reason is
    /// [`CloseReason::Cut`](crate::CloseReason::Cut).
    ///
    /// For a child that is dead while a descendant that holds its pipes lives on, in
    /// [`process_exited`](crate::ProcessProtocol::process_exited): `ProcessEnded` follows. It is
    /// what [`ended_timeout`](crate::Command::ended_timeout) does at its deadline.
    ///
    /// What a protocol's pipe holds now waits for the protocol as ever: for a paused descriptor until it
    /// is resumed, for one whose window is full until something was handled. What a
    /// [stream](crate::Fd::stream)'s pipe holds goes to the stream at once, beyond its window, whether or
    /// not somebody takes it, and can still be taken after the end. To close without waiting for anybody,
    /// and to lose what was not read, there is [`lose_connection`](Self::lose_connection).
    pub fn cut_connection(&self) {
        self.child.cut();
    }

    /// Drops what is queued for `fd` and closes it; a terminal, by either half, is hung up.
    pub fn abort(&self, fd: i32) {
        if let Some(port) = self.child.port(fd) {
            port.close(CloseReason::Aborted);
        }
    }

    /// Gives the window of the child's terminal another size, before it returns; its foreground
    /// processes get SIGWINCH if it differs.
    ///
    /// # Errors
    ///
    /// [`ResizeError::NoTerminal`] without a [`pty`](crate::Command::pty),
    /// [`ResizeError::Closed`] after a close from either side, [`ResizeError::Failed`] if the kernel
    /// refuses it.
    pub fn resize(&self, size: PtySize) -> Result<(), ResizeError> {
        // Both halves have the same master.
        match self.child.port(0) {
            Some(port) => port.resize(size),
            None => Err(ResizeError::NoTerminal),
        }
    }

    /// Sends a signal to the child.
    ///
    /// # Errors
    ///
    /// [`SignalError::Exited`] once it was reaped: never a signal to a reused pid.
    /// [`SignalError::NotPermitted`] if it runs as a user whom we may not signal, and
    /// [`SignalError::Io`] for whatever else the kernel says.
    pub fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        self.child.live.signal(signal)
    }

    /// Sends a signal to the process group that the child leads, also when the child has exited and
    /// others of the group live; never to another group that has got its number. The child may have
    /// moved to another group since: its old one is meant. With a cgroup
    /// ([`contained`](crate::Command::contained), [`cgroup`](crate::Command::cgroup)) everybody in that
    /// gets it; where there are no pidfds, signals other than SIGKILL do not.
    ///
    /// Before Linux 6.9, and where there are no pidfds, the group of a child that has exited is within
    /// reach until the child has [ended](Self::ended): its zombie is kept until then, and not for a handle
    /// that is kept longer.
    ///
    /// # Errors
    ///
    /// [`SignalError::NotGroupLeader`] if it leads none and has no cgroup (see
    /// [`Command::process_group`](crate::Command::process_group)); [`SignalError::Exited`] once it
    /// has exited and nobody of the group is left. Otherwise as [`signal`](Self::signal), if that is so
    /// of all members.
    pub fn signal_group(&self, signal: Signal) -> Result<(), SignalError> {
        self.child.live.signal_group(signal)
    }

    /// Sends SIGKILL to the child alone; see also [`kill_on_drop`](Self::kill_on_drop).
    ///
    /// True if it was sent. False if the child has exited, which is what the caller wants, or may not be
    /// signalled, which a warning in the log tells: so there is nothing to handle. Code that must know why
    /// sends the [`signal`](Self::signal) itself.
    pub fn kill(&self) -> bool {
        self.child.kill()
    }

    /// Sends SIGTERM now (and SIGCONT, lest a stopped child does not act on it), and SIGKILL after
    /// `grace` if the child is not reaped by then. The child alone: others of its group are left.
    ///
    /// True if the SIGTERM was sent. Otherwise as for [`kill`](Self::kill), and no SIGKILL follows.
    pub fn terminate(&self, grace: Duration) -> bool {
        self.child.terminate(grace)
    }

    /// The same for the process group that the child leads, to its last member, whether or not the
    /// child goes first; and for the child, if it has moved to another group. To learn what came of it,
    /// [`stop`](Self::stop) the child instead.
    ///
    /// True if the SIGTERM was sent to a member at least. False if nobody is left, and, with a warning in
    /// the log, if the child leads no group or none of the members may be signalled; no SIGKILL follows
    /// then. [`signal_group`](Self::signal_group) tells these apart.
    pub fn terminate_group(&self, grace: Duration) -> bool {
        self.child.terminate_group(grace)
    }

    /// Stops reading all descriptors, so that the child blocks when their pipes are full. At most
    /// what is on its way already arrives: nothing, if this is called in
    /// [`connection_made`](crate::ProcessProtocol::connection_made); of a [stream](crate::Fd::stream)
    /// what it holds. A paused descriptor does not notice its end either.
    pub fn pause_producing(&self) {
        self.pause_readers(true);
    }

    /// Reads all descriptors again.
    pub fn resume_producing(&self) {
        self.pause_readers(false);
    }

    fn pause_readers(&self, pause: bool) {
        let ports = self.child.ports().iter();
        for port in ports.filter(|port| port.is_output()) {
            port.send(FdCommand::Pause(pause));
        }
    }

    /// Stops reading one descriptor; nothing happens if we do not read it.
    pub fn pause_child_fd(&self, fd: i32) {
        if let Some(port) = self.child.port(fd) {
            port.send(FdCommand::Pause(true));
        }
    }

    /// Reads one descriptor again.
    pub fn resume_child_fd(&self, fd: i32) {
        if let Some(port) = self.child.port(fd) {
            port.send(FdCommand::Pause(false));
        }
    }

    /// Resolves when `ProcessExited` was queued. For any number of waiters, on any runtime.
    ///
    /// The arbiter where the child's actors live learns of its death: blocking that one's thread on this
    /// future deadlocks.
    ///
    /// A real child is reaped whatever becomes of its System, so its end is always told. Where nobody is
    /// left to tell, the status is [`ExitStatus::Unknown`]: the handle is a
    /// [`TestProcess`](crate::testing::TestProcess)'s, which was dropped, or this process is a copy, by
    /// fork, of the one that spawned the child.
    pub fn exited(&self) -> impl Future<Output = ExitStatus> + Send + use<> {
        let child = Arc::clone(&self.child);
        async move { child.progress.reached(Phase::Exited).await }
    }

    /// Resolves when `ProcessEnded` was queued: the child was reaped and all its pipes are closed.
    ///
    /// **What keeps it waiting**: a descendant that holds a pipe (see
    /// [`ended_timeout`](crate::Command::ended_timeout)); a pipe to the child's standard input, for a child
    /// that reads it to the end (see [`sink`](Self::sink)); a paused descriptor; a
    /// [stream](crate::Fd::stream) that nobody takes; and a protocol that does not handle its events. So a
    /// protocol actor must not wait for it in `ctx.wait`, nor in a handler's future that keeps its first
    /// event: it would wait for itself.
    ///
    /// Where nobody is left to tell, the status is that of [`exited`](Self::exited).
    pub fn ended(&self) -> impl Future<Output = ExitStatus> + Send + use<> {
        let child = Arc::clone(&self.child);
        async move { child.progress.reached(Phase::Ended).await }
    }

    /// How the child ended, or `None` if it was not reaped yet.
    #[must_use]
    pub fn try_status(&self) -> Option<ExitStatus> {
        self.child.progress.status()
    }
}

impl PartialEq for ProcessHandle {
    /// Whether both are handles of the same child.
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for ProcessHandle {}

impl Hash for ProcessHandle {
    /// As `Eq` has it: by [`id`](ProcessHandle::id), which never changes. Clippy's `mutable_key_type` cannot
    /// know that, and warns of a handle that is a key; the id is as good a key.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Debug for ProcessHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessHandle")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("program", &self.program())
            .field("pid", &self.pid())
            .field("spawned_pid", &self.spawned_pid())
            .field("status", &self.try_status())
            .finish()
    }
}
