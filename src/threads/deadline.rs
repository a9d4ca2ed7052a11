//! The end of a time, for code that may have no runtime.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;

use super::janitor::{self, Timer};

/// Ready when its time is over, by the janitor's clock. Not to be polled again then. Dropping it withdraws the timer.
#[derive(Debug)]
pub(crate) struct Deadline {
    up: oneshot::Receiver<()>,
    has_begun: Arc<AtomicBool>,
    _timer: Timer,
}

impl Deadline {
    pub(crate) fn after(time: Duration) -> Self {
        Self::with(time, || {})
    }

    /// The same, and runs `act` then on the janitor's thread, whether or not anybody polls. A poll after that finds it ready.
    pub(crate) fn with(time: Duration, act: impl FnOnce() + Send + 'static) -> Self {
        let (tell, up) = oneshot::channel();
        let has_begun = Arc::<AtomicBool>::default();
        let begins = Arc::clone(&has_begun);
        let timer = janitor::after(time, move || {
            begins.store(true, Ordering::SeqCst);
            // First: who is told may undo what makes the act possible.
            act();
            let _ = tell.send(());
        });
        Self {
            up,
            has_begun,
            _timer: timer,
        }
    }

    /// Whether the time is over: then whatever is seen from now on may come of what is done at its end, and it is ready in a moment, if it is not.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::SeqCst)
    }
}

impl Future for Deadline {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.up).poll(cx).map(|_| ())
    }
}
