//! What the terminal of a child shall be.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use crate::port::kept::Keep;
use crate::sync::lock;
use crate::sys;
use crate::sys::tty::PtyEnds;

pub use crate::winsize::PtySize;

impl PtySize {
    /// The size of the terminal that is open as `terminal`: your own standard input, say.
    ///
    /// # Errors
    ///
    /// `ENOTTY` if `terminal` is no terminal.
    pub fn of(terminal: impl AsFd) -> io::Result<Self> {
        sys::tty::size(terminal.as_fd())
    }
}

/// The terminal of a child, for [`Command::pty`](crate::Command::pty): a new one, or one that is
/// given.
///
/// ```
/// use actix_process::{Command, Pty, PtySize};
///
/// let password = Command::new("sudo").args(["-S", "id"]).pty(Pty::new(PtySize::new(24, 80)).echo(false));
/// let keys = Command::new("vi").pty(Pty::new(PtySize::new(24, 80)).raw(true));
/// let plain = Command::new("python3").pty(PtySize::new(24, 80));
/// # drop((password, keys, plain));
/// ```
#[derive(Debug, Clone)]
#[must_use = "a terminal does nothing until a command with it is spawned"]
pub struct Pty {
    pub(crate) size: Option<PtySize>,
    pub(crate) echo: Option<bool>,
    pub(crate) raw: bool,
    pub(crate) stream: bool,
    /// So much of its output is kept, for a helper.
    pub(crate) kept: Option<Keep>,
    /// In place of the command's.
    pub(crate) window: Option<usize>,
    given: Option<Arc<Mutex<Option<PtyEnds>>>>,
}

impl Pty {
    /// A new terminal with a window of this size, in the kernel's usual modes and IUTF8: it echoes, works
    /// by lines, makes signals of Ctrl-C and Ctrl-\, writes CR LF for a newline, and erases a whole
    /// character of UTF-8. A line holds 4,095 bytes and its end; the kernel drops what is written beyond
    /// that. [`raw`](Self::raw) has no lines.
    pub const fn new(size: PtySize) -> Self {
        Self {
            size: Some(size),
            echo: None,
            raw: false,
            stream: false,
            kept: None,
            window: None,
            given: None,
        }
    }

    /// A terminal that exists already, by both its ends. The first spawn takes them, whether or not it succeeds: the
    /// parent closes the slave when the child has it, and the master with the child's
    /// pipes. The master is made non-blocking and the slave blocking, for every duplicate too. Size and modes stay as
    /// they are unless set.
    ///
    /// Ends that do not belong together, and a terminal that controls a session already, make the
    /// spawn fail at [`SpawnStep::Pty`](crate::SpawnStep::Pty). A process that keeps a duplicate of the slave
    /// holds up the end of the output.
    pub fn from_ends(master: OwnedFd, slave: OwnedFd) -> Self {
        let ends = PtyEnds { master, slave };
        Self {
            size: None,
            echo: None,
            raw: false,
            stream: false,
            kept: None,
            window: None,
            given: Some(Arc::new(Mutex::new(Some(ends)))),
        }
    }

    /// The window's size when the child starts.
    pub const fn size(mut self, size: PtySize) -> Self {
        self.size = Some(size);
        self
    }

    /// Whether what is written to the child is echoed to its output. The child may change this mode later.
    pub const fn echo(mut self, echo: bool) -> Self {
        self.echo = Some(echo);
        self
    }

    /// Whether bytes pass as they are in both directions: no lines, no echo (unless [`echo`](Self::echo) asks
    /// for it), no signals, no CR LF. The child may change these modes later.
    pub const fn raw(mut self, raw: bool) -> Self {
        self.raw = raw;
        self
    }

    /// Makes the terminal's output a stream, not callbacks: [`ProcessHandle::stdout`](crate::ProcessHandle::stdout) gives it,
    /// and the conditions are those of [`Fd::stream`](crate::Fd::stream).
    /// [`ProcessHandle::stdin`](crate::ProcessHandle::stdin) is a sink for what is typed.
    ///
    /// No half of a terminal closes alone. When the stream is dropped, the crate reads on and throws the output away, and the
    /// program can still write to the child. [`lose_connection`](crate::ProcessHandle::lose_connection) hangs the terminal up.
    ///
    /// ```
    /// use actix_process::{Command, NoProtocol, Pty, PtySize};
    /// use futures::{SinkExt, StreamExt};
    ///
    /// # actix::System::new().block_on(async {
    /// let terminal = Pty::new(PtySize::new(24, 80)).echo(false).stream();
    /// let process = Command::new("cat").pty(terminal).spawn(NoProtocol).await?;
    /// let (mut keys, mut lines) = (process.stdin()?, process.stdout()?.lines(1024));
    /// keys.send("hello\n".into()).await?;
    /// assert_eq!(lines.next().await.unwrap()?, "hello");
    /// keys.send("\x04".into()).await?;
    /// assert!(lines.next().await.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub const fn stream(mut self) -> Self {
        self.stream = true;
        self
    }

    /// How many bytes of the terminal's output may be on their way to the protocol, or wait in its stream,
    /// before its reader stops. Fewer than 4096 count as 4096; unless set, the terminal has the
    /// [`Command::window`](crate::Command::window).
    pub const fn window(mut self, bytes: usize) -> Self {
        self.window = Some(bytes);
        self
    }

    pub(crate) const fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// Takes the ends out that were given; `None` if there were none, or an earlier spawn took them.
    pub(crate) fn take(&self) -> Option<PtyEnds> {
        lock(self.given.as_ref()?).take()
    }
}

impl From<PtySize> for Pty {
    fn from(size: PtySize) -> Self {
        Self::new(size)
    }
}
