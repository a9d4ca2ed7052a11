//! The map of a child's descriptors.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use crate::port::kept::Keep;
use crate::sync::lock;
use crate::sys;

/// What a descriptor of a child leads to.
///
/// A [`Command`](crate::Command) takes files, sockets (listening ones too), pipe ends of this program, and the ends of a
/// child of [`std::process`] as they are: they become an `Fd` by [`From`], and belong to the child alone. The first spawn takes
/// such a descriptor, whether or not it succeeds, and closes it in the parent; a second spawn fails at
/// [`SpawnStep::Invalid`](crate::SpawnStep::Invalid). Clones of such an `Fd` are
/// the same descriptor: within a command they may stand for several numbers.
///
/// The spawn makes a descriptor that is given away blocking, as programs expect. That
/// changes the open file, so also a duplicate that this program keeps (`try_clone`).
///
/// ```
/// use actix_process::{Command, Fd};
///
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("actix-process-fd-{}", std::process::id()));
/// let log = std::fs::File::create(&path)?;
/// let make = Command::new("make").stdin(Fd::null()).stdout(log);
/// # drop(make);
/// # std::fs::remove_file(path)
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Fd {
    pub(crate) kind: Kind,
    /// What [`Fd::window`] was given.
    pub(crate) window: Option<usize>,
    /// It is a socket of [`Command::listen_fds`](crate::Command::listen_fds), which is called so.
    pub(crate) socket_name: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Read,
    /// With the most bytes of a line.
    Lines(usize),
    Stream,
    /// With the most bytes that are kept.
    Tail(usize),
    /// Read, and so much of it kept, for a helper.
    Kept(Keep),
    Write,
    Inherit(i32),
    Moved(Arc<Mutex<Option<OwnedFd>>>),
    Shared(Arc<OwnedFd>),
    Null,
    /// What this other descriptor of the child is.
    SameAs(i32),
    /// The terminal of the child's [`Pty`](crate::Pty).
    Terminal,
}

impl Fd {
    /// A pipe that the child writes and the parent reads: its data goes to the protocol.
    #[must_use]
    pub const fn read() -> Self {
        Self::new(Kind::Read)
    }

    /// A pipe that the child writes and the parent reads line by line: each line goes to the protocol's
    /// [`line_received`](crate::ProcessProtocol::line_received), for every descriptor, 1 and 2 too, and nothing to
    /// [`child_data_received`](crate::ProcessProtocol::child_data_received).
    ///
    /// `max` is the most bytes of a line without its newline, at least 1; a carriage return before the newline
    /// counts, but is no part of the text. A longer line comes in pieces of `max` bytes, and one
    /// with the rest. A piece that another one follows has the end [`LineEnd::Cut`](crate::LineEnd::Cut),
    /// and the next piece [continues](crate::Line::continues) it. So no byte is lost, and no
    /// more than `max` bytes wait for a newline, besides the [`window`](Self::window). When the
    /// descriptor closes in the middle of a line, the unfinished line comes with
    /// [`LineEnd::Closed`](crate::LineEnd::Closed) before the close, unless this side closes the descriptor.
    ///
    /// [`FdStream::lines`](crate::FdStream::lines) gives `String`s, so it has an error in
    /// place of a line that is too long, or is not UTF-8.
    ///
    /// Each line is a message of its own: between two of them the actor may stop, or wait by `ctx.wait`.
    /// The text is a slice of what was read, and is not copied, unless the line came in several reads.
    ///
    /// ```
    /// use actix::prelude::*;
    /// use actix_process::{Command, Fd, Line, ProcessHandle, ProcessProtocol, process_protocol};
    ///
    /// struct Numbers(u64);
    /// impl Actor for Numbers {
    ///     type Context = Context<Self>;
    /// }
    /// impl ProcessProtocol for Numbers {
    ///     fn line_received(&mut self, process: &ProcessHandle, _: i32, line: Line, _: &mut Context<Self>) {
    ///         match line.to_string_lossy().parse::<u64>() {
    ///             Ok(number) if line.is_whole() => self.0 += number,
    ///             _ => process.close_stdout(),
    ///         }
    ///     }
    ///     fn process_ended(&mut self, _: &ProcessHandle, _: actix_process::ExitStatus, _: &mut Context<Self>) {
    ///         assert_eq!(self.0, 55);
    ///     }
    /// }
    /// process_protocol!(Numbers);
    ///
    /// # System::new().block_on(async {
    /// let seq = Command::new("seq").arg("10").stdout(Fd::lines(1024));
    /// assert!(seq.spawn(Numbers(0).start()).await?.ended().await.success());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[must_use]
    pub const fn lines(max: usize) -> Self {
        Self::new(Kind::Lines(max))
    }

