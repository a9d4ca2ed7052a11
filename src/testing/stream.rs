//! What a test's child writes to a descriptor that is read as a stream.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use tokio::sync::{Mutex, Notify};

use crate::event::CloseReason;
use crate::port::stream_queue::StreamQueue;
use crate::port::window::Window;

/// The writing end. The window and the queue are those of a real child's stream.
#[derive(Debug)]
pub(super) struct TestStream {
    pub(super) fd: i32,
    window: Arc<Window>,
    queue: Arc<StreamQueue>,
    /// A window has one writer.
    turn: Mutex<()>,
    /// It was closed, while somebody may wait for room.
    closed: Notify,
}

impl TestStream {
    pub(super) fn new(fd: i32, window: usize) -> Self {
        Self {
            fd,
            window: Window::of_stream(window),
            queue: Arc::default(),
            turn: Mutex::default(),
            closed: Notify::new(),
        }
    }

    pub(super) const fn queue(&self) -> &Arc<StreamQueue> {
        &self.queue
    }

    pub(super) async fn feed(&self, mut data: Bytes) -> io::Result<()> {
        let _turn = self.turn.lock().await;
        while !data.is_empty() {
            let mut closed = pin!(self.closed.notified());
            let room = poll_fn(|cx| {
                // Polled first, so that no close is missed after the look.
                let _ = closed.as_mut().poll(cx);
                match self.queue.is_over() {
                    true => Poll::Ready(None),
                    false => self.window.poll_room(cx).map(Some),
                }
            });
            let Some(room) = room.await else {
                return Err(io::ErrorKind::BrokenPipe.into());
            };
            let piece = data.split_to(room.min(data.len()));
            let credit = self.window.charge(piece.len());
            self.queue.push(piece, credit);
        }
        Ok(())
    }

    /// The descriptor is closed: a `feed` learns that.
    pub(super) fn close(&self, reason: CloseReason) {
        self.queue.end(reason);
        self.closed.notify_waiters();
    }
}
