//! What a service writes, on its way to all who want it.

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;

use super::file_sink::OnFileNews;
use super::follow::{Follow, LineLog};
use super::follow_raw::{FollowRaw, RawLogs};
use super::line_cutter::{CutLine, LineCutter};
use super::since::Since;
use super::sinks::{SeenLine, Sinks};
use super::spec::OutputSpec;
use super::tail_bytes::TailBytes;
use super::watched::Watched;
use crate::Bytes;

/// The descriptor that the output of a terminal counts as.
const TERMINAL: i32 = 1;

/// The output of one instance of a service, over all its generations. It belongs to the monitor's thread; what others
/// read of it is an [`OutputSource`]. Its drop closes it.
pub(crate) struct ServiceOutput {
    source: OutputSource,
    sinks: Sinks,
    max_line: usize,
    /// For each descriptor that wrote something in this generation.
    cutters: Vec<(i32, LineCutter)>,
    /// What an exit shows: the standard error, or the terminal.
    tail: TailBytes,
    tail_fd: i32,
    generation: Option<u64>,
    closed: bool,
}

/// Where followers of a service begin, from any thread. A clone is the same source.
#[derive(Clone)]
pub(crate) struct OutputSource {
    lines: Arc<Watched<LineLog>>,
    raw: Arc<RawLogs>,
}

/// What came, and what a sink did not get of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct OutputCounters {
    /// Lines, and pieces of long ones.
    pub(crate) lines: u64,
    /// Lines that the log did not get.
    pub(crate) suppressed: u64,
    /// Bytes that the file did not get.
    pub(crate) file_lost: u64,
}

impl ServiceOutput {
    /// `source` was made of the same `spec`, and somebody may follow it already. `service` is what a line sink is told; `news` is told
    /// when the file fails and when it is well again.
    pub(crate) fn new(
        spec: &OutputSpec,
        source: OutputSource,
        service: Arc<str>,
        news: Option<OnFileNews>,
    ) -> Self {
        Self {
            source,
            sinks: Sinks::new(spec, service, news),
            max_line: spec.max_line,
            cutters: Vec::new(),
            tail: TailBytes::default(),
            tail_fd: 2,
            generation: None,
            closed: false,
        }
    }

    /// A start: what comes from here on is of this generation.
    pub(crate) fn started(&mut self, generation: u64) {
        self.ended();
        self.tail.clear();
        if self.generation.replace(generation).is_some() {
            self.source.lines.change(LineLog::restart);
            self.source.raw.restart();
        }
    }

    /// Whether this generation is on a terminal: its descriptor 1 is all of its output, and the bytes of it are kept from here on, for
    /// who attaches to it.
    pub(crate) fn on_terminal(&mut self, terminal: bool) {
        self.tail_fd = if terminal { TERMINAL } else { 2 };
        self.source.raw.keep(terminal.then_some(TERMINAL));
    }

    /// A chunk as it was read.
    pub(crate) fn data(&mut self, fd: i32, chunk: &[u8]) {
        if self.closed {
            return;
        }
        self.source.raw.push(fd, chunk);
        if fd == self.tail_fd {
            self.tail.push(chunk);
        }
        let at = SystemTime::now();
        let max_line = self.max_line;
        let index = self.cutters.iter().position(|(of, _)| *of == fd);
        let index = index.unwrap_or_else(|| {
            self.cutters.push((fd, LineCutter::new(max_line)));
            self.cutters.len() - 1
        });
        self.sinks.look();
        if let Some((_, cutter)) = self.cutters.get_mut(index) {
            let (log, sinks) = (&self.source.lines, &mut self.sinks);
            cutter.cut(chunk, |lines| deliver(log, sinks, fd, at, lines));
        }
    }

