//! Services: children that are kept alive, leased, watched and stopped as one.

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
pub use start::{Start, StartError};
pub use state::ServiceState;
