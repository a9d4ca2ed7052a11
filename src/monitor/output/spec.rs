//! What is done with the output of a service, as plain data.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// No ring and no line may be larger than this.
const MAX_SIZE: usize = 1024 * 1024 * 1024;

/// A line of a service, as a closure sees it that was given to [`Service::on_line`](crate::monitor::Service::on_line).
#[non_exhaustive]
pub struct ServiceLine<'a> {
    /// The service; of a keyed one also its key.
    pub service: &'a str,
    /// The number of the line, as in [`Followed::Line`](crate::monitor::Followed::Line).
    pub seq: u64,
    /// When it was read.
    pub at: SystemTime,
    /// The descriptor that it was written to. A terminal is descriptor 1.
    pub fd: i32,
    /// The line without its newline, and without one carriage return before that. It need not be UTF-8.
    pub bytes: &'a [u8],
    /// The line is longer than the maximum, and goes on in the next line of this descriptor.
    pub partial: bool,
}

/// A closure that is called with each line. All instances of a service share it; they are on one thread.
pub(crate) type LineSink = Arc<Mutex<dyn FnMut(&ServiceLine<'_>) + Send>>;

/// What is done with the output of a service.
#[derive(Clone)]
pub(crate) struct OutputSpec {
    /// Bytes of lines that are kept, 40 for each line included; 0: none are kept, and followers get `Lagged` only.
    pub(crate) ring: usize,
    /// Bytes that are kept of a terminal, or of a descriptor that somebody follows raw.
    pub(crate) raw_ring: usize,
    /// Longer lines are cut.
    pub(crate) max_line: usize,
    pub(crate) on_line: Option<LineSink>,
    /// The target of records in the log of this program.
    pub(crate) log: Option<String>,
    /// At most so many lines in such a time are logged.
    pub(crate) log_rate: (u32, Duration),
    pub(crate) file: Option<PathBuf>,
    /// Bytes that wait for the file to be written.
    pub(crate) file_queue: usize,
}

impl Default for OutputSpec {
    fn default() -> Self {
        Self {
            ring: 64 * 1024,
            raw_ring: 64 * 1024,
            max_line: 8 * 1024,
            on_line: None,
            log: None,
            log_rate: (1000, Duration::from_secs(10)),
            file: None,
            file_queue: 1024 * 1024,
        }
    }
}

impl OutputSpec {
    /// # Errors
    ///
    /// The field that is bad, and its problem.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        let problem = |field, problem: &str| Err((field, problem.to_owned()));
        for (field, size) in [
            ("ring", self.ring),
            ("raw_ring", self.raw_ring),
            ("max_line", self.max_line),
            ("file_queue", self.file_queue),
        ] {
            if size > MAX_SIZE {
                return Err((field, format!("{size} bytes are more than {MAX_SIZE}")));
            }
        }
        if self.max_line == 0 {
            return problem("max_line", "a line needs at least one byte");
        }
        if self.log.as_ref().is_some_and(String::is_empty) {
            return problem("log", "the target is empty");
        }
        if self.log_rate.0 == 0 || self.log_rate.1.is_zero() {
            return problem("log_rate", "no line could be logged in it");
        }
        if let Some(file) = &self.file {
            if file.as_os_str().as_encoded_bytes().contains(&0) {
                return problem("file", "the path has a zero byte");
            }
            if file.is_dir() || file.file_name().is_none() {
                return problem("file", "the path is that of a directory");
            }
            let folder = file
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            if folder.is_some_and(|folder| !folder.is_dir()) {
                return problem("file", "its directory is not there");
            }
            if self.file_queue < self.max_line {
                return problem("file_queue", "less than one line has room");
            }
        }
        Ok(())
    }
}

/// Of the line only how long it is.
impl fmt::Debug for ServiceLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceLine")
            .field("service", &self.service)
            .field("seq", &self.seq)
            .field("at", &self.at)
            .field("fd", &self.fd)
            .field("bytes", &self.bytes.len())
            .field("partial", &self.partial)
            .finish()
    }
}

impl fmt::Debug for OutputSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputSpec")
            .field("ring", &self.ring)
            .field("max_line", &self.max_line)
            .field("on_line", &self.on_line.is_some())
            .field("log", &self.log)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_value_is_told_with_its_field() {
        let folder = tempfile::tempdir().unwrap();
        let with = |change: fn(&mut OutputSpec)| {
            let mut spec = OutputSpec::default();
            change(&mut spec);
            spec.check().err().map(|(field, _)| field)
        };
        assert_eq!(with(|_| {}), None);
        assert_eq!(with(|spec| spec.ring = 0), None);
        assert_eq!(with(|spec| spec.ring = usize::MAX), Some("ring"));
        assert_eq!(with(|spec| spec.max_line = 0), Some("max_line"));
        assert_eq!(with(|spec| spec.log = Some(String::new())), Some("log"));
        assert_eq!(with(|spec| spec.log_rate.0 = 0), Some("log_rate"));
        assert_eq!(
            with(|spec| spec.log_rate.1 = Duration::ZERO),
            Some("log_rate")
        );
        for (file, is_good) in [
            (folder.path().to_owned(), false),
            (folder.path().join("log"), true),
            (folder.path().join("nowhere/log"), false),
            ("log\0".into(), false),
            ("log".into(), true),
            ("".into(), false),
            ("..".into(), false),
        ] {
            let spec = OutputSpec {
                file: Some(file),
                ..OutputSpec::default()
            };
            assert_eq!(spec.check().is_ok(), is_good, "{:?}", spec.file);
        }
    }
}
