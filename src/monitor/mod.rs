//! Services: children that are kept alive, leased, watched and stopped as one.

mod check;
mod exit;
mod notify;
mod start;
mod state;

pub use exit::{Exit, ExitKind};
pub use start::{Start, StartError};
pub use state::ServiceState;
