//! The whole life of a child as one stream, for code that is no actor: `Command::events`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::command::Command;
use crate::error::SpawnError;
use crate::event::ProcessEvent;
use crate::handle::ProcessHandle;
use crate::protocol::event_queue::EventTaker;
use crate::protocol::message::FromProcess;
use crate::sys;

impl Command {
    /// Spawns the child and gives its events as a stream: what a [`ProcessProtocol`](crate::ProcessProtocol) would be told, in the
    /// same order and with the same bounds.
    ///
    /// ```
    /// use actix_process::{Command, Fd, ProcessEvent};
    /// use futures::StreamExt;
    ///
    /// # actix::System::new().block_on(async {
    /// let mut events = Command::new("seq").arg("2").stdout(Fd::lines(1024)).events().await?;
    /// let mut sum = 0;
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         ProcessEvent::ChildLineReceived { line, .. } => sum += line.to_string_lossy().parse::<u32>()?,
    ///         ProcessEvent::ProcessEnded { status } => assert!(status.success()),
    ///         _ => {}
    ///     }
    /// }
    /// assert_eq!(sum, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// The process group is what the command says, as for [`spawn`](Self::spawn): the command decides what a kill reaches.
    /// Dropping the future cancels the spawn.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    pub fn events(&self) -> impl Future<Output = Result<ProcessEvents, SpawnError>> + Send + use<> {
        let taker = EventTaker::default();
        let command = self.clone().killed_if_untaken();
        let spawning = command.spawn(Arc::clone(taker.queue()));
        async move {
            Ok(ProcessEvents {
                process: spawning.await?,
                taker,
                last: None,
            })
        }
    }
}

/// The events of one child, [`ProcessEvent::ConnectionMade`] first and [`ProcessEvent::ProcessEnded`] last; made by
/// [`Command::events`]. The stream ends after the last one.
///
/// An event counts as handled when the next one is asked for. So the [delivery rules](crate#delivery-rules) hold as for an
/// actor: nothing is read before `ConnectionMade` was handled, and what waits to be taken is bounded by the
/// [window](Command::window) and 64 messages. A taker that is slow holds up its child.
///
/// When it is dropped before the end, nobody is left to be told: the child follows its
/// [`on_orphaned`](Command::on_orphaned), which kills it unless set, with the group that it leads.
#[must_use = "dropping it kills the child"]
pub struct ProcessEvents {
    process: ProcessHandle,
    taker: EventTaker,
    /// Its share of the window returns when it drops.
    last: Option<FromProcess>,
}

impl ProcessEvents {
    /// The child.
    pub const fn process(&self) -> &ProcessHandle {
        &self.process
    }
}

impl Stream for ProcessEvents {
    type Item = ProcessEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ProcessEvent>> {
        if sys::copy::is_copy() {
            return Poll::Ready(None);
        }
        self.last = None;
        self.taker.poll_next(cx).map(|next| {
            let message = next?;
            let event = message.event.clone();
            self.last = Some(message);
            Some(event)
        })
    }
}

impl Drop for ProcessEvents {
    fn drop(&mut self) {
        if sys::copy::is_copy() {
            return;
        }
        self.taker.close();
        self.process
            .child()
            .orphan("its events are not taken any more");
    }
}

impl fmt::Debug for ProcessEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessEvents")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}
