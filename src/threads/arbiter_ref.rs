//! The arbiter where a child's actors live.

use actix::{Arbiter, ArbiterHandle};
use tokio::runtime::Handle;

/// An arbiter and its runtime, captured on it.
#[derive(Debug, Clone)]
pub(crate) struct ArbiterRef {
    pub(crate) arbiter: ArbiterHandle,
    pub(crate) runtime: Handle,
}

impl ArbiterRef {
    /// The arbiter of this thread; `None` if it has none, or one that has stopped.
    pub(crate) fn current() -> Option<Self> {
        let arbiter = Arbiter::try_current().filter(ArbiterHandle::alive)?;
        let runtime = Handle::try_current().ok()?;
        Some(Self { arbiter, runtime })
    }
}
