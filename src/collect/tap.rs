//! An output that is told of line by line while it is collected.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::EachLine;
use crate::handle::stream::FdStream;
use crate::port::kept::{Keep, KeptBytes};
use crate::port::line_splitter::LineSplitter;
use crate::sync::lock;

/// The longest line that is told of in one piece.
const LONGEST_LINE: usize = 64 * 1024;

/// Takes a descriptor's stream, keeps what is to be kept, and tells of each line.
pub(super) struct Tap {
    pub(super) fd: i32,
    stream: FdStream,
    each: EachLine,
    splitter: LineSplitter,
    kept: KeptBytes,
    is_over: bool,
}

impl Tap {
    pub(super) fn new(fd: i32, stream: FdStream, each: EachLine, keep: Keep) -> Self {
        Self {
            fd,
            stream,
            each,
            splitter: LineSplitter::new(LONGEST_LINE),
            kept: KeptBytes::new(keep),
            is_over: false,
        }
    }

    /// Takes what has come. Ready when no more comes; true if that is because nobody was left to read it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while !self.is_over {
            match Pin::new(&mut self.stream).poll_next(cx) {
                Poll::Ready(Some(data)) => {
                    self.kept.push(&data);
                    self.splitter.push(data);
                }
                Poll::Ready(None) => {
                    self.splitter.finish();
                    self.is_over = true;
                }
                Poll::Pending => return Poll::Pending,
            }
            while let Some((line, _)) = self.splitter.next() {
                let mut each = lock(&self.each);
                each(line);
            }
        }
        Poll::Ready(self.stream.is_lost())
    }

    /// How many bytes have come.
    pub(super) const fn total(&self) -> u64 {
        self.kept.total()
    }

    /// Takes what was kept; from now on nothing is.
    pub(super) fn take(&mut self) -> KeptBytes {
        std::mem::replace(&mut self.kept, KeptBytes::new(Keep::first(0)))
    }
}
