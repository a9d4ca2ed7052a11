//! Services: children that are kept alive, leased, watched and stopped as one.

mod exit;
mod guard;
mod host_death;
mod kill_all;
mod start;
mod state;

pub use exit::{Exit, ExitKind};
pub use host_death::OnHostDeath;
pub use start::{Start, StartError};
pub use state::ServiceState;
