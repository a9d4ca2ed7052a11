//! Writing to a child with back-pressure, for code that prefers sinks to callbacks.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_sink::Sink;
use tokio_util::codec::Encoder;

use crate::child::Child;
use crate::error::WriteError;
use crate::event::CloseReason;
use crate::handle::ProcessHandle;
use crate::handle::kill_on_drop::KillOnDrop;
use crate::port::write_queue::SinkId;
use crate::port::{FdCommand, Port};
use crate::sys;

impl ProcessHandle {
    /// The child's standard input as a sink; [`sink`](Self::sink) of 0.
    ///
    /// # Errors
    ///
    /// As [`sink`](Self::sink).
    pub fn stdin(&self) -> Result<FdSink, WriteError> {
        self.sink(0)
    }

    /// A sink for any descriptor of the child that this program writes. `feed` waits while 64 KiB or more are
    /// queued, `flush` until all is written, `send` for both; `close` closes the descriptor and
    /// waits for the close. Feed many small items, and flush now and then.
    ///
    /// Any number of sinks, and the handle's own writes, may share a descriptor. They share one queue, which is written in the
    /// order in which it was filled. So each sink adds one item at most beyond the 64 KiB.
    ///
    /// **Dropping a sink closes nothing**, since others may share its descriptor: `close` it, make it one that
    /// [closes on drop](FdSink::close_on_drop), or call [`close_stdin`](Self::close_stdin) (for any
    /// descriptor [`close_child_fd`](Self::close_child_fd)), when the input is complete. **A child that reads its input
    /// to the end waits for the close**, and so does `ended()`. Standard input is a pipe unless the command says
    /// otherwise: for a child that gets no input use `command.stdin(Fd::null())`.
    ///
    /// ```
    /// use actix_process::{Bytes, Command, NoProtocol};
    /// use futures::SinkExt;
    ///
    /// # actix::System::new().block_on(async {
    /// let process = Command::new("cat").spawn(NoProtocol).await?;
    /// let mut stdin = process.stdin()?;
    /// for _ in 0..100 {
    ///     stdin.send(Bytes::from_static(&[b'x'; 10_000])).await?;
    /// }
    /// stdin.close().await?;
    /// assert!(process.ended().await.success());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`WriteError::NotWritable`] for a descriptor that this program does not write. A closed descriptor is no error here:
    /// the first write to its sink fails.
    pub fn sink(&self, fd: i32) -> Result<FdSink, WriteError> {
        let sink = self.sink_or_none(fd);
        sink.is_present()
            .then_some(sink)
            .ok_or(WriteError::NotWritable { fd })
    }

    /// The same; one that refuses to write where the descriptor is not written.
    pub(crate) fn sink_or_none(&self, fd: i32) -> FdSink {
        static SINKS: AtomicU64 = AtomicU64::new(0);
        FdSink {
            id: SINKS.fetch_add(1, Ordering::Relaxed),
            child: Arc::clone(self.child()),
            fd,
            closing: false,
            closes_on_drop: false,
            hold: None,
        }
    }
}

/// A descriptor of a child that this program writes, as a sink of bytes.
///
/// **Dropping it closes nothing** (dropping an [`FdStream`](crate::FdStream) does): any number of sinks, and
/// the handle, may write to one descriptor, and no sink knows whether it is the last. The child sees no
/// end of its input before [`close`](Self::close), [`close_stdin`](ProcessHandle::close_stdin) or
/// [`lose_connection`](ProcessHandle::lose_connection). For code that takes a writer and drops it when it is
/// done there is [`close_on_drop`](Self::close_on_drop).
///
/// Its error is [`WriteError::Closed`]: after a close from either side, also when a flush or a close finds
/// that the child closed its end before all was written. On a terminal `close` is a flush: write `\x04` for
/// the end of input.
#[derive(Debug)]
pub struct FdSink {
    id: SinkId,
    child: Arc<Child>,
    fd: i32,
    closing: bool,
    closes_on_drop: bool,
    /// The last one to drop kills the child.
    hold: Option<Arc<KillOnDrop>>,
}

impl FdSink {
    /// Closes the descriptor when everything that was queued is written, and waits for that. The handle and
    /// all other sinks of the descriptor cannot write any more then.
    ///
    /// The first poll asks for the close; dropping the future after that takes nothing back. A terminal has no
    /// half that could close, so it is only flushed.
    ///
    /// # Errors
    ///
    /// [`WriteError::Closed`] if the descriptor closed before all was written.
    pub async fn close(&mut self) -> Result<(), WriteError> {
        poll_fn(|cx| Pin::new(&mut *self).poll_close(cx)).await
    }

