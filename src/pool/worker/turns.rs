//! Which thread of a worker reads: the one that runs the jobs, or the watcher while a job takes long.
//!
//! Between jobs the calling thread reads for itself, so a short job needs no other thread. While a job runs, the
//! watcher reads in its place once the job has taken [`PATIENCE`]: for a cancel, a ping, the end of the pool, and for jobs that were sent ahead, which it
//! gives back. Where short jobs come one
//! after the other it is woken by none of them, and looks ever more rarely: a thread that wakes often beside the jobs takes from their CPUs. A job that
//! asks whether it is cancelled does not wait for a look. The watcher sleeps without a timeout when no job has run from one look to the next.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use super::input::FrameReader;
use super::output::FrameWriter;
use crate::pool::wire::{Frame, FrameKind};

/// A job that takes longer is watched.
pub(super) const PATIENCE: Duration = Duration::from_millis(2);

/// Where each look finds that short jobs go on, the next one is so many times later, up to this.
const RARER: u32 = 4;
const RAREST: Duration = Duration::from_millis(250);

/// What the two threads share.
#[derive(Debug)]
pub(super) struct WorkerTurns {
    state: Mutex<ReadingState>,
    /// For the calling thread: there may be a job, or the reader is free.
    may_go_on: Condvar,
    /// One more at the begin of each job, and at its end: odd while one runs.
    turn: AtomicU64,
    watcher: OnceLock<Thread>,
    /// In this turn the job asked whether it is cancelled when it had taken long.
    asked: AtomicU64,
    /// The watcher waits for the next job, without a timeout.
    watcher_sleeps: AtomicBool,
    /// For the watcher: all is over.
    stopped: AtomicBool,
    pub(super) writer: FrameWriter,
    /// Of the job that runs.
    cancelled: AtomicBool,
}

#[derive(Debug)]
struct ReadingState {
    /// Gone while one of the threads reads.
    reader: Option<FrameReader>,
    /// The job that runs.
    running: Option<u64>,
    /// The job that is next, and whether it was cancelled meanwhile. It came when the last one was over.
    next: Option<(Frame, bool)>,
    /// No more frames come, or none that can be read.
    over: Option<io::Result<()>>,
}

