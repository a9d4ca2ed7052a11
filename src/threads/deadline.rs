//! The end of a time, for code that may have no runtime.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;

use super::janitor::{self, Timer};

/// Ready when its time is over, by the janitor's clock. Not to be polled again then. Dropping it withdraws the timer.
#[derive(Debug)]
pub(crate) struct Deadline {
    up: oneshot::Receiver<()>,
    _timer: Timer,
}

impl Deadline {
    pub(crate) fn after(time: Duration) -> Self {
        Self::with(time, || {})
    }

    /// The same, and runs `act` then on the janitor's thread, whether or not anybody polls. A poll after that finds it ready.
    pub(crate) fn with(time: Duration, act: impl FnOnce() + Send + 'static) -> Self {
        let (tell, up) = oneshot::channel();
        let timer = janitor::after(time, move || {
            // First: who is told may undo what makes the act possible.
            act();
            let _ = tell.send(());
        });
        Self { up, _timer: timer }
    }
}

impl Future for Deadline {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.up).poll(cx).map(|_| ())
    }
}
