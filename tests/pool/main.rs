//! Jobs to worker processes.

#[path = "../common/mod.rs"]
mod common;

mod conformance;
