//! What a service writes to one descriptor, byte by byte, for a terminal in a browser.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::raw_ring::{RawCursor, RawPart, RawRing};
use super::watched::{Watched, Watcher};
use crate::Bytes;

/// One item of a [`FollowRaw`].
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FollowedRaw {
    /// What the service wrote. The pieces are not those in which it was written.
    Data(Bytes),
    /// So many bytes came and went before this follower took them. What follows may begin within a character or a control sequence.
    Lagged(u64),
    /// The service was started anew: what follows is of another generation.
    Restarted,
    /// No more comes: the service was removed, or a shutdown of the monitor has begun. This is the last item.
    Closed,
}

/// What a service writes to one descriptor: what is kept of it first, then what comes, without a gap and nothing twice.
///
/// Of a terminal the last 64 KiB are kept, so that whoever attaches to it again sees its screen. Of another descriptor
/// they are kept from the first follower on, until the last one is gone. A slow follower holds up nobody: it gets
/// [`Lagged`](FollowedRaw::Lagged), and goes on. It works on any runtime.
#[must_use = "a stream does nothing unless it is polled"]
pub struct FollowRaw {
    watcher: Option<Watcher<RawLog>>,
    cursor: RawCursor,
}

/// What is kept of one descriptor, and whether more may come.
#[derive(Default)]
pub(super) struct RawLog {
    ring: RawRing,
    closed: bool,
}

/// The descriptors of a service that somebody follows byte by byte.
#[derive(Default)]
pub(super) struct RawLogs {
    limit: usize,
    /// Whether there is one: the usual service has none, and no lock is taken for each chunk of it.
    any: AtomicBool,
    logs: Mutex<OpenRawLogs>,
}

#[derive(Default)]
struct OpenRawLogs {
    by_fd: Vec<(i32, Arc<Watched<RawLog>>)>,
    /// The terminal, whose bytes are kept whether or not somebody follows them.
    terminal: Option<i32>,
    closed: bool,
}

impl RawLogs {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Keeps the bytes of this descriptor, also while nobody follows them.
    pub(super) fn keep(&self, terminal: Option<i32>) {
        let mut open = self.lock();
        open.terminal = terminal;
        if let Some(fd) = terminal {
            self.log(&mut open, fd);
        }
    }

    fn lock(&self) -> MutexGuard<'_, OpenRawLogs> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, open: &mut OpenRawLogs, fd: i32) -> Arc<Watched<RawLog>> {
        if let Some((_, log)) = open.by_fd.iter().find(|(of, _)| *of == fd) {
            return Arc::clone(log);
        }
        let log = Arc::new(Watched::new(RawLog {
            ring: RawRing::new(self.limit),
            closed: open.closed,
        }));
        open.by_fd.push((fd, Arc::clone(&log)));
        self.any.store(true, Ordering::Release);
        log
    }

    pub(super) fn follow(&self, fd: i32) -> FollowRaw {
        let log = self.log(&mut self.lock(), fd);
        let cursor = log.with(|log| log.ring.cursor());
        FollowRaw {
            watcher: Some(Watcher::new(log)),
            cursor,
        }
    }

    pub(super) fn push(&self, fd: i32, chunk: &[u8]) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let log = {
            let mut open = self.lock();
            // Those whose last follower is gone. Nobody gets one while this is locked.
            let terminal = open.terminal;
            open.by_fd
                .retain(|(fd, log)| Some(*fd) == terminal || Arc::strong_count(log) > 1);
            self.any.store(!open.by_fd.is_empty(), Ordering::Release);
            let log = open.by_fd.iter().find(|(of, _)| *of == fd);
            log.map(|(_, log)| Arc::clone(log))
        };
        if let Some(log) = log {
            log.change(|log| {
                if !log.closed {
                    log.ring.push(chunk);
                }
            });
        }
    }

    pub(super) fn restart(&self) {
        self.change_all(|log| {
            if !log.closed {
                log.ring.restart();
            }
        });
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.change_all(|log| log.closed = true);
    }

    fn change_all(&self, change: impl Fn(&mut RawLog)) {
        let logs = self.lock().by_fd.clone();
        for (_, log) in logs {
            log.change(&change);
        }
    }
}

impl FollowRaw {
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<FollowedRaw>> {
        let Some(watcher) = &mut self.watcher else {
            return Poll::Ready(None);
        };
        let cursor = &mut self.cursor;
        let item = ready!(watcher.poll(cx, |log| match log.ring.read(cursor) {
            Some(RawPart::Bytes(bytes)) => Some(FollowedRaw::Data(bytes.into())),
            Some(RawPart::Missed(missed)) => Some(FollowedRaw::Lagged(missed)),
            Some(RawPart::Restart) => Some(FollowedRaw::Restarted),
            None => log.closed.then_some(FollowedRaw::Closed),
        }));
        if matches!(item, FollowedRaw::Closed) {
            self.watcher = None;
        }
        Poll::Ready(Some(item))
    }
}

impl Stream for FollowRaw {
    type Item = FollowedRaw;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FollowedRaw>> {
        self.poll_item(cx)
    }
}

/// Of data only how much it is.
impl fmt::Debug for FollowedRaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(bytes) => write!(f, "Data({} bytes)", bytes.len()),
            Self::Lagged(missed) => f.debug_tuple("Lagged").field(missed).finish(),
            Self::Restarted => f.write_str("Restarted"),
            Self::Closed => f.write_str("Closed"),
        }
    }
}

impl fmt::Debug for FollowRaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowRaw")
            .field("closed", &self.watcher.is_none())
            .finish_non_exhaustive()
    }
}
