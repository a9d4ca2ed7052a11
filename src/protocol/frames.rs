//! Frames for callbacks: what any decoder makes of a descriptor, as messages to the protocol actor.

use std::fmt;
use std::io;
use std::sync::Arc;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, AsyncContext, Handler, Message, Recipient};
use bytes::{Bytes, BytesMut};
use tokio_util::codec::Decoder;

use super::framers::Framers;
use super::into::sealed::SealedProtocol;
use super::into::{IntoProtocol, Protocol};
use super::message::FromProcess;
use crate::child::Child;
use crate::child::framer::{Framer, Sent};
use crate::handle::ProcessHandle;
use crate::port::window::{Credit, Window};

/// A frame that a decoder made of a child's data, as a message to the protocol actor of a
/// [`FramedProtocol`]. Like [`FromProcess`], it returns its share of the window when it drops.
#[non_exhaustive]
pub struct FromFrames<D: Decoder> {
    /// The child that wrote it.
    pub process: ProcessHandle,
    /// The child's descriptor.
    pub fd: i32,
    /// A frame, or why the decoder has none.
    pub frame: Result<D::Item, D::Error>,
    _credit: Option<Credit>,
}

impl<D: Decoder> FromFrames<D> {
    /// A message as the crate sends it, for tests of protocols.
    #[must_use]
    pub const fn new(process: ProcessHandle, fd: i32, frame: Result<D::Item, D::Error>) -> Self {
        Self {
            process,
            fd,
            frame,
            _credit: None,
        }
    }
}

impl<D: Decoder> Message for FromFrames<D> {
    type Result = ();
}

/// Of the frame only whether it is one.
impl<D: Decoder> fmt::Debug for FromFrames<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFrames")
            .field("process", &self.process)
            .field("fd", &self.fd)
            .field("is_ok", &self.frame.is_ok())
            .finish_non_exhaustive()
    }
}

/// A protocol actor that gets some descriptors of its child decoded: each frame is a [`FromFrames`]
/// message, in place of [`child_data_received`](crate::ProcessProtocol::child_data_received).
///
/// ```
/// use actix::prelude::*;
/// use actix_process::{Command, FramedProtocol, FromFrames, ProcessProtocol, process_protocol};
/// use tokio_util::codec::LengthDelimitedCodec;
///
/// struct Worker(usize);
/// impl Actor for Worker {
///     type Context = Context<Self>;
/// }
/// impl ProcessProtocol for Worker {
///     fn process_ended(&mut self, _: &actix_process::ProcessHandle, _: actix_process::ExitStatus, _: &mut Context<Self>) {
///         assert_eq!(self.0, 2);
///     }
/// }
/// process_protocol!(Worker);
///
/// impl Handler<FromFrames<LengthDelimitedCodec>> for Worker {
///     type Result = ();
///     fn handle(&mut self, message: FromFrames<LengthDelimitedCodec>, _: &mut Context<Self>) {
///         match message.frame {
///             Ok(frame) => self.0 += frame.len() / 3,
///             Err(error) => eprintln!("fd {}: {error}", message.fd),
///         }
///     }
/// }
///
/// # System::new().block_on(async {
/// let child = Command::new("printf").arg(r"\0\0\0\3one\0\0\0\3two");
/// let protocol = FramedProtocol::new(Worker(0).start());
/// let process = child.spawn(protocol.decode(1, 64 * 1024, LengthDelimitedCodec::new())).await?;
/// process.ended().await;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// Frames are messages of their own, not a variant of [`ProcessEvent`](crate::ProcessEvent), so a handler gets
/// its decoder's type without a cast. The protocol names the decoder, not the command: a command is a
/// plain value that can be spawned for any protocol, and an actor that cannot handle the frames does not
/// compile.
///
/// The frames of a descriptor come in order, and all of them before its
/// [`ChildConnectionLost`](crate::ProcessEvent::ChildConnectionLost), those of
/// [`decode_eof`](Decoder::decode_eof) too, unless this side closes it. The decoder runs on the arbiter where the
/// child's actors live: that of [`Command::on`](crate::Command::on), else the one that asked. A thread that has none gets the crate's
/// own, which all such threads share: a decoder that takes long belongs on an arbiter that is named.
///
/// **An error of the decoder** comes once, and the decoder goes on with the bytes that follow,
/// as with [`FdStream::decode`](crate::FdStream::decode). Where that is impossible
/// the descriptor is closed, with [`CloseReason::Failed`](crate::CloseReason::Failed) and EBADMSG: when the
/// decoder fails twice running without having taken a byte, and when more than the maximum waits for
/// a frame to be whole. What the child wrote after that is lost, and it gets SIGPIPE when it writes more.
#[derive(Debug)]
#[must_use = "a protocol does nothing unless a command is spawned for it"]
pub struct FramedProtocol<A: Actor> {
    protocol: Addr<A>,
    framers: Framers,
}

