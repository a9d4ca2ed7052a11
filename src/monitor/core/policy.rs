//! What a service asks of its monitor, as far as decisions depend on it.

use std::sync::Arc;
use std::time::Duration;

use super::{Slot, Ticket};
use crate::monitor::restart::Restart;
use crate::monitor::service::When;

/// One service that another one comes after.
#[derive(Debug, Clone)]
pub(in crate::monitor) struct Precondition {
    pub(in crate::monitor) id: Arc<str>,
    pub(in crate::monitor) when: When,
}

/// How many instances a service has, and who starts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::monitor) enum Kinship {
    /// One, which is always wanted.
    Always,
    /// One, which is wanted while it is leased.
    OnDemand,
    /// One a key, wanted while it is leased, and so many at most.
    Keyed { at_most: usize },
}

/// A service, as far as decisions depend on it.
#[derive(Debug, Clone)]
pub(in crate::monitor) struct Policy {
    pub(in crate::monitor) id: Arc<str>,
    pub(in crate::monitor) kinship: Kinship,
    pub(in crate::monitor) restart: Restart,
    /// The time that the launch of a start may take: its command, and its spawn.
    pub(in crate::monitor) launch_within: Duration,
    pub(in crate::monitor) idle_stop: Duration,
    pub(in crate::monitor) essential: bool,
    pub(in crate::monitor) after: Vec<Precondition>,
    pub(in crate::monitor) with: Vec<Arc<str>>,
}

/// A service, its place among the others, and its instances.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct ServiceEntry {
    pub(super) policy: Policy,
    pub(super) slots: Vec<Slot>,
    /// The services that come after this one.
    pub(super) followers: Vec<usize>,
    /// The services that are stopped and restarted with this one.
    pub(super) companions: Vec<usize>,
    /// It is being removed: it is forgotten with its last instance.
    pub(super) removed: bool,
    /// Those who wait until it is forgotten.
    pub(super) removers: Vec<Ticket>,
}
