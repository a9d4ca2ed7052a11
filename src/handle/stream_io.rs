//! A child's output as a reader of tokio's, for code that takes `AsyncRead` or `AsyncBufRead`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use crate::handle::stream::FdStream;

/// Reads and the pieces of the stream may alternate: both take the bytes in their order, each once.
///
/// # Errors
///
/// `UnexpectedEof` where nobody was left to read the descriptor (its arbiter has stopped): what came before
/// is not all then. A child that closes its end is an end of file, however it dies.
impl AsyncBufRead for FdStream {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.put_back.is_empty() {
            match ready!(this.poll_piece(cx)) {
                Some(piece) => this.put_back = piece,
                None if this.is_lost() => {
                    let why = "the arbiter that read the child's descriptor is gone";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, why)));
                }
                None => break,
            }
        }
        Poll::Ready(Ok(&this.put_back))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        let held = self.put_back.len();
        self.put_back.advance(count.min(held));
    }
}

/// As [`AsyncBufRead`].
impl AsyncRead for FdStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let held = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = held.len().min(space.remaining());
        space.put_slice(held.get(..count).unwrap_or(held));
        self.consume(count);
        Poll::Ready(Ok(()))
    }
}
