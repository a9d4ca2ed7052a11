//! What a worker says, by its framing.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use futures_core::Stream;
use tokio::task::JoinHandle;

use super::json_lines::JsonLines;
use super::pipes::AnswerPipe;
use super::said::Said;
use crate::Bytes;
use crate::FdStream;
use crate::pool::wire::{Frame, FrameDecoder, FrameKind, Greeting};

/// The answers of a worker. Without their pipe or stream they have ended.
pub(super) enum Answers {
    Frames {
        pipe: Option<Rc<AnswerPipe>>,
        decoder: FrameDecoder,
        buffer: BytesMut,
    },
    Lines {
        stream: Option<FdStream>,
        lines: JsonLines,
    },
    /// All that comes is the answer.
    Whole { stream: Option<FdStream> },
}

impl Answers {
    /// What it says next.
    pub(super) fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<Said> {
        loop {
            match self.next_said() {
                Ok(Some(said)) => return Poll::Ready(said),
                Ok(None) => {}
                Err(what) => return Poll::Ready(Said::Wrong(what)),
            }
            match self {
                Self::Frames { pipe, buffer, .. } => {
                    let Some(open) = pipe else {
                        return Poll::Ready(Said::Closed);
                    };
                    if ready!(open.poll_read(cx, buffer)) == 0 {
                        *pipe = None;
                    }
                }
                Self::Lines { stream, lines } => match ready!(poll_next(stream, cx)) {
                    Some(chunk) => lines.push(&chunk),
                    None => return Poll::Ready(Said::Closed),
                },
                Self::Whole { stream } => {
                    let chunk = ready!(poll_next(stream, cx));
                    return Poll::Ready(chunk.map_or(Said::Closed, |chunk| Said::Chunk(0, chunk)));
                }
            }
        }
    }

    /// Whether all that was read was taken.
    pub(super) fn is_read_out(&self) -> bool {
        match self {
            Self::Frames { pipe, buffer, .. } => {
                buffer.is_empty() && pipe.as_ref().is_none_or(|pipe| !pipe.has_read())
            }
            Self::Lines { .. } | Self::Whole { .. } => false,
        }
    }

    fn next_said(&mut self) -> Result<Option<Said>, Arc<str>> {
        match self {
            Self::Frames {
                pipe,
                decoder,
                buffer,
            } => {
                let frame = match pipe {
                    Some(pipe) if buffer.is_empty() => pipe.take_early(decoder),
                    _ => decoder.decode(buffer),
                };
                let frame = frame.map_err(|error| error.to_string())?;
                frame.map(said).transpose()
            }
            Self::Lines { lines, .. } => lines.next_said(),
            Self::Whole { .. } => Ok(None),
        }
    }

    /// When nothing of it is wanted any more: reads on, so that the worker is not held up on its way to its end.
    pub(super) fn discard(&mut self) -> Option<JoinHandle<()>> {
        match self {
            Self::Frames { pipe, .. } => {
                let pipe = pipe.take()?;
                let mut buffer = BytesMut::new();
                Some(actix_rt::spawn(poll_fn(move |cx| {
                    while ready!(pipe.poll_read(cx, &mut buffer)) > 0 {
                        buffer.clear();
                    }
                    Poll::Ready(())
                })))
            }
            Self::Lines { stream, .. } | Self::Whole { stream } => {
                let mut stream = Some(stream.take()?);
                Some(actix_rt::spawn(poll_fn(move |cx| {
                    while ready!(poll_next(&mut stream, cx)).is_some() {}
                    Poll::Ready(())
                })))
            }
        }
    }
}

/// The stream is dropped at its end.
fn poll_next(stream: &mut Option<FdStream>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
    let Some(open) = stream else {
        return Poll::Ready(None);
    };
    let chunk = ready!(Pin::new(open).poll_next(cx));
    if chunk.is_none() {
        *stream = None;
    }
    Poll::Ready(chunk)
}

fn said(frame: Frame) -> Result<Said, Arc<str>> {
    let body = frame.body;
    Ok(match frame.kind {
        FrameKind::Ready => {
            let greeting = Greeting::parse(&body).map_err(|error| error.to_string())?;
            Said::Ready {
                name: greeting.name.into(),
                takes_ahead: greeting.takes_ahead,
            }
        }
        FrameKind::Progress => Said::Progress(frame.id, body),
        FrameKind::Chunk => Said::Chunk(frame.id, body),
        FrameKind::End => Said::End(frame.id, body),
        FrameKind::Error => Said::Error(frame.id, body),
        FrameKind::Ping => Said::Ping(frame.id, body),
        FrameKind::Pong => Said::Pong,
        FrameKind::Back => Said::Back(frame.id),
        FrameKind::Job | FrameKind::Cancel => return Err("a frame in the wrong direction".into()),
    })
}
