//! From what a command describes to a child that is adopted.

mod check;
mod environment;
mod exit_watch;
mod explain;
pub(crate) mod home;
#[cfg(feature = "pool")]
mod host_limits;
mod identity;
mod in_flight;
mod job;
mod opening;
mod plan;
mod prepare;
mod program;
pub(crate) mod request;
pub(crate) mod table;
