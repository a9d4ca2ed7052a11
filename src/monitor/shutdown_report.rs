//! What a shutdown of a monitor did.

use std::time::Duration;

/// What became of the services that ran when a [`shutdown`](super::MonitorHandle::shutdown) began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The services that went without a SIGKILL, in the order in which they were gone.
    pub clean: Vec<String>,
    /// The services that took a SIGKILL, of their ladder or at the deadline.
    pub killed: Vec<String>,
    /// The services that are alive and cannot be killed, and those of which that is not known yet.
    pub unkillable: Vec<String>,
    /// How many processes of the services' groups outlived their child.
    pub leftovers: usize,
    /// The time from the beginning of the shutdown.
    pub took: Duration,
}
