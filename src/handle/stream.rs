//! Reading from a child without callbacks: a stream of its bytes, or of what a codec makes of them.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio_util::codec::{Decoder, LinesCodec};

use crate::child::Child;
use crate::error::StreamError;
use crate::event::CloseReason;
use crate::handle::ProcessHandle;
use crate::handle::kill_on_drop::KillOnDrop;
use crate::port::stream_queue::StreamQueue;
use crate::sys;

impl ProcessHandle {
    /// The child's standard output as a stream; [`take_stream`](Self::take_stream) of 1.
    ///
    /// # Errors
    ///
    /// As [`take_stream`](Self::take_stream).
    pub fn stdout(&self) -> Result<FdStream, StreamError> {
        self.take_stream(1)
    }

    /// The child's standard error as a stream; [`take_stream`](Self::take_stream) of 2.
    ///
    /// # Errors
    ///
    /// As [`take_stream`](Self::take_stream).
    pub fn stderr(&self) -> Result<FdStream, StreamError> {
        self.take_stream(2)
    }

    /// Takes the stream of `fd`: of a descriptor that the command made an [`Fd::stream`](crate::Fd::stream), or
    /// of 1 if the child's terminal is a [`Pty::stream`](crate::Pty::stream). The stream has all that the child
    /// wrote since its spawn. It can be taken once, also after the child's end.
    ///
    /// ```
    /// use actix_process::{Command, Fd, NoProtocol};
    /// use futures::StreamExt;
    ///
    /// # actix::System::new().block_on(async {
    /// let command = Command::new("printf").arg("one\ntwo").stdout(Fd::stream());
    /// let process = command.spawn(NoProtocol).await?;
    /// let mut lines = process.stdout()?.lines(1024);
    /// assert_eq!(lines.next().await.unwrap()?, "one");
    /// assert_eq!(lines.next().await.unwrap()?, "two");
    /// assert!(lines.next().await.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`StreamError::Taken`] the second time, [`StreamError::NotStream`] for another descriptor. A closed descriptor
    /// is no error: the stream still has what it holds.
    pub fn take_stream(&self, fd: i32) -> Result<FdStream, StreamError> {
        let stream_queue = self.child().port(fd).and_then(|port| port.stream_queue());
        let stream_queue = stream_queue.ok_or(StreamError::NotStream { fd })?;
        if !stream_queue.take() {
            return Err(StreamError::Taken { fd });
        }
        Ok(FdStream {
            stream_queue: Some(Arc::clone(stream_queue)),
            child: Arc::clone(self.child()),
            fd,
            put_back: Bytes::new(),
            hold: None,
        })
    }

    /// The stream of `fd`, as for [`take_stream`](Self::take_stream); an ended one where there is none to take.
    pub(crate) fn stream_or_none(&self, fd: i32) -> FdStream {
        self.take_stream(fd).unwrap_or_else(|_| FdStream {
            stream_queue: None,
            child: Arc::clone(self.child()),
            fd,
            put_back: Bytes::new(),
            hold: None,
        })
    }
}

/// A descriptor of a child that this program reads, as a stream of bytes in the pieces in which they were
/// read. The stream ends when the descriptor is closed, and never fails: the protocol is told the reason of the close.
///
/// While the stream is not polled, the child waits: the stream holds at most the
/// descriptor's [`window`](crate::Fd::window), and after a
/// [cut](crate::ProcessHandle::cut_connection) also what the pipe held. A stream that is kept and not
/// polled holds up the child's end, unless the descriptor is cut: do not wait for `ended()` meanwhile.
///
/// Dropping the stream closes the descriptor; what was not taken is lost. A [terminal](crate::Pty::stream)
/// stays open: the crate reads what the child writes to it later, and throws that away.
#[must_use = "dropping it closes the descriptor"]
pub struct FdStream {
    /// None: the child's descriptor is something else, and the stream has ended.
    stream_queue: Option<Arc<StreamQueue>>,
    child: Arc<Child>,
    fd: i32,
    /// What a decoder or a reader took and left.
    pub(super) put_back: Bytes,
    /// The last one to drop kills the child.
    hold: Option<Arc<KillOnDrop>>,
}

/// No content.
impl fmt::Debug for FdStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FdStream")
            .field("child", &self.child)
            .field("fd", &self.fd)
            .field("put_back", &self.put_back.len())
            .finish_non_exhaustive()
    }
}

impl FdStream {
    pub(super) fn poll_piece(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        // In a copy of the process nobody feeds it.
        if sys::copy::is_copy() {
            return Poll::Ready(None);
        }
        if !self.put_back.is_empty() {
            return Poll::Ready(Some(std::mem::take(&mut self.put_back)));
        }
        match &self.stream_queue {
            Some(stream_queue) => stream_queue.poll_next(cx),
            None => Poll::Ready(None),
        }
    }

    /// The stream, if it is one of the child's descriptors. `None` for a part of an [`Opened`](crate::Opened) child that its
    /// command mapped to something else: such a stream gives nothing, and has ended.
    #[must_use]
    pub fn present(self) -> Option<Self> {
        self.stream_queue.is_some().then_some(self)
    }

    /// Lets the child live while this stream does.
    pub(crate) fn held_by(mut self, hold: &Arc<KillOnDrop>) -> Self {
        self.hold = Some(Arc::clone(hold));
        self
    }

