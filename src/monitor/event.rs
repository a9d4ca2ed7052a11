//! What happened to a service, or to the monitor itself.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::exit::Exit;
use super::state::ServiceState;

/// Something that happened to a service, or to the monitor as a whole. It holds neither arguments nor the environment, and of the
/// output only [`Exit::tail`].
///
/// With the feature `serde` it can be serialized: `at` is in seconds since 1970, `what` is an object with the field `kind`, and the
/// rest is as in [`Status`](super::Status).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Event {
    /// The service; `None` if this is about the monitor as a whole.
    pub id: Option<Arc<str>>,
    /// Which instance of a [keyed](super::Service::keyed) service.
    pub key: Option<Arc<str>>,
    /// The generation of the start that this belongs to; 0 if it belongs to none.
    pub generation: u64,
    /// The pid of the child that this is about, while it is not reaped. The change of state that tells of its end has it too.
    pub pid: Option<i32>,
    /// When it happened, by the clock of the system, which may be set.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "super::seconds::unix_seconds")
    )]
    pub at: SystemTime,
    /// What happened.
    pub what: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "kind", rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum EventKind {
    /// The service was added, or this instance of it came to be.
    Added,
    /// The service, or this instance of it, is stopped and forgotten.
    Removed,
    /// The state changed. Readiness that was lost, or came back, is a change from one `Running` to the other.
    #[non_exhaustive]
    State {
        /// The state before.
        from: ServiceState,
        /// The state now.
        to: ServiceState,
        /// How the run ended, if the end of a run is the reason.
        exit: Option<Exit>,
        /// What went wrong, in words, if that is the reason: the error of a start, the limit that was reached.
        problem: Option<String>,
        /// How long the next try waits, if the state is now [`Backoff`](ServiceState::Backoff).
        #[cfg_attr(
            feature = "serde",
            serde(serialize_with = "super::seconds::optional_seconds")
        )]
        next_try: Option<Duration>,
    },
    /// A process of the service is alive after its SIGKILL. It keeps its place, and is reaped when it dies.
    Unkillable,
    /// The child was gone, and others of its group were not: they were stopped.
    #[non_exhaustive]
    Leftovers {
        /// How many they were.
        count: usize,
    },
    /// A sink of the service's output fails, and is tried again. Told once for each time that it begins to fail.
    #[non_exhaustive]
    SinkFailed {
        /// The error of the sink.
        problem: String,
    },
    /// A sink that failed works again.
    #[non_exhaustive]
    SinkRecovered {
        /// How many bytes it did not get.
        lost: u64,
    },
    /// The guard, which kills all groups when this program is killed, did not start, or is dead. Services start without one. It is tried
    /// again, at once or after a delay that grows to 30 seconds, until [`GuardReplaced`](Self::GuardReplaced).
    #[non_exhaustive]
    GuardMissing {
        /// Why there is none.
        problem: String,
    },
    /// There is a guard in the place of the one that was missing. It knows of all that runs.
    GuardReplaced,
    /// A shutdown of the monitor began.
    ShutdownBegan,
}

impl Event {
    /// An event of no service.
    pub(super) const fn of_the_monitor(at: SystemTime, what: EventKind) -> Self {
        Self {
            id: None,
            key: None,
            generation: 0,
            pid: None,
            at,
            what,
        }
    }
}
