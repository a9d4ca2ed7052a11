//! Services: children that are kept alive, leased, watched and stopped as one.

mod backoff;
mod event;
mod exit;
mod restart;
mod restart_history;
mod sampling;
#[cfg(feature = "serde")]
mod seconds;
#[cfg(feature = "serde")]
mod serialize;
mod spec_error;
mod start;
mod state;
mod status;

pub use backoff::Backoff;
pub use event::{Event, EventKind};
pub use exit::{Exit, ExitKind};
pub use restart::Restart;
pub use sampling::Usage;
pub use spec_error::SpecError;
pub use start::{Start, StartError};
pub use state::ServiceState;
pub use status::Status;