    /// Makes this a sink whose drop closes the descriptor when everything that was queued is written: for code
    /// that takes a writer and drops it when it is done. The drop waits for nothing, and ends the writing of all
    /// other sinks too. It does not close a terminal.
    ///
    /// ```
    /// use actix_process::{Command, Fd, NoProtocol};
    /// use futures::{StreamExt, stream};
    ///
    /// # actix::System::new().block_on(async {
    /// let process = Command::new("cat").stdout(Fd::stream()).spawn(NoProtocol).await?;
    /// let stdin = process.stdin()?.close_on_drop();
    /// let words = stream::iter(["one ", "two"]).map(|word| Ok(word.into()));
    /// tokio::spawn(words.forward(stdin));
    /// let echoed: Vec<_> = process.stdout()?.collect().await;
    /// assert_eq!(echoed.concat(), b"one two");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[must_use]
    pub const fn close_on_drop(mut self) -> Self {
        self.closes_on_drop = true;
        self
    }

    /// A sink of the items that `encoder` turns into bytes: lines, length-delimited frames.
    ///
    /// ```
    /// use actix_process::codec::LengthDelimitedCodec;
    /// use actix_process::{Bytes, Command, Fd, NoProtocol};
    /// use futures::{SinkExt, StreamExt};
    ///
    /// # actix::System::new().block_on(async {
    /// let command = Command::new("cat").stdout(Fd::stream());
    /// let process = command.spawn(NoProtocol).await?;
    /// let mut frames = process.stdin()?.encode(LengthDelimitedCodec::new());
    /// let mut echoed = process.stdout()?.decode(LengthDelimitedCodec::new());
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

    /// The sink, if it writes one of the child's descriptors. `None` for the standard input of an [`Opened`](crate::Opened)
    /// child whose command mapped it to something else: such a sink refuses what is written.
    #[must_use]
    pub fn present(self) -> Option<Self> {
        self.is_present().then_some(self)
    }

    fn is_present(&self) -> bool {
        self.port().is_ok()
    }

    /// Lets the child live while this sink does.
    pub(crate) fn held_by(mut self, hold: &Arc<KillOnDrop>) -> Self {
        self.hold = Some(Arc::clone(hold));
        self
    }

    /// How many bytes wait to be written, those of others included.
    pub(crate) fn queued(&self) -> usize {
        self.port().map_or(0, Port::queued)
    }

    /// Ready when the descriptor is closed, from either side.
    #[cfg(feature = "pool")]
    pub(crate) fn poll_gone(&self, cx: &Context<'_>) -> Poll<()> {
        let port = self.port();
        port.map_or(Poll::Ready(()), |port| {
            port.poll_closed(self.id, cx).map(drop)
        })
    }

    fn port(&self) -> Result<&Port, WriteError> {
        let fd = self.fd;
        let port = self.child.port(fd).filter(|port| !port.is_output());
        port.ok_or(WriteError::NotWritable { fd })
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
            port.close(CloseReason::ByParent);
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
        // The child must not take the close for the end of its input.
        if let Some(hold) = &self.hold
            && Arc::strong_count(hold) == 1
        {
            hold.kill_early();
        }
        if let Ok(port) = self.port() {
            port.forget(self.id);
            let is_ending = self.hold.as_ref().is_some_and(|hold| hold.is_ending());
            if self.closes_on_drop && !self.closing && !port.is_terminal() && !is_ending {
                port.close(CloseReason::ByParent);
            }
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

impl<E> Encoded<E> {
    /// The sink of bytes.
    pub const fn get_ref(&self) -> &FdSink {
        &self.sink
    }

    /// The sink of bytes, to write other bytes between two items.
    pub const fn get_mut(&mut self) -> &mut FdSink {
        &mut self.sink
    }

    /// The sink of bytes; nothing is lost, since what was encoded is queued already.
    pub fn into_inner(self) -> FdSink {
        self.sink
    }

    /// The encoder.
    pub const fn encoder(&self) -> &E {
        &self.encoder
    }

    /// The encoder, to change how it writes the next items.
    pub const fn encoder_mut(&mut self) -> &mut E {
        &mut self.encoder
    }

    /// Closes the descriptor as [`FdSink::close`] does. The error is that of the sink, not the encoder's.
    ///
    /// # Errors
    ///
    /// As [`FdSink::close`].
    pub async fn close(&mut self) -> Result<(), WriteError> {
        self.sink.close().await
    }
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
