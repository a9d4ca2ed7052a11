//! The two pipes between a pool and a worker that speaks frames. They are the pool's own, not the child's: a job and its answer go without
//! an actor, and a mailbox, on each side of the pipe.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{Interest, Ready};
use tokio::runtime::Handle;
use tokio::task::coop::has_budget_remaining;

use super::aside::PipeAside;
use crate::Bytes;
use crate::Fd;
use crate::pool::wire::{Frame, FrameDecoder, MAX_PACKET, WireError};
use crate::sys::io::{
    Registered, grow_pipe, pipe, read, read_behind, register, set_fresh_nonblocking, write,
};
use crate::sys::sigpipe::PipeWrites;

/// What the pipe of the answers has room for: as much as the crate's own pipes of a busy child (`src/port`).
const ROOM: usize = 128 * 1024;

/// A frame of at most so many bytes is copied into one piece, which is cheaper to write than two.
const SMALL: usize = 8 * 1024;

/// So many looks for an answer are left out at most.
const MOST_PASSED: u8 = 64;

/// A buffer for what is read: two frames of 64 KiB, the usual part of a stream, so that few of them lie across two buffers (`pool_stream` is 0.96 with
/// it, and 0.6 with half of it). And the least room of it that is worth a read.
const READ: usize = 128 * 1024;
const LEAST: usize = 16 * 1024;

/// The pool's ends of the pipes, and the worker's.
pub(super) struct FramePipes {
    pub(super) jobs: JobPipe,
    pub(super) answers: Rc<AnswerPipe>,
    pub(super) childs_jobs: Fd,
    pub(super) childs_answers: Fd,
}

impl FramePipes {
    pub(super) fn new() -> io::Result<Self> {
        let (childs_jobs, jobs) = pipe()?;
        let (answers, childs_answers) = pipe()?;
        // Where there are too many large pipes it stays as it is.
        let _ = grow_pipe(answers.as_fd(), ROOM);
        Ok(Self {
            jobs: JobPipe::new(jobs)?,
            answers: Rc::new(AnswerPipe::new(answers)?),
            childs_jobs: childs_jobs.into(),
            childs_answers: childs_answers.into(),
        })
    }
}

/// Where jobs are written. A write never waits: what the pipe has no room for is kept, and there is one job at a time.
pub(super) struct JobPipe {
    /// Gone when it is closed.
    pub(super) pipe: Option<Rc<Registered<OwnedFd>>>,
    /// What is written next is a packet.
    pub(super) packets: bool,
    /// What fits into a packet is to be one.
    pub(super) wants_packets: bool,
    /// From `begin_packets` on.
    pub(super) aside: Option<Rc<PipeAside>>,
    /// For a small frame.
    piece: Vec<u8>,
    kept: VecDeque<Bytes>,
    /// So many bytes are kept, and of so many frames since none was.
    kept_bytes: usize,
    kept_frames: usize,
    pub(super) writes: PipeWrites,
    /// It is closed when all that is kept was written.
    closing: bool,
    /// Ready when the worker has closed its end.
    gone: Pin<Box<dyn Future<Output = ()>>>,
}

