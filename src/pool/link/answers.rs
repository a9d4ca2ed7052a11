//! What a worker says, by its framing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use futures_core::Stream;

use super::json_lines::JsonLines;
use super::said::Said;
use crate::Bytes;
use crate::FdStream;
use crate::pool::framing::Framing;
use crate::pool::settings::PoolSettings;
use crate::pool::wire::{Frame, FrameDecoder, FrameKind, Greeting};

/// The answers of a worker.
pub(super) struct Answers {
    stream: Option<FdStream>,
    dialect: Dialect,
}

enum Dialect {
    Frames(FrameDecoder, BytesMut),
    Lines(JsonLines),
    Raw,
}

impl Answers {
    pub(super) fn new(stream: Option<FdStream>, settings: &PoolSettings) -> Self {
        let dialect = match settings.framing {
            Framing::Frames => {
                let decoder = FrameDecoder::from_worker(settings.max_frame);
                Dialect::Frames(decoder, BytesMut::new())
            }
            Framing::JsonLines => {
                Dialect::Lines(JsonLines::new(settings.max_frame, settings.noise))
            }
            Framing::OneShot => Dialect::Raw,
        };
        Self { stream, dialect }
    }

    /// The stream, when nothing of it is wanted any more.
    pub(super) fn take_stream(&mut self) -> Option<FdStream> {
        self.stream.take()
    }

    pub(super) fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<Said> {
        loop {
            match self.dialect.next() {
                Ok(Some(said)) => return Poll::Ready(said),
                Ok(None) => {}
                Err(what) => return Poll::Ready(Said::Wrong(what)),
            }
            let Some(stream) = &mut self.stream else {
                return Poll::Ready(Said::Closed);
            };
            match ready!(Pin::new(stream).poll_next(cx)) {
                Some(chunk) => match &mut self.dialect {
                    Dialect::Frames(_, buffer) => take_in(buffer, chunk),
                    Dialect::Lines(lines) => lines.push(&chunk),
                    Dialect::Raw => return Poll::Ready(Said::Chunk(0, chunk)),
                },
                None => self.stream = None,
            }
        }
    }
}

/// Without a copy where nothing waits and nobody else has the bytes.
fn take_in(buffer: &mut BytesMut, chunk: Bytes) {
    if buffer.is_empty() {
        match chunk.try_into_mut() {
            Ok(chunk) => *buffer = chunk,
            Err(chunk) => buffer.extend_from_slice(&chunk),
        }
    } else {
        buffer.extend_from_slice(&chunk);
    }
}

impl Dialect {
    fn next(&mut self) -> Result<Option<Said>, Arc<str>> {
        match self {
            Self::Frames(decoder, buffer) => {
                let frame = decoder.decode(buffer).map_err(|error| error.to_string())?;
                frame.map(said).transpose()
            }
            Self::Lines(lines) => lines.next_said(),
            Self::Raw => Ok(None),
        }
    }
}

fn said(frame: Frame) -> Result<Said, Arc<str>> {
    Ok(match frame.kind {
        FrameKind::Ready => {
            let greeting = Greeting::parse(&frame.body).map_err(|error| error.to_string())?;
            Said::Ready(greeting.name.into())
        }
        FrameKind::Progress => Said::Progress,
        FrameKind::Chunk => Said::Chunk(frame.id, frame.body),
        FrameKind::End => Said::End(frame.id, frame.body),
        FrameKind::Error => Said::Error(frame.id, frame.body),
        FrameKind::Ping => Said::Ping(frame.id, frame.body),
        FrameKind::Pong => Said::Pong,
        FrameKind::Job | FrameKind::Cancel => return Err("a frame in the wrong direction".into()),
    })
}
