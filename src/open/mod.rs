//! A child whose input and output the caller gets as a sink and streams, without a protocol: `Command::open`.

pub(crate) mod events;
pub(crate) mod input;
pub(crate) mod io;

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::command::Command;
use crate::command::fd_map::{FdMap, Kind};
use crate::command::group::{GroupChoice, grouped};
use crate::error::{ResizeError, SpawnError};
use crate::handle::ProcessHandle;
use crate::handle::kill_on_drop::KillOnDrop;
use crate::handle::sink::FdSink;
use crate::handle::stop::{Stopped, Unkillable};
use crate::handle::stream::FdStream;
use crate::ladder::Ladder;
use crate::port::Port;
use crate::protocol::into::NoProtocol;
use crate::status::ExitStatus;
use crate::supervisor::spawning::Spawning;
use crate::winsize::PtySize;

use self::io::Io;

impl Command {
    /// Spawns the child and gives its standard input as a sink, and its standard output and error as streams.
    ///
    /// ```
    /// use actix_process::Command;
    /// use futures::{SinkExt, StreamExt};
    ///
    /// # actix::System::new().block_on(async {
    /// let mut child = Command::new("sed").args(["-u", "s/^/> /"]).open().await?;
    /// child.stdin.send("hello\n".into()).await?;
    /// let mut lines = child.stdout.lines(1024);
    /// assert_eq!(lines.next().await.unwrap()?, "> hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// Descriptors that the command maps to something else than a pipe of this program (a file, `/dev/null`,
    /// [`Fd::same_as`](crate::Fd::same_as)) stay what they are: see [`Opened`]. On a [terminal](Self::pty) the sink is what is
    /// typed, and the stream of standard output what is shown. [`Fd::lines`](crate::Fd::lines) becomes a stream of bytes.
    ///
    /// The child leads a process group of its own, unless the command says otherwise, so that the drop of [`Opened`] reaches
    /// all that it starts. When the child exits, the others of its group are killed ([`on_leftovers`](Self::on_leftovers) says
    /// otherwise). A Ctrl-C at this program's terminal does not reach that group: see [`Open::foreground`], and the
    /// [caveats](crate#caveats).
    ///
    /// The spawn is as that of [`spawn`](Self::spawn): where the child belongs is settled by this call, no arbiter is
    /// needed, and dropping the future cancels it.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    pub fn open(&self) -> Open {
        Open {
            command: self.clone(),
            group: GroupChoice::Own,
        }
    }
}

/// A child that is to be opened, by [`Command::open`]: awaited, it gives [`Opened`].
#[derive(Debug, Clone)]
#[must_use = "a child is not spawned unless this is awaited"]
pub struct Open {
    command: Command,
    group: GroupChoice,
}

impl Open {
    /// Runs the child in this program's process group: for a program that is to get the Ctrl-C of this program's terminal, or
    /// asks for a password there. The kill by a drop reaches the child alone then, and what the child leaves runs on.
    ///
    /// ```
    /// use actix_process::Command;
    ///
    /// # actix::System::new().block_on(async {
    /// let child = Command::new("cat").open().foreground().await?;
    /// assert!(child.wait().await.success());
    /// # Ok::<(), actix_process::SpawnError>(()) }).unwrap();
    /// ```
    pub const fn foreground(mut self) -> Self {
        self.group = GroupChoice::Ours;
        self
    }
}

impl IntoFuture for Open {
    type Output = Result<Opened, SpawnError>;
    type IntoFuture = Opening;

    fn into_future(self) -> Opening {
        let fds = opened_fds(self.command.fd_map());
        let command = self.command.fds(fds).killed_if_untaken().streamed();
        let leads = command.spec().process_group.is_some();
        let command = match self.group {
            GroupChoice::Own if leads => grouped(command, GroupChoice::Fitting),
            group => grouped(command, group),
        };
        Opening {
            spawning: command.spawn(NoProtocol),
        }
    }
}

/// 0 written, 1 and 2 read as streams, where they are pipes of this program.
fn opened_fds(map: &FdMap) -> FdMap {
    let opened = map.iter().map(|(n, fd)| {
        let mut fd = fd.clone();
        if matches!(n, 1 | 2) && matches!(fd.kind, Kind::Read | Kind::Lines(_)) {
            fd.kind = Kind::Stream;
        }
        (n, fd)
    });
    opened.collect()
}

/// The future of [`Open`]. Dropping it cancels the spawn. Polled after its result it is pending for ever.
#[must_use = "a child is not spawned unless this is awaited"]
pub struct Opening {
    spawning: Spawning,
}

impl Future for Opening {
    type Output = Result<Opened, SpawnError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let spawned = ready!(Pin::new(&mut self.spawning).poll(cx));
        Poll::Ready(spawned.map(Opened::new))
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Opening").field(&self.spawning).finish()
    }
}

/// A child and its standard descriptors; made by [`Command::open`].
///
/// **When the last of it is dropped, the child and all that belongs to it are killed**: this value with its sink and
/// streams, also those that were taken out of it, by themselves or within an adapter ([`FdStream::lines`], [`Io`]). So code
/// that has taken one of them keeps the child alive as long as it has it. The [handle](Self::process) is none of them, since
/// its clones may be anywhere. [`detach`](Self::detach) lets the child live on.
///
/// - `stdin` is a `Sink<Bytes>` and an `AsyncWrite`. Its drop closes the child's standard input when all that was queued is written.
/// - `stdout` and `stderr` are `Stream<Item = Bytes>`, `AsyncRead` and `AsyncBufRead`. Their drop closes the descriptor; a child
///   that writes on gets SIGPIPE. One that is kept and not read holds up the child when its window is full.
///
/// A part that the command maps to something else is absent: the stream has ended, the sink refuses to write, and
/// [`FdStream::present`] and [`FdSink::present`] give `None`. The standard error of a terminal is absent, unless the
/// command sets it apart. Other descriptors are where the [handle](Self::process) has them
/// ([`take_stream`](ProcessHandle::take_stream), [`sink`](ProcessHandle::sink)).
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "dropping it kills the child"]
pub struct Opened {
    /// The child, to signal it and to wait for its end. Dropping the handle does nothing.
    pub process: ProcessHandle,
    /// Its standard output.
    pub stdout: FdStream,
    /// Its standard error.
    pub stderr: FdStream,
    hold: Arc<KillOnDrop>,
    /// Its standard input.
    // Last, so that its drop is the last one, and kills the child before it closes the input.
    pub stdin: FdSink,
}

