//! Which thread of a worker reads: the one that runs the jobs, or the watcher while a job takes long.
//!
//! Between jobs the calling thread reads for itself, so a short job needs no other thread. While a job runs, the
//! watcher reads in its place once the job has taken [`PATIENCE`]: for a cancel, a ping, the end of the pool. The watcher sleeps
//! without a timeout while no job runs.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::input::FrameReader;
use super::output::FrameWriter;
use crate::pool::wire::{Frame, FrameKind};

/// A job that takes longer is watched.
const PATIENCE: Duration = Duration::from_millis(2);

/// What the two threads share.
#[derive(Debug)]
pub(super) struct WorkerTurns {
    state: Mutex<ReadingState>,
    /// For the calling thread: there may be a job, or the reader is free.
    may_go_on: Condvar,
    /// For the watcher: a job runs, or all is over.
    may_watch: Condvar,
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
    /// The job that is next, and whether it was cancelled meanwhile. A pool sends none before the last one's answer.
    next: Option<(Frame, bool)>,
    /// How many jobs have begun.
    begun: u64,
    watcher_sleeps: bool,
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
                begun: 0,
                watcher_sleeps: false,
                over: None,
            }),
            may_go_on: Condvar::new(),
            may_watch: Condvar::new(),
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
                state.begun = state.begun.wrapping_add(1);
                self.cancelled.store(is_cancelled, Ordering::Relaxed);
                if std::mem::take(&mut state.watcher_sleeps) {
                    self.may_watch.notify_one();
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
        self.lock().running = None;
    }

    /// Ends the watcher, unless it reads: it ends with the process then.
    pub(super) fn stop(&self) {
        self.lock().over.get_or_insert(Ok(()));
        self.may_watch.notify_one();
    }

    /// Reads while a job takes long, until all is over.
    pub(super) fn watch(&self) {
        let mut state = self.lock();
        while state.over.is_none() {
            if state.running.is_none() {
                state.watcher_sleeps = true;
                let waited = self.may_watch.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let begun = state.begun;
            let is_open = |state: &mut ReadingState| state.over.is_none();
            let waited = self.may_watch.wait_timeout_while(state, PATIENCE, is_open);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            while state.running.is_some() && state.begun == begun && state.over.is_none() {
                let Some(reader) = state.reader.take() else {
                    break;
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
            FrameKind::Job if state.next.is_some() => {
                let why = "a job came while another one waits";
                let error = io::Error::new(io::ErrorKind::InvalidData, why);
                self.cancelled.store(true, Ordering::Relaxed);
                state.over = Some(Err(error));
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
