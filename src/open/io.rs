//! Both directions of an opened child as one transport.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use super::poll_drained;
use crate::handle::ProcessHandle;
use crate::handle::sink::FdSink;
use crate::handle::stream::FdStream;

/// A child as a transport: reads its standard output, writes its standard input; made by
/// [`Opened::io`](crate::Opened::io). Dropping it kills the child, as the drop of [`Opened`](crate::Opened) does.
///
/// `tokio::io::split` makes two halves of it, for code that takes a reader and a writer. `shutdown` closes the child's
/// standard input and leaves its output open. A standard error that is a pipe of this program is read along with each read, and
/// thrown away, so that a child that complains is not held up.
#[derive(Debug)]
#[must_use = "dropping it kills the child"]
pub struct Io {
    process: ProcessHandle,
    stdout: FdStream,
    stderr: FdStream,
    // Last, as that of `Opened`.
    stdin: FdSink,
}

impl Io {
    pub(super) const fn new(
        process: ProcessHandle,
        stdin: FdSink,
        stdout: FdStream,
        stderr: FdStream,
    ) -> Self {
        Self {
            process,
            stdout,
            stderr,
            stdin,
        }
    }

    /// The child, to signal it and to wait for its end.
    pub const fn process(&self) -> &ProcessHandle {
        &self.process
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let _ = poll_drained(&mut self.stderr, cx);
        Pin::new(&mut self.stdout).poll_read(cx, space)
    }
}

impl AsyncBufRead for Io {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        let _ = poll_drained(&mut this.stderr, cx);
        Pin::new(&mut this.stdout).poll_fill_buf(cx)
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        Pin::new(&mut self.stdout).consume(count);
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.stdin), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}
