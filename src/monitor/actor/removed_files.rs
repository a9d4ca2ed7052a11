//! The files of services that are gone, until they are written.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

use crate::monitor::output::ServiceOutput;

type Flush = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the end of the monitor has to wait for, besides the files of those that are there. Each has a thread that writes it, or has had
/// one when the last of them was taken: there are no more than that.
#[derive(Default)]
pub(super) struct RemovedFiles(Vec<Flush>);

impl RemovedFiles {
    /// Takes the file of an output that is closed, and forgets those that are written.
    pub(super) fn take(&mut self, output: &ServiceOutput) {
        self.0.push(Box::pin(output.flushed()));
        let cx = &mut Context::from_waker(Waker::noop());
        self.0
            .retain_mut(|flush| flush.as_mut().poll(cx).is_pending());
    }

    /// Until all are written, or cannot be.
    pub(super) async fn written(self) {
        for flush in self.0 {
            flush.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    use futures::FutureExt;
    use futures::executor::block_on;
    use nix::sys::stat::Mode;

    use super::*;
    use crate::monitor::output::{OutputSource, OutputSpec};

    fn with_file(file: Option<&Path>) -> ServiceOutput {
        let spec = OutputSpec {
            file: file.map(Path::to_owned),
            ..OutputSpec::default()
        };
        ServiceOutput::new(&spec, OutputSource::new(&spec), "web".into(), None)
    }

    fn removed(files: &mut RemovedFiles, mut output: ServiceOutput) {
        output.close();
        files.take(&output);
    }

    #[test]
    fn those_that_are_written_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = RemovedFiles::default();
        for number in 0..100 {
            let path = folder.path().join(number.to_string());
            let mut output = with_file(Some(&path));
            output.data(1, b"line\n");
            let flushed = output.flushed();
            removed(&mut files, output);
            block_on(flushed);
        }
        removed(&mut files, with_file(None));
        assert_eq!(files.0.len(), 0);
    }

    #[test]
    fn one_that_is_not_written_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
        let mut options = fs::OpenOptions::new();
        let options = options.read(true).custom_flags(nonblocking);
        let reader = options.open(&path).unwrap();
        let mut files = RemovedFiles::default();
        let mut output = with_file(Some(&path));
        // More than the pipe has room for.
        output.data(1, &b"0123456789abcde\n".repeat(16 * 1024));
        removed(&mut files, output);
        removed(&mut files, with_file(None));
        assert_eq!(files.0.len(), 1);
        let mut written = Box::pin(files.written());
        assert_eq!(written.as_mut().now_or_never(), None);
        drop(reader);
        block_on(written);
    }
}
