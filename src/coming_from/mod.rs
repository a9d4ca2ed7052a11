//! What the users of other libraries look for, and what it is called here.
//!
//! [`twisted`] is for those who know `twisted.internet`, [`tokio`] for those who know `tokio::process` or
//! [`std::process`]. These modules hold documentation only.

pub mod tokio;
pub mod twisted;
