//! Services: children that are kept alive, leased, watched and stopped as one.

mod exit;
mod output;
mod start;
mod state;

pub use exit::{Exit, ExitKind};
pub use output::{Follow, FollowRaw, Followed, FollowedRaw, ServiceLine, Since};
pub use start::{Start, StartError};
pub use state::ServiceState;