impl Opened {
    fn new(process: ProcessHandle) -> Self {
        let hold = Arc::new(process.clone().kill_and_cut_on_drop());
        Self {
            stdin: process.sink_or_none(0).close_on_drop().held_by(&hold),
            stdout: process.stream_or_none(1).held_by(&hold),
            stderr: process.stream_or_none(2).held_by(&hold),
            process,
            hold,
        }
    }

    /// Lets the child live on when all of this is dropped. The drops of the sink and the streams close their descriptors as
    /// before, and the child's [`on_orphaned`](Command::on_orphaned) holds as ever.
    ///
    /// ```
    /// use actix_process::Command;
    ///
    /// # actix::System::new().block_on(async {
    /// let child = Command::new("cat").open().await?.detach();
    /// let process = child.process.clone();
    /// drop(child);
    /// // It was not killed: it has read the end of its input.
    /// assert!(process.ended().await.success());
    /// # Ok::<(), actix_process::SpawnError>(()) }).unwrap();
    /// ```
    pub fn detach(self) -> Self {
        self.hold.let_live();
        self
    }

    /// The child, and its parts, of which each holds what kills it: the last drop does.
    pub(crate) fn into_parts(self) -> (ProcessHandle, FdSink, [FdStream; 2], Arc<KillOnDrop>) {
        let outputs = [self.stdout, self.stderr];
        (self.process, self.stdin, outputs, self.hold)
    }

    /// The child's input and output as one `AsyncRead + AsyncWrite`, for code that takes a transport. `self` goes into it; take
    /// [`stderr`](Self::stderr) out before, or map it, to see what the child complains of.
    ///
    /// ```
    /// use actix_process::Command;
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// # actix::System::new().block_on(async {
    /// let mut io = Command::new("cat").open().await?.io();
    /// io.write_all(b"ping").await?;
    /// let mut answer = [0; 4];
    /// io.read_exact(&mut answer).await?;
    /// assert_eq!(&answer, b"ping");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn io(self) -> Io {
        Io::new(self.process, self.stdin, self.stdout, self.stderr)
    }

    /// Sets the size of the child's terminal; as [`ProcessHandle::resize`].
    ///
    /// # Errors
    ///
    /// As [`ProcessHandle::resize`].
    pub fn resize(&self, size: PtySize) -> Result<(), ResizeError> {
        self.process.resize(size)
    }

    /// Closes the child's standard input, reads its output to the end and throws it away, and waits until the child has
    /// [ended](ProcessHandle::ended). Dropping the future kills the child.
    ///
    /// ```
    /// use actix_process::Command;
    ///
    /// # actix::System::new().block_on(async {
    /// let mut child = Command::new("seq").arg("100000").open().await?;
    /// let first = child.stdout.find("\n", std::time::Duration::from_secs(10)).await?;
    /// assert_eq!(first, "1");
    /// assert!(child.wait().await.success());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub async fn wait(self) -> ExitStatus {
        let Self {
            process,
            stdin,
            stdout,
            stderr,
            hold,
        } = self;
        // A terminal does not close: the end of its input is typed.
        if let Some(byte) = process.child().port(0).and_then(Port::end_of_input) {
            let _ = process.write(byte);
        }
        drop(stdin);
        let mut outputs = [stdout, stderr];
        poll_fn(|cx| {
            let [stdout, stderr] = outputs.each_mut().map(|output| poll_drained(output, cx));
            ready!(stdout);
            stderr
        })
        .await;
        let status = process.ended().await;
        // What is left is left by the command's own policy.
        hold.let_live();
        status
    }

    /// Stops the child by `ladder`, as [`ProcessHandle::stop`] does; what it writes meanwhile is thrown away, so that it is
    /// not held up. Dropping the future kills the child.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use actix_process::{Command, Ladder, StoppedBy};
    ///
    /// # actix::System::new().block_on(async {
    /// let child = Command::new("cat").open().await?;
    /// let time = Duration::from_secs(10);
    /// let stopped = child.stop(Ladder::eof(time).term(time).kill()).await?;
    /// assert_eq!(stopped.by, StoppedBy::Eof);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`Unkillable`] as for [`ProcessHandle::stop`].
    pub async fn stop(self, ladder: Ladder) -> Result<Stopped, Unkillable> {
        let mut stopping = Box::pin(self.process.stop(ladder));
        let mut outputs = [self.stdout, self.stderr];
        let stopped = poll_fn(|cx| {
            for output in &mut outputs {
                let _ = poll_drained(output, cx);
            }
            stopping.as_mut().poll(cx)
        })
        .await;
        drop(self.hold);
        stopped
    }
}

/// Throws away what comes. Ready at the end.
fn poll_drained(output: &mut FdStream, cx: &mut Context<'_>) -> Poll<()> {
    while ready!(Pin::new(&mut *output).poll_next(cx)).is_some() {}
    Poll::Ready(())
}