impl<A: Actor> FramedProtocol<A> {
    /// The protocol actor `protocol`, with nothing decoded yet.
    pub fn new(protocol: Addr<A>) -> Self {
        Self {
            protocol,
            framers: Framers::default(),
        }
    }

    /// Has the child's `fd` decoded by `decoder`.
    ///
    /// At most `max` bytes wait for a frame to be whole, besides the
    /// [`window`](crate::Command::window) and what `decoder` holds itself. If more wait, the actor gets an
    /// error, a `D::Error` from an [`io::Error`] of kind [`InvalidData`](io::ErrorKind::InvalidData),
    /// and the descriptor closes.
    ///
    /// The spawn fails at [`SpawnStep::Invalid`](crate::SpawnStep::Invalid) if `fd` is no
    /// [`Fd::read`](crate::Fd::read) of the command (nor its terminal, for 1), or if `fd` is named twice.
    pub fn decode<D>(mut self, fd: i32, max: usize, decoder: D) -> Self
    where
        A: Handler<FromFrames<D>>,
        A::Context: ToEnvelope<A, FromFrames<D>>,
        D: Decoder<Item: Send, Error: Send> + Send + 'static,
    {
        let framer = DecoderFramer {
            recipient: self.protocol.clone().recipient(),
            decoder,
            buffer: BytesMut::new(),
            max,
            ended: false,
            stuck: false,
            gave_up: false,
        };
        self.framers.add(fd, Box::new(framer));
        self
    }
}

impl<A: Actor> SealedProtocol for FramedProtocol<A> {}
#[diagnostic::do_not_recommend]
impl<A> IntoProtocol for FramedProtocol<A>
where
    A: Actor + Handler<FromProcess>,
    A::Context: AsyncContext<A> + ToEnvelope<A, FromProcess>,
{
    fn into_protocol(self) -> Protocol {
        let recipient = self.protocol.recipient();
        Protocol::new(Some(recipient), Some(Arc::new(self.framers)))
    }
}

struct DecoderFramer<D: Decoder>
where
    D::Item: Send,
    D::Error: Send,
{
    recipient: Recipient<FromFrames<D>>,
    decoder: D,
    /// At most `max` bytes when more is pushed.
    buffer: BytesMut,
    max: usize,
    ended: bool,
    /// Its last call failed without having taken a byte.
    stuck: bool,
    /// The last error was told.
    gave_up: bool,
}

impl<D> Framer for DecoderFramer<D>
where
    D: Decoder<Item: Send, Error: Send> + Send + 'static,
{
    fn push(&mut self, piece: Bytes) {
        self.buffer.extend_from_slice(&piece);
    }

    fn finish(&mut self) {
        self.ended = true;
    }

    fn send_next(&mut self, child: &Arc<Child>, fd: i32, window: &Arc<Window>) -> Sent {
        if self.gave_up {
            return Sent::Stuck;
        }
        let before = self.buffer.len();
        let result = match self.ended {
            false => self.decoder.decode(&mut self.buffer),
            true => self.decoder.decode_eof(&mut self.buffer),
        };
        let used = before.saturating_sub(self.buffer.len());
        let was_stuck = self.stuck;
        self.stuck = result.is_err() && used == 0;
        let frame = match result {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) if self.ended || self.buffer.len() <= self.max => return Sent::NeedsMore,
            Ok(None) => {
                self.gave_up = true;
                let why = format!("more than {} bytes wait for the end of a frame", self.max);
                Err(io::Error::new(io::ErrorKind::InvalidData, why).into())
            }
            // Told before; of what is left at the end nothing else can come.
            Err(_) if self.stuck && was_stuck && self.ended => return Sent::NeedsMore,
            Err(_) if self.stuck && was_stuck => return Sent::Stuck,
            Err(error) => Err(error),
        };
        if !self.recipient.connected() {
            child.orphan("its protocol is gone");
            return Sent::ProtocolGone;
        }
        self.recipient.do_send(FromFrames {
            process: ProcessHandle::new(Arc::clone(child)),
            fd,
            frame,
            _credit: Some(window.charge(used)),
        });
        Sent::Bytes(used)
    }
}