impl JobPipe {
    fn new(pipe: OwnedFd) -> io::Result<Self> {
        let pipe = Rc::new(registered(pipe, Interest::WRITABLE)?);
        let watched = Rc::clone(&pipe);
        Ok(Self {
            pipe: Some(pipe),
            packets: false,
            wants_packets: false,
            aside: None,
            piece: Vec::new(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            kept_frames: 0,
            writes: PipeWrites::new(),
            closing: false,
            gone: Box::pin(async move {
                // A pipe tells of its reader's end by an error.
                let _ = watched.ready(Interest::ERROR).await;
            }),
        })
    }

    /// # Errors
    ///
    /// The worker has closed its end, or the pool its own.
    pub(super) fn write(&mut self, head: &[u8], body: &Bytes, is_job: bool) -> io::Result<()> {
        if self.is_closing() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let is_packet = head.len() + body.len() <= MAX_PACKET;
        if !is_packet && !is_job {
            // The worker may read a part of it: what is in the pipe then begins with no frame. So nothing is sent ahead any more.
            self.wants_packets = false;
        }
        let mut written = 0;
        if self.kept.is_empty() {
            // Packets of a long frame would take the worker a read for each page.
            self.set_packets(is_packet);
            match self.write_now(head, body) {
                Ok(count) => written = count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        self.kept_frames = match self.kept_bytes {
            0 => 1,
            _ => self.kept_frames.saturating_add(1),
        };
        let rest = head.get(written..).unwrap_or_default();
        self.keep(Bytes::copy_from_slice(rest));
        let rest = written.saturating_sub(head.len()).min(body.len());
        self.keep(body.slice(rest..));
        Ok(())
    }

    /// As much as there is room for.
    pub(super) fn write_now(&mut self, head: &[u8], body: &Bytes) -> io::Result<usize> {
        let Some(pipe) = &self.pipe else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        if head.len() + body.len() <= SMALL {
            self.piece.clear();
            self.piece.extend_from_slice(head);
            self.piece.extend_from_slice(body);
            self.writes.write(|| write(fd_of(pipe), &self.piece))
        } else {
            let pieces = [IoSlice::new(head), IoSlice::new(body)];
            let both = || Ok(nix::sys::uio::writev(fd_of(pipe), &pieces)?);
            self.writes.write(both)
        }
    }

    /// It goes before all that is kept.
    pub(super) fn keep_first(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.kept_frames = match self.kept_bytes {
                0 => 1,
                _ => self.kept_frames.saturating_add(1),
            };
            self.kept_bytes += bytes.len();
            self.kept.push_front(bytes);
        }
    }

    fn keep(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.kept_bytes += bytes.len();
            self.kept.push_back(bytes);
        }
    }

    /// Nothing more can be written.
    pub(super) const fn is_closing(&self) -> bool {
        self.closing || self.pipe.is_none()
    }

    /// How many bytes are kept.
    pub(super) const fn kept(&self) -> usize {
        self.kept_bytes
    }

    /// Of how many frames bytes are kept, or were since there were none.
    pub(super) const fn kept_frames(&self) -> usize {
        match self.kept_bytes {
            0 => 0,
            _ => self.kept_frames,
        }
    }

    /// Closes it when all is written.
    pub(super) fn close(&mut self) {
        self.closing = true;
        if self.kept.is_empty() {
            self.pipe = None;
            self.gone = Box::pin(pending());
        }
    }

    /// Writes what is kept, and closes it then. Ready when it is closed.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What cannot be written nobody reads.
        if ready!(self.poll_written(cx)).is_err() {
            self.kept.clear();
            self.kept_bytes = 0;
        }
        self.close();
        Poll::Ready(())
    }

