//! A file that the lines of a service are appended to, by a thread that exists only while there is something to write.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::Duration;
use std::{future, mem};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::file_queue::{FileChunk, FileQueue};
use super::line_cutter::CutLine;
use super::watched::{Watched, Watcher};

/// The thread waits so long for more before it ends: a service that writes a line now and then costs no thread for each.
const LINGER: Duration = Duration::from_millis(200);

/// What became of the file of a service.
#[derive(Debug)]
pub(crate) enum FileNews {
    /// It cannot be opened or written. That is told once, and tried again with the next data.
    Failing(io::Error),
    /// It is written again. So many bytes were lost in between.
    Recovered { lost: u64 },
}

/// Who is told; called on the writer's thread, or on the one that pushes.
pub(crate) type OnFileNews = Arc<dyn Fn(FileNews) + Send + Sync>;

/// The file of a service. Its drop closes it.
pub(super) struct FileSink {
    shared: Arc<SharedFile>,
}

struct SharedFile {
    path: PathBuf,
    news: Option<OnFileNews>,
    state: Arc<Watched<FileState>>,
}

struct FileState {
    queue: FileQueue,
    /// Open, and not with the writer.
    file: Option<File>,
    writer: Writer,
    writer_has_file: bool,
    reopen: bool,
    /// How much was lost when the last try failed, if it did.
    failing: Option<u64>,
    /// Something came after the last try began: if that one fails, another one is due.
    fresh: bool,
    closed: bool,
}

enum Writer {
    None,
    Writes,
    Lingers(Thread),
}

/// What a writer is to do.
enum WriterStep {
    Write {
        chunk: Option<FileChunk>,
        file: Option<File>,
        /// To be closed outside the lock.
        _former: Option<File>,
    },
    Linger,
    End {
        /// As the former one.
        _file: Option<File>,
    },
}

impl FileSink {
    pub(super) fn new(path: PathBuf, queue: usize, news: Option<OnFileNews>) -> Self {
        let state = Watched::new(FileState {
            queue: FileQueue::new(queue),
            file: None,
            writer: Writer::None,
            writer_has_file: false,
            reopen: false,
            failing: None,
            fresh: false,
            closed: false,
        });
        Self {
            shared: Arc::new(SharedFile {
                path,
                news,
                state: Arc::new(state),
            }),
        }
    }

    pub(super) fn lines(&self, fd: i32, lines: &[CutLine<'_>]) {
        self.shared.wake_writer(|state| state.queue.push(fd, lines));
    }

    /// Opens the path anew, before anything else is written. It may have been renamed.
    pub(super) fn reopen(&self) {
        self.shared.wake_writer(|state| state.reopen = true);
    }

    /// Nothing more comes. What is queued is written, if the file can be written.
    pub(super) fn close(&self) {
        self.shared.wake_writer(|state| state.closed = true);
    }

    /// Ready when all that was pushed is written, or cannot be written. A pipe that nobody reads keeps it pending.
    pub(super) fn flushed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut watcher = Watcher::new(Arc::clone(&self.shared.state));
        future::poll_fn(move |cx| watcher.poll(cx, |state| state.is_idle().then_some(())))
    }

    /// How many descriptors it has open, the writer's included.
    pub(super) fn descriptors(&self) -> usize {
        let is_open = |state: &mut FileState| state.file.is_some() || state.writer_has_file;
        usize::from(self.shared.state.with(is_open))
    }

    /// How many bytes were lost.
    pub(super) fn lost(&self) -> u64 {
        self.shared.state.with(|state| state.queue.lost())
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        self.close();
    }
}

impl FileState {
    fn has_work(&self) -> bool {
        let may_try = self.failing.is_none() || self.fresh;
        may_try && (self.reopen || !self.queue.is_empty())
    }

    fn is_idle(&self) -> bool {
        !matches!(self.writer, Writer::Writes) && !self.has_work()
    }

