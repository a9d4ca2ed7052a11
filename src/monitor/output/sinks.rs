//! Who gets the lines of a service while they come: a closure, the log, a file, and what waits for a line.

use std::future::Future;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::file_sink::{FileSink, OnFileNews};
use super::line_cutter::CutLine;
use super::log_sink::LogSink;
use super::spec::{LineSink, OutputSpec, ServiceLine};

/// What somebody sees who waits for a line of one descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeenLine<'a> {
    /// A line without its newline, or a piece of one that is longer than the maximum.
    Line(&'a [u8]),
    /// No more comes: this is the last call.
    Closed,
}

/// Called with each line until it breaks.
pub(in crate::monitor) type LineWatch = Box<dyn FnMut(SeenLine<'_>) -> ControlFlow<()>>;

/// All of them. Nothing in here blocks, and no panic of a closure comes out.
pub(super) struct Sinks {
    service: Arc<str>,
    on_line: Option<LineSink>,
    log: Option<Box<LogSink>>,
    file: Option<FileSink>,
    watches: Vec<(i32, LineWatch)>,
}

impl Sinks {
    pub(super) fn new(spec: &OutputSpec, service: Arc<str>, news: Option<OnFileNews>) -> Self {
        let log = |target: &String| Box::new(LogSink::new(target, spec.log_rate));
        let file = |path: &PathBuf| FileSink::new(path.clone(), spec.file_queue, news);
        Self {
            service,
            on_line: spec.on_line.clone(),
            log: spec.log.as_ref().map(log),
            file: spec.file.as_ref().map(file),
            watches: Vec::new(),
        }
    }

    /// The first of the lines has the number `first`.
    pub(super) fn lines(&mut self, fd: i32, at: SystemTime, first: u64, lines: &[CutLine<'_>]) {
        if !self.watches.is_empty() {
            for line in lines {
                self.tell_watches(fd, SeenLine::Line(line.bytes));
            }
        }
        if let Some(file) = &self.file {
            file.lines(fd, lines);
        }
        if let Some(log) = &mut self.log {
            let logged = || log.lines(fd, lines, Instant::now());
            // A logger is somebody else's code, too.
            if catch_unwind(AssertUnwindSafe(logged)).is_err() {
                self.log = None;
            }
        }
        if let Some(on_line) = &self.on_line {
            let service = &*self.service;
            let called = || {
                // A lock that is poisoned is one of a closure that panicked for another instance, which warned of it.
                let Ok(mut on_line) = on_line.lock() else {
                    return false;
                };
                for (seq, line) in (first..).zip(lines) {
                    let CutLine { bytes, partial } = *line;
                    on_line(&ServiceLine {
                        service,
                        seq,
                        at,
                        fd,
                        bytes,
                        partial,
                    });
                }
                true
            };
            match catch_unwind(AssertUnwindSafe(called)) {
                Ok(true) => {}
                Ok(false) => self.on_line = None,
                Err(_) => {
                    log::warn!(
                        "the closure that gets the lines of service {service:?} panicked, and gets no more"
                    );
                    self.on_line = None;
                }
            }
        }
    }

    pub(super) fn watch(&mut self, fd: i32, watch: LineWatch) {
        self.watches.push((fd, watch));
    }

    pub(super) fn closed(&mut self, fd: i32) {
        self.tell_watches(fd, SeenLine::Closed);
        self.watches.retain(|(of, _)| *of != fd);
    }

    /// A watch that panics sees no more.
    fn tell_watches(&mut self, fd: i32, seen: SeenLine<'_>) {
        self.watches.retain_mut(|(of, watch)| {
            *of != fd
                || matches!(
                    catch_unwind(AssertUnwindSafe(|| watch(seen))),
                    Ok(ControlFlow::Continue(()))
                )
        });
    }

    /// Something came, if no whole line.
    pub(super) fn look(&mut self) {
        if let Some(log) = &mut self.log {
            let _ = catch_unwind(AssertUnwindSafe(|| log.look(Instant::now())));
        }
    }

    /// The generation is over: all descriptors are closed.
    pub(super) fn ended(&mut self) {
        for (_, mut watch) in std::mem::take(&mut self.watches) {
            let _ = catch_unwind(AssertUnwindSafe(|| watch(SeenLine::Closed)));
        }
        if let Some(log) = &mut self.log {
            let _ = catch_unwind(AssertUnwindSafe(|| log.pause()));
        }
    }

    pub(super) fn close(&mut self) {
        if let Some(file) = &self.file {
            file.close();
        }
    }

    pub(super) fn reopen(&self) {
        if let Some(file) = &self.file {
            file.reopen();
        }
    }

    pub(super) fn flushed(&self) -> impl Future<Output = ()> + Send + use<> {
        let flushed = self.file.as_ref().map(FileSink::flushed);
        async move {
            if let Some(flushed) = flushed {
                flushed.await;
            }
        }
    }

    pub(super) fn descriptors(&self) -> usize {
        self.file.as_ref().map_or(0, FileSink::descriptors)
    }

    pub(super) fn suppressed(&self) -> u64 {
        self.log.as_ref().map_or(0, |log| log.total_suppressed())
    }

    pub(super) fn file_lost(&self) -> u64 {
        self.file.as_ref().map_or(0, FileSink::lost)
    }
}