    /// A pipe that the child writes and the parent reads as a stream:
    /// [`ProcessHandle::take_stream`](crate::ProcessHandle::take_stream) gives it. The protocol gets only the close.
    ///
    /// The stream holds up to its [`window`](Self::window) and 64 pieces before it is taken. A
    /// child that writes more blocks, and `ended()` waits, until the stream is taken and read, or dropped, or cut by
    /// [`cut_connection`](crate::ProcessHandle::cut_connection) or the
    /// [`ended_timeout`](crate::Command::ended_timeout). A cut puts what the pipe holds into the stream,
    /// beyond its window, so nothing that was written before is lost.
    #[must_use]
    pub const fn stream() -> Self {
        Self::new(Kind::Stream)
    }

    /// A pipe that the parent writes and the child reads.
    #[must_use]
    pub const fn write() -> Self {
        Self::new(Kind::Write)
    }

    /// The parent's descriptor `n`, of any kind, as it is at the spawn. It stays
    /// open and unaltered in the parent. It may be close-on-exec.
    ///
    /// Parent and child share one open file. If the parent has made it non-blocking, it is so for the child, and
    /// most programs fail with `EAGAIN` then. The child's changes hold for the parent too.
    #[must_use]
    pub const fn inherit(n: i32) -> Self {
        Self::new(Kind::Inherit(n))
    }

    /// A descriptor that many spawns may use. It stays open in the parent as long as the `Arc` lives, of which this `Fd`
    /// holds a reference: a pipe's reader sees no end before.
    ///
    /// The child gets it as it is. Clear `O_NONBLOCK` before: most programs fail with `EAGAIN` otherwise.
    #[must_use]
    pub const fn share(fd: Arc<OwnedFd>) -> Self {
        Self::new(Kind::Shared(fd))
    }

    /// `/dev/null`, for reading and writing.
    #[must_use]
    pub const fn null() -> Self {
        Self::new(Kind::Null)
    }

    /// The same open file as the child's own descriptor `n`, as by `2>&1` in a shell:
    /// what the child writes to both keeps its order.
    ///
    /// ```
    /// use actix_process::{Command, Fd};
    ///
    /// # actix::System::new().block_on(async {
    /// let child = Command::new("sh").args(["-c", "echo one; echo two >&2; echo three"]);
    /// let output = child.stderr(Fd::same_as(1)).output().await?;
    /// assert_eq!(output.stdout, b"one\ntwo\nthree\n");
    /// # Ok::<(), actix_process::CollectError>(()) }).unwrap();
    /// ```
    ///
    /// The parent sees only `n`: its data, its stream, its one `ChildConnectionLost`, its
    /// writes. `n` may be of any kind, and be set before or after. The spawn fails at
    /// [`SpawnStep::Invalid`](crate::SpawnStep::Invalid) if the command does not name `n`, or if `n` leads back here by
    /// `same_as`.
    #[must_use]
    pub const fn same_as(n: i32) -> Self {
        Self::new(Kind::SameAs(n))
    }

    /// Both ends of a new pipe, for two children: what one writes the other reads, without passing
    /// through this program. As [`std::io::pipe`], the reading end comes first.
    ///
    /// Give each end to one spawn, which closes it in the parent. So the reader sees the end when the
    /// writer is gone, and the writer gets SIGPIPE when the reader is gone. An end that no spawn took
    /// keeps the pipe open until it is dropped.
    ///
    /// ```
    /// use actix_process::{Command, Fd, NoProtocol, Signal};
    ///
    /// # actix::System::new().block_on(async {
    /// let (reader, writer) = Fd::pipe()?;
    /// let yes = Command::new("yes").stdout(writer).spawn(NoProtocol).await?;
    /// let head = Command::new("head").args(["-n", "2"]).stdin(reader).output().await?;
    /// assert_eq!(head.stdout, b"y\ny\n");
    /// assert_eq!(yes.ended().await.signal(), Some(Signal::PIPE));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// EMFILE or ENFILE when this process, or the system, has too many descriptors.
    pub fn pipe() -> io::Result<(Self, Self)> {
        let (reader, writer) = sys::io::pipe()?;
        Ok((reader.into(), writer.into()))
    }

    /// How many bytes of this descriptor may be on their way to the protocol, or wait in its stream, before its
    /// reader stops. Fewer than 4096 count as 4096; unless set, the descriptor has the
    /// [`Command::window`](crate::Command::window). Only for [`read`](Self::read), [`lines`](Self::lines) and
    /// [`stream`](Self::stream): for another kind the spawn fails at
    /// [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
    #[must_use]
    pub const fn window(mut self, bytes: usize) -> Self {
        self.window = Some(bytes);
        self
    }

    /// Whether this is a pipe that the parent reads, by callbacks (of data or of lines), as a stream, or for its [tail](Self::tail).
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(
            self.kind,
            Kind::Read | Kind::Lines(_) | Kind::Stream | Kind::Tail(_) | Kind::Kept(_)
        )
    }

    /// Whether this is a pipe that the parent reads by [`lines`](Self::lines).
    #[must_use]
    pub const fn is_lines(&self) -> bool {
        matches!(self.kind, Kind::Lines(_))
    }

    /// Whether this is a pipe that the parent reads as a stream.
    #[must_use]
    pub const fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Stream)
    }

    /// Whether this is the child's [`Pty`](crate::Pty).
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        matches!(self.kind, Kind::Terminal)
    }

    /// Whether this is a pipe that the parent writes.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        matches!(self.kind, Kind::Write)
    }
}