    /// Whether it has ended because nobody was left to read the descriptor: it may not be all then.
    pub(crate) fn is_lost(&self) -> bool {
        // In a copy of the process its lock may be held for ever, and nobody feeds it.
        sys::copy::is_copy()
            || self
                .stream_queue
                .as_ref()
                .is_some_and(|queue| queue.is_lost())
    }

    /// The stream of what `decoder` makes of the bytes: see [`Decoded`].
    pub fn decode<D: Decoder>(self, decoder: D) -> Decoded<D> {
        Decoded {
            stream: self,
            decoder,
            buffer: BytesMut::new(),
            state: DecoderState::Hungry,
            stuck: false,
        }
    }

    /// The stream of the lines, without their ends (LF or CR LF). The last line counts also if it has no end.
    ///
    /// A line of more than `max_length` bytes (a CR counts) is left out and gives
    /// [`LinesCodecError::MaxLineLengthExceeded`](tokio_util::codec::LinesCodecError). A line that is not UTF-8
    /// gives `LinesCodecError::Io`. The lines after it follow in both cases. For lines of bytes use
    /// [`decode`](Self::decode) with tokio-util's `AnyDelimiterCodec`.
    pub fn lines(self, max_length: usize) -> Decoded<LinesCodec> {
        self.decode(LinesCodec::new_with_max_length(max_length))
    }
}

impl Stream for FdStream {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_piece(cx)
    }
}

impl Drop for FdStream {
    fn drop(&mut self) {
        if sys::copy::is_copy() {
            return;
        }
        let Some(stream_queue) = &self.stream_queue else {
            return;
        };
        stream_queue.discard();
        match self.child.port(self.fd) {
            // Its other half would close with it.
            Some(port) if port.is_terminal() => port.discard(),
            Some(port) => port.close(CloseReason::ByParent),
            None => {}
        }
    }
}

/// The stream of [`FdStream::decode`] and [`FdStream::lines`].
///
/// Unlike tokio-util's `FramedRead` the stream does not end at an error: it goes on with the bytes that follow. Only a decoder
/// that fails twice running without taking a byte ends the stream, since
/// it would fail for ever; the stream leaves the second of these errors out.
#[must_use = "dropping it closes the descriptor"]
pub struct Decoded<D> {
    stream: FdStream,
    decoder: D,
    buffer: BytesMut,
    state: DecoderState,
    /// Its last call failed without having taken a byte.
    stuck: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DecoderState {
    /// It needs more bytes.
    Hungry,
    /// It may have more items in what it has.
    Busy,
    /// No more bytes come.
    AtEnd,
    Done,
}

/// Of what waits for the decoder only how much it is.
impl<D: fmt::Debug> fmt::Debug for Decoded<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoded")
            .field("stream", &self.stream)
            .field("decoder", &self.decoder)
            .field("buffer", &self.buffer.len())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl<D> Decoded<D> {
    /// The stream of bytes.
    pub const fn get_ref(&self) -> &FdStream {
        &self.stream
    }

    /// Gives the stream of bytes back. If the decoder has not used all bytes, the next piece is the rest: so a
    /// greeting can be read by lines, and what follows it by another codec.
    ///
    /// ```
    /// use actix_process::{Command, Fd, NoProtocol};
    /// use futures::StreamExt;
    ///
    /// # actix::System::new().block_on(async {
    /// let command = Command::new("printf").arg("4\nabcd").stdout(Fd::stream());
    /// let process = command.spawn(NoProtocol).await?;
    /// let mut lines = process.stdout()?.lines(1024);
    /// assert_eq!(lines.next().await.unwrap()?, "4");
    /// let body: Vec<_> = lines.into_inner().collect().await;
    /// assert_eq!(body.concat(), b"abcd");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn into_inner(self) -> FdStream {
        let Self {
            mut stream, buffer, ..
        } = self;
        // Where it has read nothing yet, what an earlier decoder left is still there.
        if !buffer.is_empty() {
            stream.put_back = buffer.freeze();
        }
        stream
    }

    /// The decoder.
    pub const fn decoder(&self) -> &D {
        &self.decoder
    }

    /// The decoder, to change how it reads the next items.
    pub const fn decoder_mut(&mut self) -> &mut D {
        &mut self.decoder
    }
}

// Nothing in it is ever pinned.
impl<D> Unpin for Decoded<D> {}

impl<D: Decoder> Stream for Decoded<D> {
    type Item = Result<D::Item, D::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let before = this.buffer.len();
            let result = match this.state {
                DecoderState::Done => return Poll::Ready(None),
                DecoderState::Hungry => {
                    match ready!(this.stream.poll_piece(cx)) {
                        Some(data) => {
                            this.buffer.extend_from_slice(&data);
                            this.state = DecoderState::Busy;
                        }
                        None => this.state = DecoderState::AtEnd,
                    }
                    continue;
                }
                DecoderState::Busy => this.decoder.decode(&mut this.buffer),
                DecoderState::AtEnd => this.decoder.decode_eof(&mut this.buffer),
            };
            let was_stuck = this.stuck;
            this.stuck = result.is_err() && this.buffer.len() == before;
            match result {
                Ok(Some(item)) => return Poll::Ready(Some(Ok(item))),
                Ok(None) if this.state == DecoderState::AtEnd => this.state = DecoderState::Done,
                Ok(None) => this.state = DecoderState::Hungry,
                Err(_) if this.stuck && was_stuck => this.state = DecoderState::Done,
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}