    fn next_step(&mut self, may_linger: bool) -> WriterStep {
        if self.has_work() {
            self.writer = Writer::Writes;
            // What comes during the try is no part of it.
            self.fresh = false;
            let former = match mem::take(&mut self.reopen) {
                true => {
                    self.queue.reopened();
                    self.file.take()
                }
                false => None,
            };
            let file = self.file.take();
            self.writer_has_file = file.is_some();
            return WriterStep::Write {
                chunk: self.queue.take(),
                file,
                _former: former,
            };
        }
        if self.closed {
            self.queue.give_up();
            self.writer = Writer::None;
            return WriterStep::End {
                _file: self.file.take(),
            };
        }
        if may_linger {
            self.writer = Writer::Lingers(thread::current());
            return WriterStep::Linger;
        }
        self.writer = Writer::None;
        WriterStep::End { _file: None }
    }

    /// What came of a try; what is to be told of that.
    fn tried(&mut self, result: io::Result<()>) -> Option<FileNews> {
        match result {
            Ok(()) => self.failing.take().map(|before| FileNews::Recovered {
                lost: self.queue.lost() - before,
            }),
            Err(error) => {
                let is_first = self.failing.is_none();
                let lost = self.queue.lost();
                self.failing.get_or_insert(lost);
                is_first.then_some(FileNews::Failing(error))
            }
        }
    }
}

impl SharedFile {
    /// Changes the state, and sees to it that somebody writes.
    fn wake_writer(self: &Arc<Self>, act: impl FnOnce(&mut FileState)) {
        let (lingering, must_spawn) = self.state.with(|state| {
            act(state);
            state.fresh = true;
            let must_close = state.closed && state.file.is_some();
            match &state.writer {
                Writer::Writes => (None, false),
                Writer::Lingers(thread) => {
                    let thread = thread.clone();
                    state.writer = Writer::Writes;
                    (Some(thread), false)
                }
                Writer::None if state.has_work() || must_close => {
                    state.writer = Writer::Writes;
                    (None, true)
                }
                Writer::None => (None, false),
            }
        });
        if let Some(thread) = lingering {
            thread.unpark();
        }
        if must_spawn {
            self.spawn_writer();
        }
    }

    fn spawn_writer(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        let spawned = thread::Builder::new()
            .name("service-file".to_owned())
            .spawn(move || shared.write());
        if let Err(error) = spawned {
            let news = self.state.change(|state| {
                state.writer = Writer::None;
                // That was the try.
                state.fresh = false;
                if state.closed {
                    state.queue.give_up();
                }
                state.tried(Err(error))
            });
            self.tell(news);
        }
    }

    fn write(&self) {
        let mut may_linger = true;
        loop {
            match self.state.change(|state| state.next_step(may_linger)) {
                WriterStep::Write { chunk, file, .. } => {
                    self.try_to_write(chunk, file);
                    may_linger = true;
                }
                WriterStep::Linger => {
                    thread::park_timeout(LINGER);
                    may_linger = false;
                }
                WriterStep::End { .. } => return,
            }
        }
    }

    fn try_to_write(&self, mut chunk: Option<FileChunk>, file: Option<File>) {
        let mut file = file.map_or_else(|| self.open(), Ok);
        let result = match (&mut file, &mut chunk) {
            (Ok(file), Some(chunk)) => write_all(file, chunk),
            _ => Ok(()),
        };
        let (file, result) = match file {
            Ok(file) => (Some(file), result),
            Err(error) => (None, Err(error)),
        };
        let news = self.state.change(|state| {
            if let Some(chunk) = chunk {
                state.queue.give_back(chunk);
            }
            state.file = file;
            state.writer_has_file = false;
            state.tried(result)
        });
        self.tell(news);
    }

    /// A pipe that nobody has open for reading is an error in place of a wait for ever.
    fn open(&self) -> io::Result<File> {
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .custom_flags(flags.bits())
            .open(&self.path)?;
        // Of a pipe that is full the writer's thread waits for room.
        fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
        Ok(file)
    }

    fn tell(&self, news: Option<FileNews>) {
        if let (Some(news), Some(told)) = (news, &self.news) {
            let _ = catch_unwind(AssertUnwindSafe(|| told(news)));
        }
    }
}

/// Writes as much as can be written; the chunk knows how much that was.
fn write_all(mut file: &File, chunk: &mut FileChunk) -> io::Result<()> {
    while !chunk.rest().is_empty() {
        match file.write(chunk.rest()) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => chunk.wrote(more),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
