//! What is written to a child while its output is taken: bytes, or a stream that is asked as the child takes.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;

use crate::handle::sink::FdSink;

/// What [`StreamCommand::input`](crate::StreamCommand::input) takes: bytes (whatever is `Into<Bytes>`), or a stream of results whose
/// items are bytes. `Kind` tells the two apart; the compiler finds it.
///
/// ```
/// use actix_process::Command;
/// use futures::{TryStreamExt, stream};
///
/// # actix::System::new().block_on(async {
/// let of_bytes = Command::new("cat").stream().input("whole");
/// assert_eq!(of_bytes.start().await?.try_collect::<Vec<_>>().await?.concat(), b"whole");
///
/// let pieces = stream::iter([Ok::<_, std::io::Error>("in "), Ok("pieces")]);
/// let of_a_stream = Command::new("cat").stream().input(pieces);
/// assert_eq!(of_a_stream.start().await?.try_collect::<Vec<_>>().await?.concat(), b"in pieces");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no input of a child",
    note = "an input is bytes (`Into<Bytes>`), or a `Stream<Item = Result<B, E>>` with `B: Into<Bytes>` and `E: Into<Box<dyn Error + Send + Sync>>`"
)]
pub trait IntoInput<Kind> {
    /// The pieces of it.
    type Pieces: Stream<Item = Result<Bytes, Box<dyn Error + Send + Sync>>>;

    /// Gives its pieces.
    fn into_pieces(self) -> Self::Pieces;
}

/// Bytes as an input, in one piece; also no input at all.
#[derive(Debug)]
pub struct BytesInput(Option<Bytes>);

impl BytesInput {
    pub(crate) const NOTHING: Self = Self(None);
}

impl Stream for BytesInput {
    type Item = Result<Bytes, Box<dyn Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

impl<B: Into<Bytes>> IntoInput<BytesInput> for B {
    type Pieces = BytesInput;

    fn into_pieces(self) -> BytesInput {
        BytesInput(Some(self.into()))
    }
}

/// A stream as an input.
#[derive(Debug)]
pub struct StreamInput<S>(Pin<Box<S>>);

impl<S, B, E> Stream for StreamInput<S>
where
    S: Stream<Item = Result<B, E>>,
    B: Into<Bytes>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Item = Result<Bytes, Box<dyn Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.0.as_mut().poll_next(cx));
        Poll::Ready(next.map(|piece| piece.map(Into::into).map_err(Into::into)))
    }
}

impl<S, B, E> IntoInput<StreamInput<Infallible>> for S
where
    S: Stream<Item = Result<B, E>>,
    B: Into<Bytes>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Pieces = StreamInput<S>;

    fn into_pieces(self) -> StreamInput<S> {
        StreamInput(Box::pin(self))
    }
}

/// Moves the pieces of an input into a sink, no faster than the child takes them.
#[derive(Debug)]
pub(crate) struct Pump<P> {
    /// Until the input is complete, or the child takes no more of it.
    open: Option<(P, FdSink)>,
    /// The input has ended, and the sink is closing.
    complete: bool,
}

impl<P> Pump<P>
where
    P: Stream<Item = Result<Bytes, Box<dyn Error + Send + Sync>>> + Unpin,
{
    pub(crate) const fn new(pieces: P, sink: FdSink) -> Self {
        Self {
            open: Some((pieces, sink)),
            complete: false,
        }
    }

    /// Takes no more of the input.
    pub(crate) fn close(&mut self) {
        self.open = None;
    }

    /// Moves what can be moved, and tells whether that was anything. An error is that of the input, once. A child that
    /// has closed its end ends the pump: that is for the child to judge.
    pub(crate) fn poll_moved(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Result<bool, Box<dyn Error + Send + Sync>> {
        let mut moved = false;
        while let Some((pieces, sink)) = &mut self.open {
            if self.complete {
                if Pin::new(sink).poll_close(cx).is_ready() {
                    self.open = None;
                }
                break;
            }
            match Pin::new(&mut *sink).poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    self.open = None;
                    break;
                }
                Poll::Pending => break,
            }
            match Pin::new(pieces).poll_next(cx) {
                Poll::Ready(Some(Ok(piece))) => {
                    moved = true;
                    if Pin::new(sink).start_send(piece).is_err() {
                        self.open = None;
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.open = None;
                    return Err(error);
                }
                Poll::Ready(None) => self.complete = true,
                Poll::Pending => break,
            }
        }
        Ok(moved)
    }
}
