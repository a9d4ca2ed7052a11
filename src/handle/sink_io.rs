//! A child's input as a writer of tokio's, for code that takes `AsyncWrite`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_sink::Sink;
use tokio::io::AsyncWrite;

use crate::handle::sink::FdSink;

/// The most bytes that one write takes: as many as the sink queues before it makes the writer wait.
const WRITE_SIZE: usize = 64 * 1024;

/// A write copies its bytes and queues them, up to 64 KiB; it waits while 64 KiB or more are queued. `flush` waits until all
/// is written to the child, `shutdown` closes the descriptor and waits for that.
///
/// # Errors
///
/// `BrokenPipe` once the descriptor is closed, by either side.
impl AsyncWrite for FdSink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.as_mut().poll_ready(cx))?;
        let taken = data.get(..WRITE_SIZE).unwrap_or(data);
        if !taken.is_empty() {
            self.start_send(Bytes::copy_from_slice(taken))?;
        }
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Sink::poll_flush(self, cx).map_err(Into::into)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Sink::poll_close(self, cx).map_err(Into::into)
    }
}