    /// The descriptor is closed: its last line is whole, with or without its newline.
    pub(crate) fn closed(&mut self, fd: i32) {
        if let Some(index) = self.cutters.iter().position(|(of, _)| *of == fd) {
            let (fd, mut cutter) = self.cutters.swap_remove(index);
            let (log, sinks) = (&self.source.lines, &mut self.sinks);
            cutter.finish(|lines| deliver(log, sinks, fd, SystemTime::now(), lines));
        }
        self.sinks.closed(fd);
    }

    /// The child is reaped, and all its descriptors are closed.
    pub(crate) fn ended(&mut self) {
        self.finish_all();
        self.sinks.ended();
    }

    fn finish_all(&mut self) {
        while let Some((fd, _)) = self.cutters.last() {
            self.closed(*fd);
        }
        self.cutters = Vec::new();
    }

    /// No more comes, ever: followers end behind what is there, and the file is closed when all is written.
    pub(crate) fn close(&mut self) {
        if self.closed {
            return;
        }
        self.ended();
        self.closed = true;
        self.source.close();
        self.sinks.close();
    }

    /// Followers end behind what is there. The sinks get what comes after that, too.
    pub(crate) fn end_follows(&self) {
        self.source.close();
    }

    /// The last 4 KiB of the standard error of this generation. A terminal has no standard error, and it is the last of its output.
    pub(crate) fn tail(&self) -> Bytes {
        self.tail.look()
    }

    /// Calls `watch` with each line of `fd` from here on, until it breaks or panics, and once with [`SeenLine::Closed`] when `fd` closes or
    /// the generation is over.
    pub(crate) fn watch_lines(
        &mut self,
        fd: i32,
        watch: impl FnMut(SeenLine<'_>) -> ControlFlow<()> + 'static,
    ) {
        self.sinks.watch(fd, Box::new(watch));
    }

    /// Opens the file of the service anew, for who has renamed it.
    pub(crate) fn reopen(&self) {
        self.sinks.reopen();
    }

    /// Ready when the file has what came until now, or cannot be written. A pipe that nobody reads keeps it pending.
    pub(crate) fn flushed(&self) -> impl Future<Output = ()> + Send + use<> {
        self.sinks.flushed()
    }

    /// How many descriptors it has open: its file.
    pub(crate) fn descriptors(&self) -> usize {
        self.sinks.descriptors()
    }

    #[cfg(test)]
    pub(super) const fn source(&self) -> &OutputSource {
        &self.source
    }

    pub(crate) fn counters(&self) -> OutputCounters {
        OutputCounters {
            lines: self.source.lines.with(|log| log.last_seq()),
            suppressed: self.sinks.suppressed(),
            file_lost: self.sinks.file_lost(),
        }
    }
}

/// The closures come after the ring: one that follows sees the line that it was called with.
fn deliver(
    log: &Watched<LineLog>,
    sinks: &mut Sinks,
    fd: i32,
    at: SystemTime,
    lines: &[CutLine<'_>],
) {
    let first = log.change(|log| log.push(fd, at, lines));
    sinks.lines(fd, at, first, lines);
}

impl OutputSource {
    pub(crate) fn new(spec: &OutputSpec) -> Self {
        Self {
            lines: Arc::new(Watched::new(LineLog::new(spec.ring))),
            raw: Arc::new(RawLogs::new(spec.raw_ring)),
        }
    }

    /// One of a service that is not there: its followers get `Closed` at once.
    pub(crate) fn none() -> Self {
        let source = Self {
            lines: Arc::default(),
            raw: Arc::default(),
        };
        source.close();
        source
    }

    /// Its followers end behind what is there, and it keeps no more.
    pub(crate) fn close(&self) {
        self.lines.change(|log| log.closed = true);
        self.raw.close();
    }

    pub(crate) fn follow(&self, since: Since) -> Follow {
        Follow::new(&self.lines, since)
    }

    pub(crate) fn follow_raw(&self, fd: i32) -> FollowRaw {
        self.raw.follow(fd)
    }
}

impl Drop for ServiceOutput {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for ServiceOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceOutput")
            .field("generation", &self.generation)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OutputSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputSource").finish_non_exhaustive()
    }
}
