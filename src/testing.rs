//! For your own tests: a handle without a child, and programs that stand in for others.
//!
//! - A protocol is tested with the handle of a [`TestProcess`], and no process runs.
//! - Code that spawns a program is given a [`StandIn`]: a real program that does what a [`Script`] says. It tells what it was asked, and
//!   its spawn can fail.
//! - A [`Recording`] makes such a script of what a program did once.
//!
//! ```
//! use actix_process::testing::{Recorded, TestProcess};
//! use actix_process::{ProcessHandle, Signal};
//!
//! /// The code under test: greets, and stops a child that answers in the wrong tongue.
//! fn answered(process: &ProcessHandle, answer: &str) {
//!     if answer != "hello" {
//!         let _ = process.signal(Signal::TERM);
//!     }
//! }
//!
//! let test = TestProcess::new();
//! answered(&test.handle(), "bonjour");
//! assert_eq!(test.commands(), [Recorded::Signal(Signal::TERM)]);
//! ```

mod recorder;
mod recording;
mod recording_text;
mod script;
mod shell;
mod stand_in;
mod stream;

use std::io;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::child::live_process::LiveProcess;
use crate::child::progress::Phase;
use crate::child::{Child, Origin};
use crate::command::Command;
use crate::command::containment::Containment;
use crate::command::fd_map::{FdMap, Kind};
use crate::command::spec::{OnLeftovers, OnOrphaned};
use crate::error::StreamError;
use crate::event::CloseReason;
use crate::handle::ProcessHandle;
use crate::id::ProcessId;
use crate::port::kept::Keep;
use crate::port::kept_output::KeptOutput;
use crate::port::role::Role;
use crate::port::window::PACKET;
use crate::port::{Port, Route, Terminal};
use crate::status::ExitStatus;

pub use recorder::Recorded;
use recorder::{RecordedFd, Recorder};
pub use recording::{Recording, RecordingError, RecordingOf};
pub use script::Script;
pub use stand_in::{Run, StandIn, StandInError};
use stream::TestStream;

/// The role of a descriptor that a test's protocol reads.
const READ: Role = Role::Output {
    window: Command::DEFAULT_WINDOW,
    stream: false,
};

/// Stands in for a child: the handle records what it is told, and no process runs. Its `pid()` is `None`; its
/// `spawned_pid()` is `i32::MAX`, a number that Linux gives to no process. Pass events to the protocol with
/// [`FromProcess::new`](crate::FromProcess::new), or call the protocol's callbacks; what a
/// [stream](crate::Fd::stream) gives comes by [`feed`](Self::feed). `Debug` shows what was recorded.
#[derive(Debug)]
pub struct TestProcess {
    child: Arc<Child>,
    recorder: Arc<Recorder>,
    /// The ways of the handle to the recorder.
    #[expect(dead_code, reason = "its drop closes them")]
    routes: Vec<Arc<dyn Route>>,
    streams: Vec<TestStream>,
}

impl TestProcess {
    /// A child with three pipes: 0 is written, 1 and 2 are read.
    #[must_use]
    pub fn new() -> Self {
        Self::with_fds(&[0], &[1, 2])
    }

    /// A child whose descriptors `written` this program writes, and whose descriptors `read` it reads.
    #[must_use]
    pub fn with_fds(written: &[i32], read: &[i32]) -> Self {
        let written = written.iter().map(|fd| (*fd, Role::Input));
        let read = read.iter().map(|fd| (*fd, READ));
        Self::build(written.chain(read), false)
    }

