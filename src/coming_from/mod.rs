//! What the users of other libraries look for, and what it is called here.
//!
//! [`twisted`] is for those who know `twisted.internet`, [`tokio`] for those who know `tokio::process` or
//! [`std::process`], [`managers`] for those who know supervisord, systemd, OTP's supervisors or procmon,
//! [`pools`] for those who know a pool of processes of another kind. These modules hold documentation only.

#[cfg(feature = "monitor")]
pub mod managers;
#[cfg(feature = "pool")]
pub mod pools;
pub mod tokio;
pub mod twisted;
