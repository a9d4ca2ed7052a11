//! A spawn that may be given up, and tells when nothing is left of it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::ProcessHandle;
use crate::SpawnError;
use crate::Spawning;

/// A spawn that is cancelled when somebody says so. It resolves in any case: to the child if it was too late.
pub(crate) struct CancellableSpawn {
    spawning: Spawning,
    /// Tells that it is to be given up.
    cancel: Option<oneshot::Receiver<()>>,
}

impl CancellableSpawn {
    pub(crate) const fn new(spawning: Spawning, cancel: oneshot::Receiver<()>) -> Self {
        Self {
            spawning,
            cancel: Some(cancel),
        }
    }
}

impl Future for CancellableSpawn {
    type Output = Result<ProcessHandle, SpawnError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
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
