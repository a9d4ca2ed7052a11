//! What a service is doing at the moment.

use std::sync::Arc;
use std::time::Duration;

use super::exit::Exit;
use super::sampling::Usage;
use super::state::ServiceState;

/// What a service, or one instance of a keyed one, is doing. It holds neither arguments nor the environment.
///
/// With the feature `serde` it can be serialized. Durations are seconds then, with a fraction; a state is its text; a tail is text, with
/// U+FFFD for what is no UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Status {
    /// The service.
    pub id: Arc<str>,
    /// Which instance of a [keyed](super::Service::keyed) service.
    pub key: Option<Arc<str>>,
    /// The state of the service. [`is_ready`](Self::is_ready) says in short whether it can be used.
    pub state: ServiceState,
    /// The pid of the child, while there is one that is not reaped.
    pub pid: Option<i32>,
    /// The [generation](super::Start::generation) of the last start; 0 before the first one.
    pub generation: u64,
    /// How often the service was started again, by its [`Restart`](super::Restart) or by hand, since the service was added.
    pub restarts: u64,
    /// How long the child runs, from the spawn on.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "super::seconds::optional_seconds")
    )]
    pub uptime: Option<Duration>,
    /// How long the service still waits for the next try; only in [`Backoff`](ServiceState::Backoff).
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "super::seconds::optional_seconds")
    )]
    pub next_try: Option<Duration>,
    /// How the last run ended.
    pub last_exit: Option<Exit>,
    /// What the service said of itself: the last `STATUS=` of sd_notify in the present run.
    pub status_text: Option<Arc<str>>,
    /// How many messages of sd_notify came to the sockets of the service's starts and were ignored: from strangers, malformed, or with
    /// descriptors.
    pub ignored_messages: u64,
    /// How many leases of the service are held.
    pub leases: usize,
    /// What the processes of the service's group use, also while its child is reaped and others are left; only where that was asked for: [`all_with_usage`](super::MonitorHandle::all_with_usage).
    pub usage: Option<Usage>,
    /// How many descriptors of this program the service takes: pipes that are open, or a terminal; the pidfd by which the child is
    /// waited for (counted also where the kernel has none); a cgroup; a socket for sd_notify; a file. Those that a protocol of the user's closes are counted until the end of the run.
    pub descriptors: usize,
    /// How many lines of the service [`log_rate`](super::Service::log_rate) has kept from the log.
    pub dropped_lines: u64,
    /// How much was dropped because it came too late: a command, a readiness, an end of a start that was over by then.
    pub stale: u64,
    /// How many bytes of the output the [file](super::Service::file) of the service did not get.
    pub lost_bytes: u64,
}

impl Status {
    /// Whether the service runs and is ready.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.state, ServiceState::Running { ready: true })
    }
}
