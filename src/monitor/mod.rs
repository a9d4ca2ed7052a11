//! Services: children that are kept alive, leased, watched and stopped as one.

mod alive;
mod backoff;
mod check;
mod containment;
mod core;
mod error;
mod event;
mod exit;
mod graph;
mod guard;
mod host_death;
mod kill_all;
mod name;
mod notify;
mod ready;
mod restart;
mod restart_history;
mod sampling;
#[cfg(feature = "serde")]
mod seconds;
#[cfg(feature = "serde")]
mod serialize;
mod service;
mod shutdown_report;
mod spec_error;
mod start;
mod state;
mod status;

pub use alive::Alive;
pub use backoff::Backoff;
pub use containment::{CgroupLimits, CgroupPlace, MonitorContainment};
pub use error::{MonitorError, StartFailure};
pub use event::{Event, EventKind};
pub use exit::{Exit, ExitKind};
pub use host_death::OnHostDeath;
pub use name::ServiceName;
pub use ready::{LinePattern, Ready};
pub use restart::Restart;
pub use sampling::Usage;
pub use service::When;
pub use shutdown_report::ShutdownReport;
pub use spec_error::SpecError;
pub use start::{Start, StartError};
pub use state::ServiceState;
pub use status::Status;
