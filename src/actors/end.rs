//! The parent's end of one descriptor, and the guard that tells of its close.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Weak};

use tokio::io::Interest;
use tokio::io::unix::AsyncFdReadyGuard;
use tokio::runtime::Handle;

use crate::child::Child;
use crate::child::lifecycle::LifecycleInput;
use crate::event::CloseReason;
use crate::port::Terminal;
use crate::sys;
use crate::sys::io::Registered;

/// No terminal holds more than this, so a cut that has read it has taken what was there. (The
/// kernel's TTYB_DEFAULT_MEM_LIMIT is 640 KiB.)
const MOST_IN_TERMINAL: usize = 1024 * 1024;

/// The parent's end of a descriptor, registered with the arbiter's runtime.
#[derive(Debug)]
pub(crate) enum End {
    Pipe(Registered<OwnedFd>),
    /// A terminal's master: the reader and the writer share it, and the child's record keeps it
    /// until the child is reaped.
    Terminal(Arc<Registered<OwnedFd>>),
}

impl End {
    pub(crate) const fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// A terminal's master, without keeping it open.
    pub(crate) fn master(&self) -> Option<Weak<dyn Terminal>> {
        match self {
            Self::Pipe(_) => None,
            Self::Terminal(master) => {
                let master: Weak<Registered<OwnedFd>> = Arc::downgrade(master);
                Some(master)
            }
        }
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Pipe(end) => sys::io::read(end.get_ref().as_fd(), buffer),
            Self::Terminal(end) => sys::tty::read_master(end.get_ref().as_fd(), buffer),
        }
    }

    /// So many bytes can be read now; of a terminal, which does not tell all that it has, no fewer than
    /// it can have.
    pub(super) fn waiting(&self) -> usize {
        match self {
            Self::Pipe(end) => sys::io::bytes_waiting(end.get_ref().as_fd()),
            Self::Terminal(_) => MOST_IN_TERMINAL,
        }
    }

    /// Also tells when there is room to write. An input is registered for its child's close only:
    /// most writes find room, and an empty pipe would report it for nothing.
    pub(super) fn report_room(self) -> io::Result<Self> {
        match self {
            Self::Pipe(end) => {
                let interest = Interest::WRITABLE | Interest::ERROR;
                let runtime = Handle::try_current().map_err(io::Error::other)?;
                let end = sys::io::register(end.into_inner(), interest, &runtime)?;
                Ok(Self::Pipe(end))
            }
            // Shared with its reader, and registered for everything.
            Self::Terminal(_) => Ok(self),
        }
    }

    /// Nobody had the terminal's other end at some time: somebody may have opened it again, but such a readiness never
    /// goes away.
    pub(super) fn was_hung_up(&self, ready: &AsyncFdReadyGuard<'_, OwnedFd>) -> bool {
        self.is_terminal() && ready.ready().is_read_closed()
    }

    pub(super) fn is_hung_up(&self, error: &io::Error) -> bool {
        self.is_terminal() && sys::tty::is_hang_up(error)
    }
}

impl Deref for End {
    type Target = Registered<OwnedFd>;

    fn deref(&self) -> &Registered<OwnedFd> {
        match self {
            Self::Pipe(end) => end,
            Self::Terminal(end) => end,
        }
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

/// Tells the child's record, when it drops, that a descriptor is closed. Its actor owns it beside
/// the descriptor and drops it after it, however the actor ends.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) child: Arc<Child>,
    pub(crate) fd: i32,
    pub(crate) reason: CloseReason,
}

impl Closing {
    pub(crate) const fn new(child: Arc<Child>, fd: i32) -> Self {
        Self {
            child,
            fd,
            reason: CloseReason::Gone,
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.child
            .apply(LifecycleInput::Closed(self.fd, self.reason));
    }
}

pub(super) fn failed(error: &io::Error) -> CloseReason {
    CloseReason::Failed {
        errno: error.raw_os_error().unwrap_or(0),
    }
}
