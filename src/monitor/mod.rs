//! Services: children that are kept alive, leased, watched and stopped as one.

mod access;
mod actor;
mod alive;
mod backoff;
mod check;
mod containment;
mod core;
mod error;
mod event;
mod events;
mod exit;
mod graph;
mod guard;
mod handle;
mod home;
mod host_death;
mod kill_all;
mod lease;
pub mod messages;
#[expect(
    clippy::module_inception,
    reason = "the type that the folder is named after"
)]
mod monitor;
mod name;
mod notify;
mod output;
mod ready;
mod restart;
mod restart_history;
mod sampling;
#[cfg(feature = "serde")]
mod seconds;
#[cfg(feature = "serde")]
mod serialize;
mod service;
mod shared;
mod shutdown_report;
mod signals;
mod spec_error;
mod start;
mod state;
mod status;

pub use alive::Alive;
pub use backoff::Backoff;
pub use containment::{CgroupLimits, CgroupPlace, MonitorContainment};
pub use error::{MonitorError, StartFailure};
pub use event::{Event, EventKind};
pub use events::{Events, Reported};
pub use exit::{Exit, ExitKind};
pub use handle::MonitorHandle;
pub use host_death::OnHostDeath;
pub use lease::Lease;
pub use monitor::Monitor;
pub use name::ServiceName;
pub use output::{Follow, FollowRaw, Followed, FollowedRaw, ServiceLine, Since};
pub use ready::{LinePattern, Ready};
pub use restart::Restart;
pub use sampling::Usage;
pub use service::{Service, StartCommand, When};
pub use shutdown_report::ShutdownReport;
pub use spec_error::SpecError;
pub use start::{Start, StartError};
pub use state::ServiceState;
pub use status::Status;