    /// Writes what is kept. Ready when the worker has closed its end.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_written(cx) {
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            Poll::Ready(Ok(())) if self.closing => self.close(),
            _ => {}
        }
        self.gone.as_mut().poll(cx)
    }

    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.kept.is_empty() {
            // In pieces that are no frames.
            self.set_packets(false);
        }
        while let (Some(front), Some(pipe)) = (self.kept.front_mut(), &self.pipe) {
            match self.writes.write(|| write(fd_of(pipe), front)) {
                Ok(count) => {
                    front.advance(count);
                    self.kept_bytes = self.kept_bytes.saturating_sub(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // Room that came meanwhile is a new edge.
                    let mut ready = ready!(pipe.poll_write_ready(cx))?;
                    if ready.ready().is_write_closed() {
                        return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
                    }
                    ready.clear_ready();
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Poll::Ready(Err(error)),
            }
            if front.is_empty() {
                self.kept.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn registered(pipe: OwnedFd, interest: Interest) -> io::Result<Registered<OwnedFd>> {
    set_fresh_nonblocking(pipe.as_fd())?;
    let runtime = Handle::try_current().map_err(io::Error::other)?;
    register(pipe, interest, &runtime)
}

pub(super) fn fd_of(pipe: &Registered<OwnedFd>) -> BorrowedFd<'_> {
    pipe.get_ref().as_fd()
}

/// Where answers are read.
pub(super) struct AnswerPipe {
    pipe: Registered<OwnedFd>,
    /// What was read at once.
    early: RefCell<Early>,
    /// So many looks at once are left out, and will be after the next one that finds nothing.
    pass: Cell<(u8, u8)>,
}

/// What a look found.
struct Early {
    space: Box<[u8]>,
    /// What of it is there still.
    there: Range<usize>,
}

impl Early {
    fn rest(&self) -> &[u8] {
        self.space.get(self.there.clone()).unwrap_or_default()
    }
}

impl AnswerPipe {
    fn new(pipe: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            pipe: registered(pipe, Interest::READABLE)?,
            early: RefCell::new(Early {
                space: vec![0; SMALL].into(),
                there: 0..0,
            }),
            pass: Cell::new((0, 1)),
        })
    }

    /// Reads behind what is in the buffer; 0 at the end.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<usize> {
        // Its front is in the caches of the CPU, if nobody has a share of it.
        if buffer.is_empty() {
            let _ = buffer.try_reclaim(READ);
        }
        if buffer.capacity() - buffer.len() < LEAST {
            buffer.reserve(READ);
        }
        let mut early = self.early.borrow_mut();
        let found = early.rest().len();
        if found > 0 {
            buffer.extend_from_slice(early.rest());
            early.there = 0..0;
            return Poll::Ready(found);
        }
        loop {
            // An error is an end as well.
            let Ok(mut ready) = ready!(self.pipe.poll_read_ready(cx)) else {
                return Poll::Ready(0);
            };
            match read_behind(fd_of(&self.pipe), buffer) {
                Ok(count) => {
                    // The pipe was empty then. What came meanwhile is a new edge.
                    if count > 0 && buffer.len() < buffer.capacity() {
                        ready.clear_ready_matching(Ready::READABLE);
                    }
                    return Poll::Ready(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready.clear_ready_matching(Ready::READABLE);
                    if ready.ready().is_read_closed() {
                        return Poll::Ready(0);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Poll::Ready(0),
            }
        }
    }

    /// The first frame of what was read at once, if all of it is there.
    ///
    /// # Errors
    ///
    /// It is none that may come from a worker.
    pub(super) fn take_early(&self, decoder: &FrameDecoder) -> Result<Option<Frame>, WireError> {
        let mut early = self.early.borrow_mut();
        let found = decoder.decode_copied(early.rest())?;
        Ok(found.map(|(frame, size)| {
            early.there.start += size;
            frame
        }))
    }

    /// Reads now, before this thread hears of an answer: a worker on the same CPU has often given it by the time that its job is written.
    /// Where that is not so, few looks are made. Whether there was one.
    pub(super) fn look(&self) -> bool {
        // A task that has done much lets others go on.
        if !has_budget_remaining() {
            return false;
        }
        let (pass, next) = self.pass.get();
        if pass > 0 {
            self.pass.set((pass - 1, next));
            return false;
        }
        let mut early = self.early.borrow_mut();
        if !early.there.is_empty() {
            return true;
        }
        let found = read(fd_of(&self.pipe), &mut early.space).unwrap_or(0);
        early.there = 0..found;
        let next = match found {
            0 => next.saturating_mul(2).min(MOST_PASSED),
            _ => 1,
        };
        self.pass.set((if found > 0 { 0 } else { next }, next));
        found > 0
    }

    /// Whether something was read at once, and not taken yet.
    pub(super) fn has_read(&self) -> bool {
        !self.early.borrow().there.is_empty()
    }

    /// Whether something is there to be read, as far as this thread has heard; its end is something. This reads nothing.
    pub(super) fn has_some(&self) -> bool {
        self.has_read() || self.pipe.try_io(Interest::READABLE, |_| Ok(())).is_ok()
    }
}
