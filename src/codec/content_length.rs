//! Messages with a header that says how long they are: the base protocol of language servers and debug adapters.

use std::fmt;
use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::header::{self, AFTER_NOISE, Beginning};
use crate::text::Escaped;

/// A codec of the base protocol of language servers (LSP) and debug adapters (DAP): `Content-Length: N`, an empty line, and a
/// body of N bytes. An item is a body.
///
/// Lines of the headers end with CR LF. The case of their names does not matter; other headers than `Content-Length` are
/// skipped. If there are several `Content-Length`s, the last counts.
///
/// **What is no header is an error and ends nothing.** A line of a log on standard output gives
/// [`ContentLengthError::Noise`], which shows that line; the next message follows, also when it begins in the middle of that line.
/// (A line that ends with CR LF and reads like a header, `INFO: up`, is taken for one when headers follow.)
/// [`FdStream::decode`](crate::FdStream::decode) and [`FramedProtocol`](crate::FramedProtocol) go on after each error.
///
/// ```
/// use actix_process::codec::{ContentLength, ContentLengthError};
/// use actix_process::Command;
/// use futures::{SinkExt, StreamExt};
///
/// # actix::System::new().block_on(async {
/// // It says something before it gives back what it gets.
/// let child = Command::new("sh").args(["-c", "echo starting; exec cat"]).open().await?;
/// let mut requests = child.stdin.encode(ContentLength::new(8 << 20));
/// let mut answers = child.stdout.decode(ContentLength::new(8 << 20));
/// requests.send(r#"{"id":1}"#).await?;
///
/// let noise = answers.next().await.unwrap().unwrap_err();
/// assert_eq!(noise.to_string(), r"noise in place of a header: starting\n");
/// assert_eq!(answers.next().await.unwrap()?, r#"{"id":1}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// The decoder holds an unfinished body, an unfinished header, and what it shows of an unfinished line of noise: each within
/// its bound.
#[derive(Clone)]
pub struct ContentLength {
    max_body: usize,
    max_header: usize,
    state: MessageState,
    /// What was taken of an unfinished line of noise.
    noise: Option<LogNoise>,
}

#[derive(Debug, Clone, Copy)]
enum MessageState {
    Header,
    Body(usize),
    /// So many bytes of a body that is too long.
    Skip(u64),
}

/// Why there is no message. The decoder goes on with the bytes that follow.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentLengthError {
    /// A line that is no header, or headers that do not say how long the body is. Each line is an error of its own. Headers
    /// that are longer than [`ContentLength::max_header`], or cut off by the end, are noise as well.
    #[error("noise in place of a header: {}", Shown(.bytes, *.left_out))]
    #[non_exhaustive]
    Noise {
        /// The line, with its end: the first KiB of it.
        bytes: Bytes,
        /// How many more bytes it had.
        left_out: u64,
    },
    /// A body that is longer than the maximum; it is skipped, or not written.
    #[error("a body of {length} bytes, which is more than {max}")]
    #[non_exhaustive]
    TooLong {
        /// The length that its header says.
        length: u64,
        /// The maximum.
        max: usize,
    },
    /// The end came in the middle of a body.
    #[error("the end after {received} of a body's {length} bytes")]
    #[non_exhaustive]
    Cut {
        /// How many bytes came. They are dropped.
        received: usize,
        /// The length that its header says.
        length: usize,
    },
    /// What [`FdSink::encode`](crate::FdSink::encode) makes of a [`WriteError`](crate::WriteError), and what
    /// [`FramedProtocol::decode`](crate::FramedProtocol::decode) tells of a frame above its own maximum.
    #[error(transparent)]
    Io(#[from] io::Error),
}

struct Shown<'a>(&'a [u8], u64);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes, left_out) = self;
        write!(f, "{}", Escaped(&String::from_utf8_lossy(bytes)))?;
        match left_out {
            0 => Ok(()),
            more => write!(f, " .. and {more} bytes more"),
        }
    }
}

#[derive(Clone, Default)]
struct LogNoise {
    bytes: BytesMut,
    left_out: u64,
}

impl LogNoise {
    /// The most bytes of a line that an error shows.
    const SHOWN: usize = 1024;

    fn add(&mut self, noise: &[u8]) {
        let room = Self::SHOWN.saturating_sub(self.bytes.len());
        let (shown, rest) = noise.split_at_checked(room).unwrap_or((noise, &[]));
        self.bytes.extend_from_slice(shown);
        self.left_out = self.left_out.saturating_add(rest.len() as u64);
    }
}

