//! What can go wrong when something is asked of a monitor.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::exit::Exit;
use super::name::ServiceName;
use super::spec_error::SpecError;
use super::state::ServiceState;
use crate::ResizeError;
use crate::SignalError;
use crate::SpawnError;
use crate::WriteError;

/// Why a start of a service failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StartFailure {
    /// The closure that makes the command failed, with this text.
    Command(Arc<str>),
    /// The monitor could not make what the start needs beside its child, for want of descriptors or threads, say.
    #[non_exhaustive]
    Setup {
        /// What: its cgroup, its notification socket, or the thread of its closure.
        what: &'static str,
        /// Why.
        error: Arc<io::Error>,
    },
    /// The child could not be spawned.
    Spawn(Arc<SpawnError>),
    /// The child ended before it was ready, or was not ready in time and was stopped.
    #[non_exhaustive]
    Unready {
        /// What was missing.
        problem: Arc<str>,
        /// How the child ended; `None` if it was not there yet.
        exit: Option<Box<Exit>>,
    },
    /// The service ended after it had been ready, and is not started any more, or not at once.
    Ended(Box<Exit>),
    /// It was started too often: see [`Restart::limit`](super::Restart::limit).
    #[non_exhaustive]
    Limit {
        /// How many restarts are allowed.
        count: u32,
        /// In which time.
        window: Duration,
        /// What went wrong the last time.
        last: Box<Self>,
    },
}

impl StartFailure {
    pub(super) fn setup(what: &'static str, error: impl Into<io::Error>) -> Self {
        let error = Arc::new(error.into());
        Self::Setup { what, error }
    }
}

impl StartFailure {
    /// Whether there was a child.
    pub(super) const fn had_child(&self) -> bool {
        matches!(
            self,
            Self::Ended(_) | Self::Unready { exit: Some(_), .. } | Self::Limit { .. }
        )
    }
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(problem) => write!(f, "its command could not be made: {problem}"),
            Self::Setup { what, error } => write!(f, "{what} could not be made: {error}"),
            Self::Spawn(error) => write!(f, "{error}"),
            Self::Unready { problem, exit } => {
                write!(
                    f,
                    "{problem}{}",
                    exit.as_ref().map_or_else(String::new, |exit| exit.words())
                )
            }
            Self::Ended(exit) => write!(f, "it ended{}", exit.words()),
            Self::Limit {
                count,
                window,
                last,
            } => write!(
                f,
                "more than {count} restarts in {window:?}; the last: {last}"
            ),
        }
    }
}

/// Why a monitor did not do what it was asked for. The text is one line and shows neither arguments nor the environment.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum MonitorError {
    /// There is no such service, or no such instance of a keyed one.
    #[error("there is no service `{name}`")]
    #[non_exhaustive]
    NotFound {
        /// What was asked for.
        name: ServiceName,
    },
    /// A start failed. Whether it is tried again is the matter of its [`Restart`](super::Restart).
    #[error("service `{name}` did not start: {failure}")]
    #[non_exhaustive]
    StartFailed {
        /// The service.
        name: ServiceName,
        /// Why.
        failure: StartFailure,
    },
    /// A service that this one comes [after](super::Service::after) is in a state that does not lead to what it waits for. The service
    /// still waits: it starts as soon as the other one has got there.
    #[error("service `{name}` waits for `{of}`, which is {state}")]
    #[non_exhaustive]
    Dependency {
        /// The service.
        name: ServiceName,
        /// The one that it waits for.
        of: ServiceName,
        /// The state of that one.
        state: ServiceState,
    },
    /// Another request, which came later, took its place.
    #[error("service `{name}`: a {by} came in between")]
    #[non_exhaustive]
    Overtaken {
        /// The service.
        name: ServiceName,
        /// The later request: "stop", "start", "restart", "remove", or the "release" of the lease that asked.
        by: &'static str,
    },
    /// The service is in a state in which that cannot be done, or waited for.
    #[error("service `{name}` is {state}")]
    #[non_exhaustive]
    State {
        /// The service.
        name: ServiceName,
        /// Its state.
        state: ServiceState,
    },
    /// Its process, or a member of its group, lives on after the last step of its ladder. It is stopped when that dies.
    #[error("service `{name}` cannot be killed")]
    #[non_exhaustive]
    Unkillable {
        /// The service.
        name: ServiceName,
    },
    /// There are as many instances of the service as there may be, and all of them are leased.
    #[error("service `{name}`: all {limit} instances are leased")]
    #[non_exhaustive]
    AllLeased {
        /// The service.
        name: ServiceName,
        /// How many there may be.
        limit: usize,
    },
    /// Another service names it in its `after`, so it cannot be removed.
    #[error("service `{name}` is needed by `{by}`")]
    #[non_exhaustive]
    Needed {
        /// The service.
        name: ServiceName,
        /// The one that names it.
        by: Arc<str>,
    },
    /// A service that was to be added is not acceptable. Nothing was added.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The signal was not sent.
    #[error("{0}")]
    Signal(Arc<SignalError>),
    /// The bytes were not written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The terminal has not got the size.
    #[error(transparent)]
    Resize(#[from] ResizeError),
    /// The cgroups of services cannot be made where they were asked for.
    #[error("the cgroups of services: {0}")]
    Cgroups(Arc<str>),
    /// No arbiter or no signal handler could be had.
    #[error("the arbiter of the monitor: {0}")]
    Arbiter(Arc<io::Error>),
    /// The monitor is shutting down, and starts nothing any more.
    #[error("the monitor is shutting down")]
    ShuttingDown,
    /// The monitor has ended.
    #[error("the monitor has ended")]
    Ended,
}

impl From<SignalError> for MonitorError {
    fn from(error: SignalError) -> Self {
        Self::Signal(Arc::new(error))
    }
}
