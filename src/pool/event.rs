//! What happened to a pool.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use futures_core::Stream;

use super::recycling::Recycling;
use crate::monitor::Exit;
use crate::monitor::output::{BroadcastItem, Subscription};

/// Something that happened to a pool or one of its workers. It holds no content of jobs, neither arguments nor the environment, and of the output
/// only [`Exit::tail`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PoolEvent {
    /// The name of the pool.
    pub pool: Arc<str>,
    /// The number of the worker; `None` if this is about the pool as a whole. No two workers of a pool have one number.
    pub worker: Option<u64>,
    /// The pid of the worker, while it is not reaped. The event of its end has it too.
    pub pid: Option<i32>,
    /// When it happened, by the clock of the system, which may be set.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "crate::monitor::seconds::unix_seconds")
    )]
    pub at: SystemTime,
    /// What happened.
    pub what: PoolEventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "kind", rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum PoolEventKind {
    /// A worker runs. It is not ready yet.
    Started,
    /// A worker is ready.
    #[non_exhaustive]
    Ready {
        /// How it calls itself: empty if it does not.
        name: Arc<str>,
    },
    /// A worker could not be started, or did not become ready.
    #[non_exhaustive]
    StartFailed {
        /// Why.
        problem: Arc<str>,
    },
    /// A worker is replaced though it has done nothing wrong.
    #[non_exhaustive]
    Recycled {
        /// Why.
        why: Recycling,
    },
    /// A worker did not keep to the framing, and is replaced.
    #[non_exhaustive]
    OutOfStep {
        /// What was wrong.
        what: Arc<str>,
    },
    /// A worker is gone, with all of its group.
    #[non_exhaustive]
    Ended {
        /// How, and why.
        exit: Exit,
        /// How many of its group were left when it had exited. They were stopped.
        leftovers: usize,
    },
    /// A process of a worker is alive after its SIGKILL. It keeps its place, and is reaped when it dies.
    Unkillable,
    /// Five starts in a row have failed: jobs get [`JobError::PoolDown`](super::JobError::PoolDown).
    Down,
    /// A worker could be started again.
    Up,
    /// All workers are of the new command.
    Reloaded,
    /// No worker of the new command became ready: those of the old one stay.
    ReloadFailed,
    /// The guard, which kills the workers' groups when this program is killed, is missing. It is tried again.
    #[non_exhaustive]
    GuardMissing {
        /// Why.
        problem: String,
    },
    /// There is a guard in the place of the one that was missing.
    GuardReplaced,
    /// A drain or a shutdown began.
    ShutdownBegan,
}

/// What happens to a pool, as a stream that ends with the pool; made by [`PoolHandle::events`](super::PoolHandle::events). 1,024 events wait for a
/// reader that is slow; how many more it has missed is told.
#[must_use = "a stream does nothing unless it is polled"]
pub struct PoolEvents(Subscription<PoolEvent>);

/// One item of [`PoolEvents`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolReported {
    /// Something happened.
    Event(PoolEvent),
    /// So many events came and went before they were taken.
    Lagged(u64),
}

impl PoolEvents {
    pub(super) const fn new(subscription: Subscription<PoolEvent>) -> Self {
        Self(subscription)
    }
}

impl Stream for PoolEvents {
    type Item = PoolReported;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PoolReported>> {
        let fed = ready!(Pin::new(&mut self.0).poll_next(cx));
        Poll::Ready(fed.map(|fed| match fed {
            BroadcastItem::Value(event) => PoolReported::Event(event),
            BroadcastItem::Lagged(missed) => PoolReported::Lagged(missed),
        }))
    }
}

impl fmt::Debug for PoolEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolEvents").finish_non_exhaustive()
    }
}
