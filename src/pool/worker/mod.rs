//! The worker's side of a pool, for workers in Rust: blocking, without a runtime.
//!
//! A worker is a program that a pool with `Framing::Frames` starts. It gets jobs on its descriptor 3 and answers on 4, so what it
//! prints on 1 and 2 harms nothing. The format is in `docs/wire.md`; the example `pool_conformance` tries any worker.
//!
//! ```no_run
//! use actix_process::pool::worker;
//!
//! fn main() -> std::io::Result<()> {
//!     worker::serve(|job| {
//!         let text = str::from_utf8(job.body())?;
//!         Ok::<_, std::str::Utf8Error>(text.to_uppercase())
//!     })
//! }
//! ```
//!
//! A worker that loads something first says so, and streams its answers:
//!
//! ```no_run
//! use actix_process::pool::worker::{Cancelled, Worker};
//!
//! # struct Model;
//! # impl Model {
//! #     fn load() -> std::io::Result<Self> { Ok(Self) }
//! #     fn tokens(&self, _: &[u8]) -> Vec<String> { Vec::new() }
//! # }
//! fn main() -> std::io::Result<()> {
//!     let worker = Worker::new()?.name("model");
//!     worker.progress("loading the weights")?;
//!     let model = Model::load()?;
//!     worker.serve(|job| {
//!         for token in model.tokens(job.body()) {
//!             job.chunk(token)?;
//!         }
//!         Ok::<_, Cancelled>("")
//!     })
//! }
//! ```

mod input;
mod job;
mod output;
mod turns;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::fmt::Display;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Instant;

use bytes::Bytes;

use crate::pool::wire::{Frame, FrameKind, MAX_BODY, MAX_LOADING};
use crate::sys::inherited::inherited;
use input::FrameReader;
use output::FrameWriter;
use turns::WorkerTurns;

pub use job::{Cancelled, WorkerJob};

/// Does jobs by `answer` until the pool closes descriptor 3: [`Worker::new`] and [`Worker::serve`].
///
/// # Errors
///
/// Those of both.
pub fn serve<F, R, E>(answer: F) -> io::Result<()>
where
    F: FnMut(&WorkerJob) -> Result<R, E>,
    R: Into<Bytes>,
    E: Display,
{
    Worker::new()?.serve(answer)
}

/// A worker that has not said yet that it takes jobs.
#[derive(Debug)]
pub struct Worker {
    jobs: OwnedFd,
    answers: FrameWriter,
    name: String,
    max: usize,
}

impl Worker {
    /// A worker that gets jobs from descriptor 3 and answers on 4.
    ///
    /// Programs that this one executes do not get these two, so that the pool sees the end of this one.
    ///
    /// # Errors
    ///
    /// 3 or 4 is not open: no pool has started this program. No descriptor is left for a duplicate.
    pub fn new() -> io::Result<Self> {
        let descriptor = |n| {
            let why = |error: io::Error| {
                let text = format!("descriptor {n} of a pool's worker: {error}");
                io::Error::new(error.kind(), text)
            };
            inherited(n).map_err(why)
        };
        Ok(Self::over(descriptor(3)?, descriptor(4)?))
    }

    /// A worker that gets jobs from the first of these and answers on the second, for tests of a worker. Both must block.
    #[must_use]
    pub fn over(jobs: OwnedFd, answers: OwnedFd) -> Self {
        Self {
            jobs,
            answers: FrameWriter::new(answers),
            name: String::new(),
            max: MAX_BODY,
        }
    }

    /// What the pool's events call this worker's program, in at most 128 bytes; empty unless set.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The most bytes of a frame's body, both ways: 8 MiB unless set. It belongs to what the pool is told. 0 counts as 1.
    ///
    /// A job with more ends [`serve`](Self::serve). An answer with more goes in several parts, and an error with more is cut.
    #[must_use]
    pub const fn max_body(mut self, max: usize) -> Self {
        self.max = if max == 0 { 1 } else { max };
        self
    }