    /// A child with the piped descriptors of `map`: those that are written, those that are read, the
    /// [streams](crate::Fd::stream), with their [windows](crate::Fd::window), and the [tails](crate::Fd::tail). The handle sees no other
    /// descriptors of the map.
    ///
    /// ```
    /// use actix_process::testing::TestProcess;
    /// use actix_process::{Fd, FdMap};
    /// use futures::{StreamExt, executor::block_on};
    ///
    /// # block_on(async {
    /// let map: FdMap = [(0, Fd::write()), (1, Fd::stream())].into_iter().collect();
    /// let test = TestProcess::with_map(&map);
    /// let mut lines = test.handle().take_stream(1)?.lines(1024);
    /// test.feed(1, "one\ntwo\n").await?;
    /// test.close_fd(1);
    /// assert_eq!(lines.next().await.unwrap()?, "one");
    /// assert_eq!(lines.next().await.unwrap()?, "two");
    /// assert!(lines.next().await.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn with_map(map: &FdMap) -> Self {
        let piped = map.iter().filter_map(|(n, fd)| {
            if fd.is_write() {
                return Some((n, Role::Input));
            }
            let stream = fd.is_stream();
            let window = fd.window.unwrap_or(Command::DEFAULT_WINDOW).max(PACKET);
            let role = match fd.kind {
                Kind::Tail(bytes) => Role::Kept(Keep::last(bytes)),
                _ => Role::Output { window, stream },
            };
            fd.is_read().then_some((n, role))
        });
        Self::build(piped, false)
    }

    /// A child on a terminal: 0 and 1 are its halves, which [`ProcessHandle::resize`] and
    /// [`ProcessHandle::lose_connection`] know.
    #[must_use]
    pub fn with_pty() -> Self {
        Self::build(Role::halves_of_terminal(READ), true)
    }

    fn build(piped: impl IntoIterator<Item = (i32, Role)>, terminal: bool) -> Self {
        let piped: Vec<_> = piped.into_iter().collect();
        let recorder = Arc::new(Recorder::default());
        let record = {
            let recorder = Arc::clone(&recorder);
            move |command| recorder.process_command(command)
        };
        let origin = Origin {
            id: ProcessId::next(),
            program: "test".into(),
            name: "test".into(),
            spawned_pid: i32::MAX,
            event_sink: None,
            mailbox_turns: Arc::default(),
            on_orphaned: OnOrphaned::Leave,
            is_quiet_orphan: false,
            on_leftovers: OnLeftovers::Leave,
            ended_timeout: None,
            time_limit: None,
            readers: piped.iter().filter(|(_, role)| role.is_output()).count(),
            live: LiveProcess::recorded_by(record),
            containment: Containment::Process,
        };
        let child = Child::new(origin, piped.iter().map(|(fd, _)| *fd));
        let mut streams = Vec::new();
        let mut routes = Vec::new();
        let ports = piped.into_iter().map(|(fd, role)| {
            let recorder = Arc::clone(&recorder);
            let master: Weak<Recorder> = Arc::downgrade(&recorder);
            let stream = match role {
                Role::Output {
                    window,
                    stream: true,
                } => Some(TestStream::new(fd, window)),
                _ => None,
            };
            let queue = stream.as_ref().map(|stream| Arc::clone(stream.queue()));
            streams.extend(stream);
            let kept = match role {
                Role::Kept(keep) => Some(Arc::new(KeptOutput::new(keep))),
                _ => None,
            };
            let route: Arc<dyn Route> = Arc::new(RecordedFd { fd, recorder });
            let port = Port::new(fd, role, &route);
            routes.push(route);
            port.with_stream_queue(queue)
                .with_kept(kept)
                .of_terminal(terminal.then_some(master as Weak<dyn Terminal>))
        });
        child.set_ports(ports.collect());
        Self {
            child,
            recorder,
            routes,
            streams,
        }
    }

    /// A handle for the protocol.
    #[must_use]
    pub fn handle(&self) -> ProcessHandle {
        ProcessHandle::new(Arc::clone(&self.child))
    }

    /// The commands that the handle got since the last call.
    #[must_use]
    pub fn commands(&self) -> Vec<Recorded> {
        self.recorder.take()
    }

    /// Writes to `fd`, a [stream](crate::Fd::stream), as the child would: it waits while the descriptor's window has no
    /// room; or to a [tail](crate::Fd::tail), which never waits. A pause is recorded, and holds up nothing.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if the stream was dropped or the descriptor closed, as the child would find;
    /// `InvalidInput` if `fd` is neither.
    pub async fn feed(&self, fd: i32, data: impl Into<Bytes>) -> io::Result<()> {
        let data = data.into();
        if let Some(kept) = self.child.port(fd).and_then(Port::kept) {
            if kept.is_over() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            kept.push(&data);
            return Ok(());
        }
        match self.streams.iter().find(|stream| stream.fd == fd) {
            Some(stream) => stream.feed(data).await,
            None => {
                let error = StreamError::NotStream { fd };
                Err(io::Error::new(io::ErrorKind::InvalidInput, error))
            }
        }
    }

    /// Closes the child's end of `fd`: a stream of it ends after what it holds, and a write to it
    /// fails. Later commands for it are not recorded.
    pub fn close_fd(&self, fd: i32) {
        if let Some(port) = self.child.port(fd) {
            port.closed(CloseReason::ByChild);
        }
        if let Some(stream) = self.streams.iter().find(|stream| stream.fd == fd) {
            stream.close(CloseReason::ByChild);
        }
    }

    /// Makes the handle's `exited()` resolve, and `try_status()` tell. The first status counts.
    pub fn exit(&self, status: ExitStatus) {
        self.child.progress.set_status(status);
        self.child.progress.advance(Phase::Exited);
        self.child.progress.wake();
    }

    /// Makes the handle's `ended()` resolve, after [`exit`](Self::exit).
    pub fn end(&self) {
        self.child.progress.advance(Phase::Ended);
        self.child.progress.wake();
    }
}

impl Default for TestProcess {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TestProcess {
    /// Ends the streams. The handle's `exited()` and `ended()` resolve, with [`ExitStatus::Unknown`] unless
    /// [`exit`](TestProcess::exit) has told another status.
    fn drop(&mut self) {
        for stream in &self.streams {
            stream.close(CloseReason::Gone);
        }
        self.exit(ExitStatus::Unknown);
        self.end();
    }
}
