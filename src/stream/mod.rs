//! A body in, a child, a body out: `Command::stream`.

pub(crate) mod failure;
mod idle;
pub(crate) mod lines;
pub(crate) mod output;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::command::Command;
use crate::command::fd_map::Fd;
use crate::error::SpawnError;
use crate::ladder::Ladder;
use crate::open::input::{BytesInput, IntoInput};

use crate::port::Port;

use self::output::OutputStream;

/// How much of a child's standard error an error shows.
const TAIL: usize = 4 * 1024;

impl Command {
    /// The child as a filter: an input goes in, and its output comes out as a stream of results, for the body of a response.
    ///
    /// ```
    /// use actix_process::Command;
    /// use futures::TryStreamExt;
    ///
    /// # actix::System::new().block_on(async {
    /// let upper = Command::new("tr").args(["a-z", "A-Z"]).stream().input("hello").start().await?;
    /// let body: Vec<_> = upper.try_collect().await?;
    /// assert_eq!(body.concat(), b"HELLO");
    ///
    /// let failing = Command::new("sh").args(["-c", "echo half; echo oops >&2; exit 3"]);
    /// let failure = failing.stream().start().await?.try_collect::<Vec<_>>().await.unwrap_err();
    /// assert_eq!(failure.to_string(), "`sh` exited with code 3: oops");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// What is on its way is bounded in both directions: by the [window](Self::window) and the pipe, and by the 64 KiB of a
    /// [sink](crate::ProcessHandle::sink). A client that is slow holds up the child, and the child its input.
    ///
    /// The child leads a process group of its own, unless the command says otherwise, and all of it is killed when the
    /// stream drops, before anything that the child could take for the end of its input. In actix-web that is when the client is
    /// gone. While the child is silent actix-web notices that only with `HttpServer::h1_allow_half_closed(false)`: otherwise the
    /// client may have ended its sending alone. A client that is gone while bytes of it wait for a child that takes none is not
    /// noticed; there is [`idle_timeout`](StreamCommand::idle_timeout).
    ///
    /// When the child exits, what is left of its group is killed ([`on_leftovers`](Self::on_leftovers) says otherwise). A descendant
    /// that has left the group and holds the child's output keeps the stream open; one that holds other pipes of the child does not.
    ///
    /// A Ctrl-C at this program's terminal does not reach the child's group: see the [caveats](crate#caveats).
    pub fn stream(&self) -> StreamCommand {
        StreamCommand {
            command: self.clone(),
            input: BytesInput::NOTHING,
            has_input: false,
            options: Options {
                timeout: None,
                idle_timeout: None,
                grace: Duration::from_secs(5),
                ok_codes: vec![0],
                stderr: Stderr::Tail,
            },
        }
    }
}

/// A child whose output is to be streamed; made by [`Command::stream`]. [`start`](Self::start) spawns it.
#[must_use = "a child is not spawned unless it is started"]
pub struct StreamCommand<P = BytesInput> {
    command: Command,
    input: P,
    has_input: bool,
    options: Options,
}

struct Options {
    timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    grace: Duration,
    ok_codes: Vec<i32>,
    stderr: Stderr,
}

type OnStderr = Box<dyn FnMut(&[u8]) + Send>;

/// Where the child's standard error goes.
enum Stderr {
    Tail,
    Told(OnStderr),
    Merged,
}

impl<P> StreamCommand<P> {
    /// What the child reads: bytes, or a stream of them such as a request's body (a `Stream` of `Result`s). See [`IntoInput`].
    ///
    /// A stream is asked for a piece when the child has taken the one before, and only while the output is polled. When it ends the child's
    /// standard input is closed. When it gives an error the child is killed, and the output ends in
    /// [`StreamFailure::Input`](crate::StreamFailure::Input). A child that stops reading early (`head`) is no failure; its status decides.
    /// Without this the child reads `/dev/null`, unless the command says otherwise.
    pub fn input<Kind, I: IntoInput<Kind>>(self, input: I) -> StreamCommand<I::Pieces> {
        StreamCommand {
            command: self.command,
            input: input.into_pieces(),
            has_input: true,
            options: self.options,
        }
    }

