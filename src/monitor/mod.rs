//! Services: children that are kept alive, leased, watched and stopped as one.

mod backoff;
mod exit;
mod restart;
mod restart_history;
mod spec_error;
mod start;
mod state;

pub use backoff::Backoff;
pub use exit::{Exit, ExitKind};
pub use restart::Restart;
pub use spec_error::SpecError;
pub use start::{Start, StartError};
pub use state::ServiceState;
