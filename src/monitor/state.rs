//! The states of a service.

use std::fmt;

/// The state of a service, or of one instance of a keyed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServiceState {
    /// It is wanted, and waits for the services that it comes [after](super::Service::after).
    Waiting,
    /// Its command is being made, or spawned.
    Starting,
    /// Its child runs.
    Running {
        /// Whether it is ready: see [`Ready`](super::Ready).
        ready: bool,
    },
    /// Its child, or what the child has left behind, is being stopped.
    Stopping,
    /// It failed, and is started again after a delay.
    Backoff,
    /// It ended, and its [`Restart`](super::Restart) starts it no more.
    Exited,
    /// It failed for good: no further start is tried unless somebody asks for one.
    Failed,
    /// Nobody wants it to run: it was stopped, or it was never started.
    Stopped,
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running { ready: true } => "ready",
            Self::Running { ready: false } => "running",
            Self::Stopping => "stopping",
            Self::Backoff => "backoff",
            Self::Exited => "exited",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        })
    }
}