    /// Ends the stream in [`StreamFailure::TimedOut`](crate::StreamFailure::TimedOut) when it takes longer than this from its start, a slow
    /// reader's time included, and terminates the child and its group: SIGTERM, [`grace`](Self::grace), SIGKILL. The child is terminated
    /// in time also when nobody polls the stream.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Ends the stream in [`StreamFailure::Idle`](crate::StreamFailure::Idle) when the child has taken no input and given no output, to
    /// standard error neither, for so long, and terminates it. Input is taken when it is in the child's pipe: of a child that hangs while its input
    /// trickles in that is so until the pipe (64 KiB) is full; [`timeout`](Self::timeout) bounds it. Only the time in which the output is waited for counts: a client that is slow to take what is there
    /// makes no child idle.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use actix_process::{Command, StreamFailure};
    /// use futures::TryStreamExt;
    ///
    /// # actix::System::new().block_on(async {
    /// let silent = Command::new("sleep").arg("60").stream().idle_timeout(Duration::from_millis(50));
    /// let failure = silent.start().await?.try_collect::<Vec<_>>().await.unwrap_err();
    /// assert!(matches!(failure, StreamFailure::Idle { .. }));
    /// assert_eq!(failure.to_string(), "`sleep` did nothing for 50ms");
    /// # Ok::<(), actix_process::SpawnError>(()) }).unwrap();
    /// ```
    pub const fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.options.idle_timeout = Some(timeout);
        self
    }

    /// How long the child has from SIGTERM to SIGKILL after a timeout; 5 seconds unless set.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// The exit codes that are a success; 0 alone unless set, and only if it is among them otherwise. A signal never is a success.
    ///
    /// ```
    /// use actix_process::Command;
    /// use futures::TryStreamExt;
    ///
    /// # actix::System::new().block_on(async {
    /// // `grep` exits with code 1 when it has found nothing.
    /// let found = Command::new("grep").arg("x").stream().input("a\nb\n").ok_codes([0, 1]);
    /// assert!(found.start().await?.try_collect::<Vec<_>>().await?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn ok_codes(mut self, codes: impl IntoIterator<Item = i32>) -> Self {
        self.options.ok_codes = codes.into_iter().collect();
        self
    }

    /// Gives what the child writes to its standard error to `told`, as it comes and in the pieces in which it is read, while the
    /// output is polled. Without this the last 4 KiB are kept, for the [failure](crate::StreamFailure), and the rest is thrown away.
    ///
    /// ```
    /// use actix_process::Command;
    /// use futures::TryStreamExt;
    ///
    /// # actix::System::new().block_on(async {
    /// let script = Command::new("sh").args(["-c", "echo working >&2; echo done"]);
    /// let output = script.stream().on_stderr(|said| eprint!("{}", String::from_utf8_lossy(said)));
    /// assert_eq!(output.start().await?.try_collect::<Vec<_>>().await?.concat(), b"done\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn on_stderr(mut self, told: impl FnMut(&[u8]) + Send + 'static) -> Self {
        self.options.stderr = Stderr::Told(Box::new(told));
        self
    }

    /// Puts what the child writes to its standard error into the output, in the order in which the child writes: `2>&1`. A
    /// [failure](crate::StreamFailure) has none of it then.
    pub fn merge_stderr(mut self) -> Self {
        self.options.stderr = Stderr::Merged;
        self
    }

    /// The child's descriptors.
    fn prepared(&self) -> Command {
        let mut command = self.command.clone();
        let is_pipe =
            |command: &Command, n, is: fn(&Fd) -> bool| command.fd_map().get(n).is_none_or(is);
        if self.has_input {
            command = command.stdin(Fd::write());
        } else if is_pipe(&command, 0, Fd::is_write) {
            command = command.stdin(Fd::null());
        }
        match self.options.stderr {
            Stderr::Merged => command.stderr(Fd::same_as(1)),
            Stderr::Tail if is_pipe(&command, 2, Fd::is_read) => command.stderr(Fd::tail(TAIL)),
            Stderr::Told(_) if is_pipe(&command, 2, Fd::is_read) => command.stderr(Fd::read()),
            _ => command,
        }
    }
}

impl<P> StreamCommand<P>
where
    P: futures_core::Stream<Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>> + Unpin,
{
    /// Spawns the child. Dropping the future cancels the spawn.
    ///
    /// # Errors
    ///
    /// As [`Command::spawn`]: nothing was started, and no input was taken.
    pub async fn start(self) -> Result<OutputStream<P>, SpawnError> {
        let opened = self.prepared().open().await?;
        // A terminal has no end of input that is closed: it is typed.
        if !self.has_input
            && let Some(byte) = opened.process.child().port(0).and_then(Port::end_of_input)
        {
            let _ = opened.process.write(byte);
        }
        Ok(OutputStream::new(opened, self.input, self.options))
    }
}

impl Options {
    fn ladder(&self) -> Ladder {
        Ladder::terminate(self.grace)
    }
}

impl<P> fmt::Debug for StreamCommand<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamCommand")
            .field("command", &self.command)
            .field("timeout", &self.options.timeout)
            .field("idle_timeout", &self.options.idle_timeout)
            .finish_non_exhaustive()
    }
}
