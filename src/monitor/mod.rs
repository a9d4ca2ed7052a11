//! Services: children that are kept alive, leased, watched and stopped as one.

mod containment;
mod exit;
mod start;
mod state;

pub use containment::{CgroupLimits, CgroupPlace, MonitorContainment};
pub use exit::{Exit, ExitKind};
pub use start::{Start, StartError};
pub use state::ServiceState;
