//! The lines of a service as a stream: what is kept first, then what comes.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;
use std::vec;

use futures_core::Stream;

use super::line_cutter::CutLine;
use super::line_ring::{LineRing, RingLine};
use super::since::Since;
use super::watched::{Watched, Watcher};
use crate::Bytes;

/// At most so many lines, and about so many bytes of them, are taken from the ring at once.
const BATCH_LINES: usize = 64;
const BATCH_BYTES: usize = 8 * 1024;

/// One item of a [`Follow`].
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Followed {
    /// A line that the service wrote, or a piece of one.
    #[non_exhaustive]
    Line {
        /// Its number: 1 for the first line of the service, and one more for each line of any of its outputs. The numbers go on when the
        /// service restarts.
        seq: u64,
        /// When it was read.
        at: SystemTime,
        /// The descriptor that it was written to. A terminal is descriptor 1.
        fd: i32,
        /// The line without its newline, and without one carriage return before that. It need not be UTF-8. It holds on to a few more
        /// lines, 16 KiB at most; copy what is kept for long.
        bytes: Bytes,
        /// The line is longer than the maximum, and goes on in the next line of this descriptor.
        partial: bool,
    },
    /// So many lines came and went before this follower took them.
    Lagged(u64),
    /// The service was started anew: what follows is of another generation. Restarts between which there is no line may be one item.
    Restarted,
    /// No more comes: the service was removed, or a shutdown of the monitor has begun. This is the last item.
    Closed,
}

/// The lines of a service: those that are kept first, then each one as it comes, without a gap and none twice.
///
/// Followers share what the service keeps, so a slow one costs nothing and holds up nobody: it gets
/// [`Lagged`](Followed::Lagged) with the number of lines that it missed, and goes on. It works on any runtime.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Follow {
    watcher: Option<Watcher<LineLog>>,
    /// The number of the next line.
    next: u64,
    /// How many restarts are told or not of interest.
    restarts: u32,
    batch: vec::IntoIter<Followed>,
}

/// The lines of a service that are kept, and whether more may come.
#[derive(Default)]
pub(super) struct LineLog {
    ring: LineRing,
    pub(super) closed: bool,
    /// How many lines came after it was closed. They are kept no more.
    after: u64,
}

impl LineLog {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            ring: LineRing::new(limit),
            ..Self::default()
        }
    }

    /// Adds lines; gives the number of the first one.
    pub(super) fn push(&mut self, fd: i32, at: SystemTime, lines: &[CutLine<'_>]) -> u64 {
        let first = self.last_seq() + 1;
        if self.closed {
            self.after += lines.len() as u64;
        } else {
            self.ring.push(fd, at, lines);
        }
        first
    }

    pub(super) const fn last_seq(&self) -> u64 {
        self.ring.last_seq() + self.after
    }

    pub(super) const fn restart(&mut self) {
        if !self.closed {
            self.ring.restart();
        }
    }
}

impl Follow {
    pub(super) fn new(log: &Arc<Watched<LineLog>>, since: Since) -> Self {
        let (next, restarts) = log.with(|log| {
            let ring = &log.ring;
            let next = since.first(ring.first_seq(), ring.last_seq());
            let known = match since {
                // Somebody who has a line is told of a restart after it.
                Since::Seq(_) => ring.line(next - 1).or_else(|| ring.line(ring.first_seq())),
                _ => ring.line(next),
            };
            (
                next,
                known.map_or_else(|| ring.restarts(), |line| line.restarts),
            )
        });
        Self {
            watcher: Some(Watcher::new(Arc::clone(log))),
            next,
            restarts,
            batch: Vec::new().into_iter(),
        }
    }

    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Followed>> {
        let Some(watcher) = &mut self.watcher else {
            return Poll::Ready(Vec::new());
        };
        let (next, restarts) = (&mut self.next, &mut self.restarts);
        watcher.poll(cx, |log| {
            let items = read(&log.ring, next, restarts);
            match items.is_empty() {
                false => Some(items),
                true => log.closed.then(|| vec![Followed::Closed]),
            }
        })
    }
}

/// What is next, as far as it is there.
fn read(ring: &LineRing, next: &mut u64, restarts: &mut u32) -> Vec<Followed> {
    let mut items = Vec::new();
    let missed = ring.first_seq().saturating_sub(*next);
    if missed > 0 {
        *next = ring.first_seq();
        items.push(Followed::Lagged(missed));
    }
    // One allocation for the bytes of all lines.
    let mut size = 0;
    let lines: Vec<RingLine<'_>> = (*next..)
        .take(BATCH_LINES)
        .map_while(|seq| ring.line(seq))
        .take_while(|line| {
            let fits = size < BATCH_BYTES;
            size += line.bytes.0.len() + line.bytes.1.len();
            fits
        })
        .collect();
    let mut joined = Vec::with_capacity(size);
    for line in &lines {
        joined.extend_from_slice(line.bytes.0);
        joined.extend_from_slice(line.bytes.1);
    }
    let mut joined = Bytes::from(joined);
    for line in lines {
        *next = line.seq + 1;
        if *restarts != line.restarts {
            *restarts = line.restarts;
            items.push(Followed::Restarted);
        }
        items.push(Followed::Line {
            seq: line.seq,
            at: line.at,
            fd: line.fd,
            bytes: joined.split_to(line.bytes.0.len() + line.bytes.1.len()),
            partial: line.partial,
        });
    }
    if *next > ring.last_seq() && *restarts != ring.restarts() {
        *restarts = ring.restarts();
        items.push(Followed::Restarted);
    }
    items
}

impl Stream for Follow {
    type Item = Followed;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Followed>> {
        if let Some(item) = self.batch.next() {
            return Poll::Ready(Some(item));
        }
        self.batch = Vec::new().into_iter();
        let mut items = ready!(self.poll_batch(cx)).into_iter();
        let item = items.next();
        if matches!(item, Some(Followed::Closed)) {
            self.watcher = None;
        }
        self.batch = items;
        Poll::Ready(item)
    }
}

/// Of a line only how long it is.
impl fmt::Debug for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line {
                seq,
                at,
                fd,
                bytes,
                partial,
            } => f
                .debug_struct("Line")
                .field("seq", seq)
                .field("at", at)
                .field("fd", fd)
                .field("bytes", &bytes.len())
                .field("partial", partial)
                .finish(),
            Self::Lagged(missed) => f.debug_tuple("Lagged").field(missed).finish(),
            Self::Restarted => f.write_str("Restarted"),
            Self::Closed => f.write_str("Closed"),
        }
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow")
            .field("next", &self.next)
            .field("closed", &self.watcher.is_none())
            .finish_non_exhaustive()
    }
}