    /// Tells that this worker is loading still, which moves the pool's deadline for its start. Of the text, 256 bytes are sent.
    ///
    /// # Errors
    ///
    /// Of the write: `BrokenPipe` when the pool is gone.
    pub fn progress(&self, text: impl AsRef<str>) -> io::Result<()> {
        let text = cut(text.as_ref(), MAX_LOADING);
        self.answers.send(FrameKind::Progress, 0, text.as_bytes())
    }

    /// Says that this worker takes jobs, and does them by `answer`, one after the other, on this thread, until the pool closes
    /// the descriptor of the jobs.
    ///
    /// What `answer` returns is the answer, or its last part where [`chunk`](WorkerJob::chunk) has sent some. An error becomes the
    /// job's error, by its `Display`; so does a panic, and the worker goes on. A job that nobody wants any more
    /// [says so](WorkerJob::is_cancelled); what is returned for it then is sent and thrown away. Pings of the pool are answered also while `answer`
    /// runs, by a thread that this starts: some milliseconds later, and after many short jobs up to half a second later, if the job does not ask whether it
    /// is cancelled.
    ///
    /// When the pool is gone while a job runs, the job counts as cancelled, and this returns after `answer`.
    ///
    /// ```
    /// use std::io::{Read, pipe};
    ///
    /// use actix_process::pool::worker::Worker;
    ///
    /// let ((jobs, pool), (mut answers, worker)) = (pipe()?, pipe()?);
    /// drop(pool);
    /// let worker = Worker::over(jobs.into(), worker.into()).name("echo");
    /// worker.serve(|job| Ok::<_, String>(job.body().clone()))?;
    /// let mut ready = Vec::new();
    /// answers.read_to_end(&mut ready)?;
    /// assert!(ready.ends_with(b"\x02echo"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `BrokenPipe` when the pool has closed the descriptor of the answers; `InvalidData` when what it sends is no frame, or has too many
    /// bytes; `InvalidInput` for a name of more than 128 bytes; no thread could be
    /// started.
    pub fn serve<F, R, E>(self, mut answer: F) -> io::Result<()>
    where
        F: FnMut(&WorkerJob) -> Result<R, E>,
        R: Into<Bytes>,
        E: Display,
    {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let ready = Frame::ready(&self.name).map_err(invalid)?;
        let reader = FrameReader::new(self.jobs, self.max);
        let turns = Arc::new(WorkerTurns::new(reader, self.answers));
        let watcher = thread::Builder::new().name("pool-worker".to_owned());
        let watched = Arc::clone(&turns);
        watcher.spawn(move || watched.watch())?;
        let result = (|| {
            turns.writer.send(ready.kind, 0, &ready.body)?;
            while let Some(frame) = turns.begin()? {
                do_job(&turns, frame, self.max, &mut answer)?;
            }
            Ok(())
        })();
        turns.stop();
        result
    }
}

/// Does one job, and sends the last frame of its answer.
fn do_job<F, R, E>(
    turns: &Arc<WorkerTurns>,
    frame: Frame,
    max: usize,
    answer: &mut F,
) -> io::Result<()>
where
    F: FnMut(&WorkerJob) -> Result<R, E>,
    R: Into<Bytes>,
    E: Display,
{
    let id = frame.id;
    let job = WorkerJob {
        turns: Arc::clone(turns),
        frame,
        begun: Instant::now(),
        is_watched: AtomicBool::new(false),
        max,
    };
    // The function is called again after its panic: what it has left half done is its own.
    let answered = catch_unwind(AssertUnwindSafe(|| {
        let answer: Result<Bytes, E> = answer(&job).map(Into::into);
        answer.map_err(|error| error.to_string())
    }));
    drop(job);
    turns.finish();
    match answered.unwrap_or_else(|panic| Err(said_by(&*panic))) {
        Ok(mut answer) => {
            while answer.len() > max {
                let piece = answer.split_to(max);
                turns.writer.send(FrameKind::Chunk, id, &piece)?;
            }
            turns.writer.send(FrameKind::End, id, &answer)
        }
        Err(error) => {
            let error = cut(&error, max);
            turns.writer.send(FrameKind::Error, id, error.as_bytes())
        }
    }
}

/// The front of `text` of at most `max` bytes, up to the end of a character.
fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find_map(|end| text.get(..end));
    end.unwrap_or_default()
}

/// The text of a panic.
fn said_by(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("(no text)"))
}
