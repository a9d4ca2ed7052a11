//! How far an actor is that keeps children: whether its shutdown has begun, and its report when that is over.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Known to all handles of the actor. `R` is the report of a shutdown.
#[derive(Debug)]
pub(crate) struct ActorClosing<R> {
    state: watch::Sender<ClosingState<R>>,
    ended: AtomicBool,
}

#[derive(Debug, Clone)]
enum ClosingState<R> {
    No,
    Begun,
    Over(R),
}

impl<R: Clone + Default + Send + Sync + 'static> ActorClosing<R> {
    pub(crate) fn new() -> Self {
        Self {
            state: watch::Sender::new(ClosingState::No),
            ended: AtomicBool::new(false),
        }
    }

    pub(crate) fn begin(&self) {
        self.state.send_if_modified(|state| {
            let begins = matches!(state, ClosingState::No);
            if begins {
                *state = ClosingState::Begun;
            }
            begins
        });
    }

    /// Nothing runs any more. The first report counts.
    pub(crate) fn end(&self, report: R) {
        self.ended.store(true, Ordering::SeqCst);
        self.state.send_if_modified(|state| {
            let ends = !matches!(state, ClosingState::Over(_));
            if ends {
                *state = ClosingState::Over(report);
            }
            ends
        });
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Ends when a shutdown has begun.
    pub(crate) fn begun(&self) -> impl Future<Output = ()> + Send + use<R> {
        let mut state = self.state.subscribe();
        async move {
            // It cannot be gone without an end: its drop is after the end.
            let begun = state.wait_for(|state| !matches!(state, ClosingState::No));
            let _ = begun.await;
        }
    }

    /// Ends when nothing runs any more.
    pub(crate) fn over(&self) -> impl Future<Output = R> + Send + use<R> {
        let mut state = self.state.subscribe();
        async move {
            let over = state.wait_for(|state| matches!(state, ClosingState::Over(_)));
            match over.await.as_deref() {
                Ok(ClosingState::Over(report)) => report.clone(),
                _ => R::default(),
            }
        }
    }
}

/// Tells of the end of an actor when it is dropped: with the arbiter, if that stops before all is done.
pub(crate) struct EndAtDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> EndAtDrop<F> {
    pub(crate) const fn new(end: F) -> Self {
        Self(Some(end))
    }
}

impl<F: FnOnce()> Drop for EndAtDrop<F> {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}
