//! What a program holds of a child.

pub(crate) mod failure;
pub(crate) mod find;
mod identity;
pub(crate) mod kill_on_drop;
pub mod producer;
pub(crate) mod sink;
mod sink_io;
pub(crate) mod stop;
pub(crate) mod stream;
mod stream_io;
pub(crate) mod tail;
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
/// A handle that is kept costs no descriptor, unless other members of the child's group outlive the child.
///
/// Writing, closing, pausing and resuming are queued:
/// the calls return at once, and those for one descriptor run in the order in which they were made.
/// The calling thread itself sends signals and sets a terminal's size, at once: neither waits for what
/// is queued to be written. After the child's end a command does nothing; one that can fail gives an error.
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
    /// The queue has no bound. A program that may write more than its child reads uses a [sink](Self::sink) or a
    /// [producer](Self::register_producer), which wait for the child. The queue owns its bytes, so the caller copies a borrowed
    /// slice: `write(Bytes::copy_from_slice(slice))`.
    ///
    /// On a terminal that is not raw, more than 4,095 bytes before the end of a line are lost; see
    /// [`Command::pty`](crate::Command::pty).
    ///
    /// ```
    /// use actix_process::{Command, Fd, NoProtocol};
    /// use futures::StreamExt;
    ///
    /// # actix::System::new().block_on(async {
    /// let process = Command::new("sort").stdout(Fd::stream()).spawn(NoProtocol).await?;
    /// process.write("b\n")?;
    /// process.write("a\n")?;
    /// process.close_stdin();
    /// let sorted: Vec<_> = process.stdout()?.collect().await;
    /// assert_eq!(sorted.concat(), b"a\nb\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`WriteError::Closed`] after a close from either side, [`WriteError::NotWritable`] if
    /// this program does not write the child's standard input.
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

    /// Queues bytes for any descriptor of the child that this program writes.
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

    /// Stops reading the child's standard error, as [`close_stdout`](Self::close_stdout) does for standard
    /// output.
    pub fn close_stderr(&self) {
        self.close_child_fd(2);
    }

    /// Closes one descriptor. One that this program reads closes at once. One that this program writes closes
    /// when its queue is written and its [producer](Self::register_producer) is unregistered. A descriptor that
    /// is closed or unknown is left alone.
    ///
    /// One half of a [terminal](crate::Command::pty) is left alone too, since a terminal has no halves to close:
    /// write `\x04` (Ctrl-D) for the end of input, or hang up by [`lose_connection`](Self::lose_connection).
    pub fn close_child_fd(&self, fd: i32) {
        match self.child.port(fd) {
            Some(port) if !port.is_terminal() => port.close(CloseReason::ByParent),
            _ => {}
        }
    }

    /// Closes every pipe. The pipes that this program reads close at once, and what was not read is lost. The
    /// pipes that this program writes close when their queues are written. The child gets no signal. But a
    /// [terminal](crate::Command::pty) is hung up when its queue is written: its foreground processes get
    /// SIGHUP, and the kernel throws away what they had not read yet.
    pub fn lose_connection(&self) {
        for port in self.child.ports() {
            if port.is_terminal() && port.is_output() {
                port.discard();
            } else {
                port.close(CloseReason::ByParent);
            }
        }
    }

    /// Closes every pipe without losing what the child wrote: the crate first delivers what the pipes hold now.
    /// It drops the queues for writing. The reason of the closes is
    /// [`CloseReason::Cut`](crate::CloseReason::Cut).
    ///
    /// Call it in [`process_exited`](crate::ProcessProtocol::process_exited), when a descendant may hold the pipes of the dead
    /// child: `ProcessEnded` follows. [`ended_timeout`](crate::Command::ended_timeout) does the same at its deadline.
    ///
    /// What a protocol's pipe holds now waits for the protocol as ever: until a paused descriptor is resumed,
    /// and until a full window has room. What a [stream](crate::Fd::stream)'s pipe holds goes to the stream at
    /// once, beyond its window; it can be taken also after the end. [`lose_connection`](Self::lose_connection)
    /// closes without waiting, and loses what was not read.
    pub fn cut_connection(&self) {
        self.child.cut();
    }

    /// Closes `fd` at once, and drops what is queued for it. For either half of a terminal this hangs the whole
    /// terminal up.
    pub fn abort(&self, fd: i32) {
        if let Some(port) = self.child.port(fd) {
            port.close(CloseReason::Aborted);
        }
    }

    /// Sets the size of the terminal's window before it returns. If the size changes, the terminal's foreground
    /// processes get SIGWINCH.
    ///
    /// # Errors
    ///
    /// [`ResizeError::NoTerminal`] without a [`pty`](crate::Command::pty),
    /// [`ResizeError::Closed`] after a close from either side, [`ResizeError::Failed`] if the kernel
    /// refuses the size.
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
    /// [`SignalError::Exited`] once the child was reaped: no signal goes to a reused pid.
    /// [`SignalError::NotPermitted`] if the child runs as a user whose processes this program may not signal.
    /// [`SignalError::Io`] if the kernel refuses the signal for another reason.
    pub fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        self.child.live.signal(signal)
    }

    /// Sends a signal to the process group that the child leads, also when the child has exited and other
    /// members live, and never to another group that has got the same number. If the child has moved to another
    /// group, the signal goes to the group that it led first. With a cgroup
    /// ([`contained`](crate::Command::contained), [`cgroup`](crate::Command::cgroup)) the signal goes to all
    /// processes in the cgroup; where there are no pidfds, only SIGKILL reaches them.
    ///
    /// Before Linux 6.9, and where there are no pidfds, the group of a child that has exited can be signalled
    /// until the child has [ended](Self::ended): the zombie is kept until then, and no longer for the sake of a handle.
    ///
    /// ```
    /// use actix_process::{Command, NoProtocol, Signal};
    ///
    /// # actix::System::new().block_on(async {
    /// let script = Command::new("sh").args(["-c", "sleep 60 & wait"]).process_group(0);
    /// let process = script.spawn(NoProtocol).await?;
    /// process.signal_group(Signal::KILL)?;
    /// assert_eq!(process.ended().await.signal(), Some(Signal::KILL));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`SignalError::NotGroupLeader`] if the child leads no group and has no cgroup (see
    /// [`Command::process_group`](crate::Command::process_group)); [`SignalError::Exited`] once the child
    /// has exited and no member is left. Otherwise as [`signal`](Self::signal), if no member could be signalled.
    pub fn signal_group(&self, signal: Signal) -> Result<(), SignalError> {
        self.child.live.signal_group(signal)
    }

    /// Sends SIGKILL to the child alone; see also [`kill_on_drop`](Self::kill_on_drop).
    ///
    /// True if the signal was sent. False if the child has exited, which is what the caller wants, or if this program may not
    /// signal it, which the crate logs as a warning. Code that must know why calls [`signal`](Self::signal).
    pub fn kill(&self) -> bool {
        self.child.kill()
    }

    /// Sends SIGTERM now (and SIGCONT, since a stopped child would not act on SIGTERM), and SIGKILL after
    /// `grace` if the child is not reaped by then. Other members of the child's group get no signal.
    ///
    /// True if the SIGTERM was sent. Otherwise as for [`kill`](Self::kill), and no SIGKILL follows.
    pub fn terminate(&self, grace: Duration) -> bool {
        self.child.terminate(grace)
    }

    /// As [`terminate`](Self::terminate), but for the process group that the child leads, to its last member,
    /// whether or not the child dies first; and for the child, if it has moved to another group.
    /// [`stop`](Self::stop) does the same and tells the result.
    ///
    /// True if the SIGTERM was sent to at least one member. False if no member is left, and, with a warning in
    /// the log, if the child leads no group or this program may signal none of the members. No SIGKILL follows
    /// then. [`signal_group`](Self::signal_group) tells these apart.
    pub fn terminate_group(&self, grace: Duration) -> bool {
        self.child.terminate_group(grace)
    }

    /// Stops reading all descriptors, so that the child blocks when their pipes are full. Only data
    /// that is on its way already arrives: none, if this is called in
    /// [`connection_made`](crate::ProcessProtocol::connection_made). A [stream](crate::Fd::stream) still gives
    /// what it holds. While a descriptor is paused, its close is not noticed.
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

    /// Stops reading one descriptor. Nothing happens to a descriptor that this program does not read.
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
    /// The arbiter where the child's actors live reaps the child: to block that arbiter's thread on this
    /// future is a deadlock.
    ///
    /// A child is reaped whatever becomes of its System, so the future always resolves. It gives
    /// [`ExitStatus::Unknown`] where the end cannot be known: the handle's
    /// [`TestProcess`](crate::testing::TestProcess) was dropped, or this process is a copy, by
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
    /// [stream](crate::Fd::stream) that is not taken; and a protocol that does not handle its events. So a
    /// protocol actor must not wait for it in `ctx.wait`, nor in a handler's future that keeps its first
    /// event: it would wait for itself.
    ///
    /// Where the end cannot be known, the status is [`ExitStatus::Unknown`], as for [`exited`](Self::exited).
    pub fn ended(&self) -> impl Future<Output = ExitStatus> + Send + use<> {
        let child = Arc::clone(&self.child);
        async move { child.progress.reached(Phase::Ended).await }
    }

    /// Whether the child was stopped because the time of its command's [`timeout`](crate::Command::timeout) was over. False of a child
    /// that had exited by then, or has no timeout.
    #[must_use]
    pub fn has_timed_out(&self) -> bool {
        self.child.has_timed_out()
    }

    /// How the child ended, or `None` before it was reaped.
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
