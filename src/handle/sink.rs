//! Writing to a child with back-pressure, for code that prefers sinks to callbacks.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_sink::Sink;
use tokio_util::codec::Encoder;

use crate::child::Child;
use crate::error::WriteError;
use crate::handle::ProcessHandle;
use crate::port::write_queue::SinkId;
use crate::port::{Direction, FdCommand, Port};
use crate::sys;

impl ProcessHandle {
    /// The child's standard input as a sink; [`sink`](Self::sink) of 0.
    #[must_use]
    pub fn stdin(&self) -> FdSink {
        self.sink(0)
    }

    /// A sink for any descriptor of the child that we write: `feed` waits while 64 KiB or more are
    /// queued, `flush` until all is written, `send` for both, `close` closes the descriptor and
    /// waits for that. So many small items are best fed, and flushed now and then.
    ///
    /// Any number of sinks, and the handle's own writes, may share a descriptor: what is queued
    /// is theirs together, and written in the order in which it was queued. So beyond the 64 KiB
    /// each sink adds one item at most.
    ///
    /// **Dropping a sink closes nothing**, since others may share its descriptor: `close` it, or call
    /// [`close_stdin`](Self::close_stdin) (for any descriptor
    /// [`close_child_fd`](Self::close_child_fd)), when the input is complete. **A child that reads its input
    /// to the end waits for that**, and so does `ended()`: standard input is a pipe unless the command says
    /// otherwise, also for a child that gets nothing. For such a one use
    /// `command.stdin(Fd::null())`.
    ///
    /// ```
    /// use actix_process::{Bytes, Command, NoProtocol};
    /// use futures::SinkExt;
    ///
    /// # actix::System::new().block_on(async {
    /// let process = Command::new("cat").spawn(NoProtocol).await?;
    /// let mut stdin = process.stdin();
    /// for _ in 0..100 {
    ///     stdin.send(Bytes::from_static(&[b'x'; 10_000])).await?;
    /// }
    /// stdin.close().await?;
    /// assert!(process.ended().await.success());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn sink(&self, fd: i32) -> FdSink {
        static SINKS: AtomicU64 = AtomicU64::new(0);
        FdSink {
            id: SINKS.fetch_add(1, Ordering::Relaxed),
            child: Arc::clone(self.child()),
            fd,
            closing: false,
        }
    }
}

/// A descriptor of a child that we write, as a sink of bytes.
///
/// **Dropping it closes nothing** (dropping an [`FdStream`](crate::FdStream) does): the child sees no end of
/// its input before `close`, [`close_stdin`](ProcessHandle::close_stdin) or
/// [`lose_connection`](ProcessHandle::lose_connection). Code that takes a writer and drops it when it is done
/// needs one of them afterwards.
///
/// Its errors are the handle's: [`WriteError::Closed`] after a close from either side, also when a
/// flush or a close finds that the child closed its end before all was written;
/// [`WriteError::NotWritable`] for a descriptor that we do not write. On a terminal `close` is a
/// flush: write `\x04` for the end of input.
#[derive(Debug)]
pub struct FdSink {
    id: SinkId,
    child: Arc<Child>,
    fd: i32,
    closing: bool,
}

impl FdSink {
    /// A sink of whatever `encoder` makes bytes of: lines, length-delimited frames.
    ///
    /// ```
    /// use actix_process::{Bytes, Command, Fd, NoProtocol};
    /// use futures::{SinkExt, StreamExt};
    /// use tokio_util::codec::LengthDelimitedCodec;
    ///
    /// # actix::System::new().block_on(async {
    /// let command = Command::new("cat").stdout(Fd::stream());
    /// let process = command.spawn(NoProtocol).await?;
    /// let mut frames = process.stdin().encode(LengthDelimitedCodec::new());
    /// let mut echoed = process.take_stream(1)?.decode(LengthDelimitedCodec::new());
    /// frames.send(Bytes::from("hello")).await?;
    /// assert_eq!(echoed.next().await.unwrap()?, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub const fn encode<E>(self, encoder: E) -> Encoded<E> {
        Encoded {
            sink: self,
            encoder,
        }
    }

    fn port(&self) -> Result<&Port, WriteError> {
        let fd = self.fd;
        let port = self.child.port(fd);
        let written = port.filter(|port| port.direction() == Direction::Write);
        written.ok_or(WriteError::NotWritable { fd })
    }
}

impl Sink<Bytes> for FdSink {
    type Error = WriteError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.port()?.poll_room(self.id, cx)
    }

    fn start_send(self: Pin<&mut Self>, data: Bytes) -> Result<(), WriteError> {
        self.port()?.write(FdCommand::Write(data))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.port()?.poll_flushed(self.id, cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let port = self.port()?;
        if port.is_terminal() {
            return port.poll_flushed(self.id, cx);
        }
        if !self.closing {
            port.close(FdCommand::Close);
        }
        let closed = port.poll_closed(self.id, cx);
        self.closing = true;
        closed
    }
}

impl Drop for FdSink {
    fn drop(&mut self) {
        if sys::copy::is_copy() {
            return;
        }
        if let Ok(port) = self.port() {
            port.forget(self.id);
        }
    }
}

/// The sink of [`FdSink::encode`]. A [`WriteError`] comes as the encoder's error, by
/// [`std::io::Error`].
#[derive(Debug)]
pub struct Encoded<E> {
    sink: FdSink,
    encoder: E,
}

// Neither half is ever pinned.
impl<E> Unpin for Encoded<E> {}

impl<E, T> Sink<T> for Encoded<E>
where
    E: Encoder<T>,
{
    type Error = E::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E::Error>> {
        Pin::new(&mut self.sink)
            .poll_ready(cx)
            .map_err(failed::<E, T>)
    }

    fn start_send(mut self: Pin<&mut Self>, item: T) -> Result<(), E::Error> {
        let mut bytes = BytesMut::new();
        self.encoder.encode(item, &mut bytes)?;
        let bytes = bytes.freeze();
        Pin::new(&mut self.sink)
            .start_send(bytes)
            .map_err(failed::<E, T>)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E::Error>> {
        Pin::new(&mut self.sink)
            .poll_flush(cx)
            .map_err(failed::<E, T>)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E::Error>> {
        Pin::new(&mut self.sink)
            .poll_close(cx)
            .map_err(failed::<E, T>)
    }
}

fn failed<E: Encoder<T>, T>(error: WriteError) -> E::Error {
    E::Error::from(error.into())
}