impl WorkerTurns {
    pub(super) const fn new(reader: FrameReader, writer: FrameWriter) -> Self {
        Self {
            state: Mutex::new(ReadingState {
                reader: Some(reader),
                running: None,
                next: None,
                over: None,
            }),
            may_go_on: Condvar::new(),
            turn: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            watcher: OnceLock::new(),
            watcher_sleeps: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            writer,
            cancelled: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, ReadingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// The next job, which runs from now on; `None` when the pool has closed its end.
    ///
    /// # Errors
    ///
    /// The descriptors'; `InvalidData` for what is no frame, or out of turn.
    pub(super) fn begin(&self) -> io::Result<Option<Frame>> {
        let mut state = self.lock();
        loop {
            // Of a job that waits nobody takes the answer then.
            if let Some(result) = state.over.take() {
                return result.map(|()| None);
            }
            if let Some((job, is_cancelled)) = state.next.take() {
                state.running = Some(job.id);
                self.cancelled.store(is_cancelled, Ordering::Relaxed);
                self.turn.fetch_add(1, Ordering::SeqCst);
                drop(state);
                if self.watcher_sleeps.load(Ordering::SeqCst) {
                    self.wake_watcher();
                }
                return Ok(Some(job));
            }
            state = match state.reader.take() {
                Some(reader) => self.read(state, reader)?,
                None => {
                    let waited = self.may_go_on.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// The job is over. To be called before its last frame is sent: the next job may come right after that.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        state.running = None;
        self.turn.fetch_add(1, Ordering::SeqCst);
    }

    /// The job that runs wants to know of a cancel, and has taken long: the watcher reads from now on.
    pub(super) fn watch_now(&self) {
        self.asked
            .store(self.turn.load(Ordering::SeqCst), Ordering::SeqCst);
        self.wake_watcher();
    }

    fn wake_watcher(&self) {
        if let Some(watcher) = self.watcher.get() {
            watcher.unpark();
        }
    }

    /// Ends the watcher, unless it reads: it ends with the process then.
    pub(super) fn stop(&self) {
        self.lock().over.get_or_insert(Ok(()));
        self.stopped.store(true, Ordering::SeqCst);
        self.wake_watcher();
    }

    /// Reads while a job takes long, until all is over.
    pub(super) fn watch(&self) {
        // Whoever has not found this thread there wakes it in vain: it looks next.
        let _ = self.watcher.set(thread::current());
        let (mut seen, mut pause) = (self.turn.load(Ordering::SeqCst), PATIENCE);
        while !self.stopped.load(Ordering::SeqCst) {
            thread::park_timeout(pause);
            let turn = self.turn.load(Ordering::SeqCst);
            let asked = self.asked.load(Ordering::SeqCst);
            if turn % 2 == 1 && (turn == seen || turn == asked) {
                self.watch_job(turn);
                pause = PATIENCE;
            } else if turn == seen {
                self.sleep(turn);
                pause = PATIENCE;
            } else {
                pause = (pause * RARER).min(RAREST);
            }
            seen = self.turn.load(Ordering::SeqCst);
        }
    }

    /// Until a job begins, or all is over.
    fn sleep(&self, turn: u64) {
        let is_idle =
            || self.turn.load(Ordering::SeqCst) == turn && !self.stopped.load(Ordering::SeqCst);
        self.watcher_sleeps.store(true, Ordering::SeqCst);
        while is_idle() {
            thread::park();
        }
        self.watcher_sleeps.store(false, Ordering::SeqCst);
    }

    /// Reads as long as this job runs.
    fn watch_job(&self, turn: u64) {
        let mut state = self.lock();
        while self.turn.load(Ordering::SeqCst) == turn && state.over.is_none() {
            let Some(reader) = state.reader.take() else {
                return;
            };
            state = match self.read(state, reader) {
                Ok(state) => state,
                Err(error) => {
                    let mut state = self.lock();
                    state.over.get_or_insert(Err(error));
                    state
                }
            };
            self.may_go_on.notify_one();
        }
    }

    /// Waits for a frame, with the state unlocked, and does what it says.
    fn read<'a>(
        &'a self,
        state: MutexGuard<'a, ReadingState>,
        mut reader: FrameReader,
    ) -> io::Result<MutexGuard<'a, ReadingState>> {
        drop(state);
        let frame = reader.read_frame();
        let mut state = self.lock();
        state.reader = Some(reader);
        let frame = match frame {
            Ok(Some(frame)) => frame,
            ended => {
                // Nobody is there who wants the answer.
                self.cancelled.store(true, Ordering::Relaxed);
                state.over = Some(ended.map(drop));
                return Ok(state);
            }
        };
        match frame.kind {
            // The one that runs takes long: another worker may have time. This goes out before the answer to the one that runs, which waits for the
            // lock.
            FrameKind::Job if state.running.is_some() => {
                self.writer.send(FrameKind::Back, frame.id, &[])?;
            }
            FrameKind::Job => state.next = Some((frame, false)),
            FrameKind::Cancel if state.running == Some(frame.id) => {
                self.cancelled.store(true, Ordering::Relaxed);
            }
            FrameKind::Cancel => {
                if let Some((job, is_cancelled)) = &mut state.next
                    && job.id == frame.id
                {
                    *is_cancelled = true;
                }
            }
            FrameKind::Ping => {
                drop(state);
                self.writer.send(FrameKind::Pong, frame.id, &frame.body)?;
                state = self.lock();
            }
            // A pong that nobody has asked for; the decoder lets nothing else through.
            _ => {}
        }
        Ok(state)
    }
}