impl ContentLength {
    /// The most bytes of a message's headers unless [`max_header`](Self::max_header) says otherwise: 8 KiB.
    pub const MAX_HEADER: usize = 8 * 1024;

    /// Bodies of at most `max_body` bytes, in both directions. A longer one is [`ContentLengthError::TooLong`]: of the
    /// child's it is skipped as it comes, and takes no memory; of this program's it is not written.
    #[must_use]
    pub const fn new(max_body: usize) -> Self {
        Self {
            max_body,
            max_header: Self::MAX_HEADER,
            state: MessageState::Header,
            noise: None,
        }
    }

    /// Headers of at most `bytes` bytes before a message, their ends and the empty line included. Fewer than 64 count as 64.
    #[must_use]
    pub fn max_header(mut self, bytes: usize) -> Self {
        self.max_header = bytes.max(AFTER_NOISE);
        self
    }

    /// Takes the next headers, or noise. False: neither is whole.
    fn read_header(&mut self, src: &mut BytesMut) -> Result<bool, ContentLengthError> {
        match header::start(src, self.max_header, self.noise.is_some()) {
            Beginning::Unknown => return Ok(false),
            Beginning::Head { bytes, length } => {
                src.advance(bytes);
                match usize::try_from(length).ok() {
                    Some(length) if length <= self.max_body => {
                        self.state = MessageState::Body(length)
                    }
                    _ => {
                        self.state = MessageState::Skip(length);
                        let max = self.max_body;
                        return Err(ContentLengthError::TooLong { length, max });
                    }
                }
            }
            Beginning::NoiseGoesOn { bytes } => {
                let noise = self.noise.get_or_insert_default();
                noise.add(&src.split_to(bytes));
            }
            Beginning::Noise { bytes } => return Err(self.noise_to(bytes, src)),
        }
        Ok(true)
    }

    /// What is left of a line of noise.
    fn noise_to(&mut self, bytes: usize, src: &mut BytesMut) -> ContentLengthError {
        let mut noise = self.noise.take().unwrap_or_default();
        noise.add(&src.split_to(bytes));
        ContentLengthError::Noise {
            bytes: noise.bytes.freeze(),
            left_out: noise.left_out,
        }
    }
}

/// No content.
impl fmt::Debug for ContentLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentLength")
            .field("max_body", &self.max_body)
            .field("max_header", &self.max_header)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Decoder for ContentLength {
    type Item = Bytes;
    type Error = ContentLengthError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Bytes>, ContentLengthError> {
        // Each round takes bytes, or is the last but one.
        loop {
            match self.state {
                MessageState::Header => {
                    if !self.read_header(src)? {
                        return Ok(None);
                    }
                }
                MessageState::Body(length) if src.len() < length => return Ok(None),
                MessageState::Body(length) => {
                    self.state = MessageState::Header;
                    return Ok(Some(src.split_to(length).freeze()));
                }
                MessageState::Skip(0) => self.state = MessageState::Header,
                MessageState::Skip(_) if src.is_empty() => return Ok(None),
                MessageState::Skip(length) => {
                    let there = src.len().min(usize::try_from(length).unwrap_or(usize::MAX));
                    src.advance(there);
                    self.state = MessageState::Skip(length.saturating_sub(there as u64));
                }
            }
        }
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Bytes>, ContentLengthError> {
        if let Some(body) = self.decode(src)? {
            return Ok(Some(body));
        }
        match self.state {
            MessageState::Body(length) => {
                self.state = MessageState::Header;
                let received = src.len();
                src.clear();
                Err(ContentLengthError::Cut { received, length })
            }
            MessageState::Header if !src.is_empty() || self.noise.is_some() => {
                Err(self.noise_to(src.len(), src))
            }
            MessageState::Header | MessageState::Skip(_) => Ok(None),
        }
    }
}

impl<T: AsRef<[u8]>> Encoder<T> for ContentLength {
    type Error = ContentLengthError;

    fn encode(&mut self, body: T, dst: &mut BytesMut) -> Result<(), ContentLengthError> {
        let (body, max) = (body.as_ref(), self.max_body);
        if body.len() > max {
            let length = body.len() as u64;
            return Err(ContentLengthError::TooLong { length, max });
        }
        let header = format!("Content-Length: {}\r\n\r\n", body.len());
        dst.reserve(header.len() + body.len());
        dst.put_slice(header.as_bytes());
        dst.put_slice(body);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
