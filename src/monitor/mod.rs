//! Services: children that are kept alive, leased, watched and stopped as one.

mod backoff;
mod core;
mod error;
mod containment;
mod event;
mod exit;
mod graph;
mod name;
mod restart;
mod restart_history;
mod service;
mod shutdown_report;
mod sampling;
#[cfg(feature = "serde")]
mod seconds;
#[cfg(feature = "serde")]
mod serialize;
mod spec_error;
mod guard;
mod host_death;
mod kill_all;
mod start;
mod state;
mod status;

pub use backoff::Backoff;
pub use error::{MonitorError, StartFailure};
pub use containment::{CgroupLimits, CgroupPlace, MonitorContainment};
pub use event::{Event, EventKind};
pub use exit::{Exit, ExitKind};
pub use name::ServiceName;
pub use restart::Restart;
pub use service::When;
pub use shutdown_report::ShutdownReport;
pub use sampling::Usage;
pub use spec_error::SpecError;
mod alive;
mod check;
mod exit;
mod notify;
mod ready;
mod start;
mod state;

pub use alive::Alive;
pub use exit::{Exit, ExitKind};
pub use ready::{LinePattern, Ready};
pub use host_death::OnHostDeath;
pub use start::{Start, StartError};
pub use state::ServiceState;
pub use status::Status;
