//! A spawn whose start may be given up at any moment, also when its child is already there.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::ProcessHandle;
use crate::Signal;
use crate::SpawnError;
use crate::Spawning;

/// A spawn. Dropped before its result was taken, it leaves no child: the drop of a [`Spawning`] alone does not end a child that was
/// committed a moment before.
pub(super) struct UntakenSpawn {
    spawning: Spawning,
    /// A drop before the first poll begins nothing.
    is_begun: bool,
}

impl UntakenSpawn {
    pub(super) const fn new(spawning: Spawning) -> Self {
        Self {
            spawning,
            is_begun: false,
        }
    }
}

impl Future for UntakenSpawn {
    type Output = Result<ProcessHandle, SpawnError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.is_begun = true;
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