impl Fd {
    pub(crate) const fn terminal() -> Self {
        Self::new(Kind::Terminal)
    }

    pub(super) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            window: None,
            socket_name: None,
        }
    }

    /// Takes a moved descriptor out; `None` for another kind, or if an earlier spawn took it.
    fn take(&self) -> Option<OwnedFd> {
        match &self.kind {
            Kind::Moved(slot) => lock(slot).take(),
            _ => None,
        }
    }
}

/// All descriptors of a child. A number that the map does not name is closed in the child, 0, 1 and 2 too.
///
/// ```
/// use actix_process::{Command, Fd, FdMap};
///
/// let map = FdMap::stdio().set(3, Fd::write()).set(4, Fd::read());
/// let gpg = Command::new("gpg").args(["--passphrase-fd", "3", "--status-fd", "4"]).fds(map);
/// let quiet = Command::new("make").fds(FdMap::from([(1, Fd::read()), (2, Fd::inherit(2))]));
/// # drop((gpg, quiet));
/// ```
#[derive(Debug, Clone, Default)]
pub struct FdMap {
    entries: Vec<(i32, Fd)>,
}

impl FdMap {
    /// An empty map: the child gets no descriptor at all.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// Three pipes: the parent writes 0 and reads 1 and 2.
    #[must_use]
    pub fn stdio() -> Self {
        Self::from([(0, Fd::write()), (1, Fd::read()), (2, Fd::read())])
    }

    /// The parent's own 0, 1 and 2, as [`std::process::Command::status`] has them: the child reads and
    /// writes where this program does. Each is an [`Fd::inherit`].
    ///
    /// ```
    /// use actix_process::{Command, FdMap};
    ///
    /// # actix::System::new().block_on(async {
    /// let status = Command::new("uname").fds(FdMap::inherit()).status().await?;
    /// assert!(status.success());
    /// # Ok::<(), actix_process::CollectError>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn inherit() -> Self {
        (0..=2).map(|n| (n, Fd::inherit(n))).collect()
    }

    /// Sets the child's descriptor `n`. Gives the map back, as the methods of a [`Command`](crate::Command) do.
    #[must_use = "a map is changed by value: `map = map.set(..)`"]
    pub fn set(mut self, n: i32, fd: impl Into<Fd>) -> Self {
        self.put(n, fd.into());
        self
    }

    /// The same in place. A socket of that number stays, so that the spawn is refused.
    pub(crate) fn put(&mut self, n: i32, fd: Fd) {
        self.entries
            .retain(|(number, fd)| *number != n || fd.socket_name.is_some());
        self.entries.push((n, fd));
    }

    /// The child's descriptor `n`. `None`: the number is closed in the child.
    #[must_use]
    pub fn get(&self, n: i32) -> Option<&Fd> {
        self.entries
            .iter()
            .find(|(number, _)| *number == n)
            .map(|(_, fd)| fd)
    }

    /// The number that says what the child's descriptor `n` shall be: another one for
    /// [`Fd::same_as`], and for a moved descriptor that is given for several numbers. `None` if there
    /// is none.
    pub(crate) fn original(&self, n: i32) -> Option<i32> {
        let mut n = n;
        // A way that is longer than the map is a circle.
        for _ in &self.entries {
            match &self.get(n)?.kind {
                Kind::SameAs(other) => n = *other,
                Kind::Moved(slot) => {
                    let same = |(_, fd): &&(i32, Fd)| matches!(&fd.kind, Kind::Moved(other) if Arc::ptr_eq(slot, other));
                    return self.entries.iter().find(same).map(|(first, _)| *first);
                }
                _ => return Some(n),
            }
        }
        None
    }

    /// Takes all moved descriptors out, each for the first number it is meant for.
    pub(crate) fn take_fds(&self) -> Vec<(i32, OwnedFd)> {
        let moved = self.entries.iter();
        moved.filter_map(|(n, fd)| Some((*n, fd.take()?))).collect()
    }

    /// What the map names, in the order in which it was given.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &Fd)> {
        self.entries.iter().map(|(n, fd)| (*n, fd))
    }
}

impl<const N: usize> From<[(i32, Fd); N]> for FdMap {
    /// A number that comes twice fails the spawn at [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
    fn from(entries: [(i32, Fd); N]) -> Self {
        Self {
            entries: entries.into(),
        }
    }
}

impl FromIterator<(i32, Fd)> for FdMap {
    /// A number that comes twice fails the spawn at [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
    fn from_iter<I: IntoIterator<Item = (i32, Fd)>>(entries: I) -> Self {
        Self {
            entries: entries.into_iter().collect(),
        }
    }
}
