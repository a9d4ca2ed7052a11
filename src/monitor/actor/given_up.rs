//! A spawn whose start may be given up at any moment, also when its child is already there.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;

use crate::ProcessHandle;
use crate::Signal;
use crate::SpawnError;
use crate::Spawning;

/// A spawn. Dropped before its result was taken, it leaves no child: the drop of a [`Spawning`] alone does not end a child that was
/// committed a moment before.
pub(super) struct UntakenSpawn {
    spawning: Spawning,
    /// Tells that it is to be given up.
    cancel: Option<oneshot::Receiver<()>>,
    /// A drop before the first poll begins nothing.
    is_begun: bool,
}

impl UntakenSpawn {
    /// It is given up when `cancel` says so, and resolves when nothing is left of it.
    pub(super) const fn new(spawning: Spawning, cancel: oneshot::Receiver<()>) -> Self {
        Self {
            spawning,
            cancel: Some(cancel),
            is_begun: false,
        }
    }
}

impl Future for UntakenSpawn {
    type Output = Result<ProcessHandle, SpawnError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.is_begun = true;
        let cancelled = self.cancel.as_mut().map(|cancel| Pin::new(cancel).poll(cx));
        if let Some(Poll::Ready(told)) = cancelled {
            self.cancel = None;
            // Else nobody can give it up any more.
            if told.is_ok() {
                self.spawning.cancel();
            }
        }
        Pin::new(&mut self.spawning).poll(cx)
    }
}

impl Drop for UntakenSpawn {
    fn drop(&mut self) {
        if !self.is_begun {
            return;
        }
        // After its result it is pending.
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(Ok(process)) = Pin::new(&mut self.spawning).poll(&mut cx) {
            end_untaken(&process);
        }
    }
}

/// Kills a child that came when nobody wanted it any more, with its group.
pub(super) fn end_untaken(process: &ProcessHandle) {
    let _ = process.signal_group(Signal::KILL);
    process.kill();
}
