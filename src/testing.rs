//! For unit tests of your own protocols: a handle without a child.
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

use std::sync::{Arc, Weak};

use crate::child::live_process::LiveProcess;
use crate::child::progress::Phase;
use crate::child::{Child, Origin};
use crate::command::containment::Containment;
use crate::command::spec::{OnLeftovers, OnOrphaned};
use crate::handle::ProcessHandle;
use crate::id::ProcessId;
use crate::port::{Direction, Port, Terminal};
use crate::status::ExitStatus;

pub use recorder::Recorded;
use recorder::{RecordedFd, Recorder};

/// A child that is none: its handle records what it is told. Its `pid()` is `None`; its
/// `spawned_pid()` is `i32::MAX`, a number that Linux gives to no process. Pass events to the protocol with
/// [`FromProcess::new`](crate::FromProcess::new), or call the protocol's callbacks. `Debug` shows what
/// was recorded.
#[derive(Debug)]
pub struct TestProcess {
    child: Arc<Child>,
    recorder: Arc<Recorder>,
}

impl TestProcess {
    /// A child with three pipes: 0 is written, 1 and 2 are read.
    #[must_use]
    pub fn new() -> Self {
        Self::with_fds(&[0], &[1, 2])
    }

    /// A child with these descriptors.
    #[must_use]
    pub fn with_fds(written: &[i32], read: &[i32]) -> Self {
        Self::build(written, read, false)
    }

    /// A child on a terminal: 0 and 1 are its halves, which [`ProcessHandle::resize`] and
    /// [`ProcessHandle::lose_connection`] know.
    #[must_use]
    pub fn with_pty() -> Self {
        Self::build(&[0], &[1], true)
    }

    fn build(written: &[i32], read: &[i32], terminal: bool) -> Self {
        let recorder = Arc::new(Recorder::default());
        let record = {
            let recorder = Arc::clone(&recorder);
            move |command| recorder.process_command(command)
        };
        let origin = Origin {
            id: ProcessId::next(),
            program: "test".into(),
            spawned_pid: i32::MAX,
            event_sink: None,
            mailbox_turns: Arc::default(),
            on_orphaned: OnOrphaned::Leave,
            on_leftovers: OnLeftovers::Leave,
            ended_timeout: None,
            readers: read.len(),
            live: LiveProcess::recorded_by(record),
            containment: Containment::Process,
        };
        let child = Child::new(origin, written.iter().chain(read).copied());
        let port = |fd: &i32, direction| {
            let (fd, recorder) = (*fd, Arc::clone(&recorder));
            let master: Weak<Recorder> = Arc::downgrade(&recorder);
            let port = Port::new(fd, direction, Box::new(RecordedFd { fd, recorder }));
            port.of_terminal(terminal.then_some(master as Weak<dyn Terminal>))
        };
        let written = written.iter().map(|fd| port(fd, Direction::Write));
        let read = read.iter().map(|fd| port(fd, Direction::Read));
        child.set_ports(written.chain(read).collect());
        Self { child, recorder }
    }

    /// The handle to give to the protocol.
    #[must_use]
    pub fn handle(&self) -> ProcessHandle {
        ProcessHandle::new(Arc::clone(&self.child))
    }

    /// What the handle was told since the last call.
    #[must_use]
    pub fn commands(&self) -> Vec<Recorded> {
        self.recorder.take()
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
    /// What waits for the handle's end gets it, with [`ExitStatus::Unknown`] unless
    /// [`exit`](TestProcess::exit) has told another status.
    fn drop(&mut self) {
        self.exit(ExitStatus::Unknown);
        self.end();
    }
}
