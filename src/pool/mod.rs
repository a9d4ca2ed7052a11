//! Jobs to worker processes: one right outcome each.

mod core;
mod wire;
pub mod worker;
