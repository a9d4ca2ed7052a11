//! What is written to a child while its output is taken: bytes, or a stream that is asked as the child takes.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
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

/// Bytes as an input, in one piece; also no input at all. `Debug` shows how many they are.
pub struct BytesInput(Option<Bytes>);

impl fmt::Debug for BytesInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.as_ref().map(Bytes::len);
        f.debug_tuple("BytesInput").field(&size).finish()
    }
}

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

/// The most that is written at a time: a sink has room again when the child has taken half of it.
const WRITE: usize = 64 * 1024;
/// After so many writes, or pieces that have no bytes, others on this thread come first.
const WRITES_PER_TURN: u32 = 64;

/// Moves the pieces of an input into a sink, no faster than the child takes them.
#[derive(Debug)]
pub(crate) struct Pump<P> {
    /// Until the input is complete, has failed, or is let go of.
    pieces: Option<P>,
    /// What is left of a piece.
    rest: Bytes,
    /// Until it is closed.
    sink: Option<FdSink>,
    /// The input is complete, and the sink is closing.
    complete: bool,
}

impl<P> Pump<P> {
    pub(crate) const fn new(pieces: P, sink: FdSink) -> Self {
        Self {
            pieces: Some(pieces),
            rest: Bytes::new(),
            sink: Some(sink),
            complete: false,
        }
    }

    /// Takes no more of the input. The sink stays as it is, lest the child takes its close for the end of the input.
    pub(crate) fn let_go(&mut self) {
        self.pieces = None;
        self.rest = Bytes::new();
    }

    /// The child takes no more, or has all.
    fn close(&mut self) {
        self.let_go();
        self.sink = None;
    }

    /// How many bytes the child has not taken of what was moved.
    pub(crate) fn queued(&self) -> usize {
        self.sink.as_ref().map_or(0, FdSink::queued)
    }
}

impl<P> Pump<P>
where
    P: Stream<Item = Result<Bytes, Box<dyn Error + Send + Sync>>> + Unpin,
{
    /// Moves what can be moved, and tells whether that was anything. An error is that of the input, once; the sink is open then: the
    /// caller kills the child before it drops the pump. A child that has closed its end ends the pump: that is for the child to judge.
    pub(crate) fn poll_moved(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Result<bool, Box<dyn Error + Send + Sync>> {
        let mut moved = false;
        for _ in 0..WRITES_PER_TURN {
            let Some(sink) = &mut self.sink else {
                return Ok(moved);
            };
            if self.complete {
                if Pin::new(sink).poll_close(cx).is_ready() {
                    self.close();
                }
                return Ok(moved);
            }
            let Some(pieces) = &mut self.pieces else {
                return Ok(moved);
            };
            match Pin::new(&mut *sink).poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    self.close();
                    return Ok(moved);
                }
                Poll::Pending => return Ok(moved),
            }
            if self.rest.is_empty() {
                match Pin::new(pieces).poll_next(cx) {
                    Poll::Ready(Some(Ok(piece))) => self.rest = piece,
                    Poll::Ready(Some(Err(error))) => {
                        self.let_go();
                        return Err(error);
                    }
                    Poll::Ready(None) => {
                        self.pieces = None;
                        self.complete = true;
                    }
                    Poll::Pending => return Ok(moved),
                }
            }
            if !self.rest.is_empty() {
                moved = true;
                let write = self.rest.split_to(self.rest.len().min(WRITE));
                if Pin::new(sink).start_send(write).is_err() {
                    self.close();
                }
            }
        }
        cx.waker().wake_by_ref();
        Ok(moved)
    }
}
