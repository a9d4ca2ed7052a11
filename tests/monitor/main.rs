//! Services that a monitor keeps running.

#[path = "../common/mod.rs"]
mod common;

mod changes;
mod exits;
mod first;
mod leases;
mod liveness;
mod notify;
mod own_protocol;
mod readiness;
mod start_closures;
