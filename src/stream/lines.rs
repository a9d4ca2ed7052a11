//! The output of a child line by line, with its failure at the end.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;

use super::failure::StreamFailure;
use super::output::OutputStream;
use crate::line::Line;
use crate::open::input::BytesInput;
use crate::port::line_splitter::LineSplitter;

/// The output of a child line by line; made by [`OutputStream::lines`].
///
/// Each item is a [`Line`]: a line that is too long comes in pieces, and one without its newline when the output ends. A failure is the last
/// item, after the lines. Dropping it kills the child.
#[must_use = "dropping it kills the child"]
pub struct OutputLines<P = BytesInput> {
    output: OutputStream<P>,
    splitter: LineSplitter,
    /// What comes after the last line.
    end: Option<Option<StreamFailure>>,
}

impl<P> OutputStream<P> {
    /// The output line by line, for server-sent events and the like. A line of more than `max` bytes comes in pieces.
    ///
    /// ```
    /// use actix_process::Command;
    /// use futures::TryStreamExt;
    ///
    /// # actix::System::new().block_on(async {
    /// let lines = Command::new("seq").arg("2").stream().start().await?.lines(1024);
    /// let events: Vec<_> = lines.map_ok(|line| format!("data: {}\n\n", line.to_string_lossy())).try_collect().await?;
    /// assert_eq!(events, ["data: 1\n\n", "data: 2\n\n"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn lines(self, max: usize) -> OutputLines<P> {
        OutputLines {
            output: self,
            splitter: LineSplitter::new(max),
            end: None,
        }
    }
}

impl<P> OutputLines<P> {
    /// The stream of bytes that is cut into lines.
    pub const fn get_ref(&self) -> &OutputStream<P> {
        &self.output
    }
}

impl<P> Stream for OutputLines<P>
where
    P: Stream<Item = Result<Bytes, Box<dyn Error + Send + Sync>>> + Unpin,
{
    type Item = Result<Line, StreamFailure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some((line, _)) = self.splitter.next() {
                return Poll::Ready(Some(Ok(line)));
            }
            if let Some(end) = &mut self.end {
                return Poll::Ready(end.take().map(Err));
            }
            match ready!(Pin::new(&mut self.output).poll_next(cx)) {
                Some(Ok(data)) => self.splitter.push(data),
                Some(Err(failure)) => {
                    self.splitter.finish();
                    self.end = Some(Some(failure));
                }
                None => {
                    self.splitter.finish();
                    self.end = Some(None);
                }
            }
        }
    }
}

impl<P> fmt::Debug for OutputLines<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputLines")
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}
