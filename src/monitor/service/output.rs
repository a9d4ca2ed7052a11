//! What becomes of the output of a service.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Service;
use crate::monitor::output::ServiceLine;

impl Service {
    /// How many bytes of its last lines are kept, for [`follow`](crate::monitor::MonitorHandle::follow): 64 KiB unless set, 40 bytes a line
    /// included. 0 keeps none.
    pub const fn ring(mut self, bytes: usize) -> Self {
        self.spec.output.ring = bytes;
        self
    }

    /// How many bytes of the output of a terminal are kept, or of a descriptor that somebody has followed
    /// [raw](crate::monitor::MonitorHandle::follow_raw): 64 KiB unless set.
    pub const fn raw_ring(mut self, bytes: usize) -> Self {
        self.spec.output.raw_ring = bytes;
        self
    }

    /// Longer lines are cut, and told as partial: 8 KiB unless set.
    pub const fn max_line(mut self, bytes: usize) -> Self {
        self.spec.output.max_line = bytes;
        self
    }

    /// Calls this with each line, on the monitor's arbiter. It must not block: all services wait for it. If it panics, it is called no more, which
    /// is warned of in the log. All instances of a keyed service share it.
    pub fn on_line(mut self, sink: impl FnMut(&ServiceLine<'_>) + Send + 'static) -> Self {
        self.spec.output.on_line = Some(Arc::new(Mutex::new(sink)));
        self
    }

    /// Writes each line into this program's log, with this target; see [`log_rate`](Self::log_rate).
    pub fn log(mut self, target: impl Into<String>) -> Self {
        self.spec.output.log = Some(target.into());
        self
    }

    /// How many lines may go to the [log](Self::log) in such a time: 1000 in 10 seconds unless set. Of the others one line tells how many
    /// they were.
    pub const fn log_rate(mut self, lines: u32, time: Duration) -> Self {
        self.spec.output.log_rate = (lines, time);
        self
    }

    /// Appends each line to this file, which is made if it is not there. A thread of its own writes it, while there is something to be
    /// written. What cannot be written is lost, counted and told by an [event](crate::monitor::EventKind::SinkFailed); the service goes on.
    /// After the file was renamed, [`reopen_files`](crate::monitor::MonitorHandle::reopen_files) makes the monitor write to a new one.
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        self.spec.output.file = Some(path.as_ref().to_owned());
        self
    }
}
