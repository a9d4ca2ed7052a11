//! Jobs to worker processes: one right outcome each.

mod core;
