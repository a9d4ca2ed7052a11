//! What became of a pool.

use std::time::Duration;

/// What a drain or a shutdown of a pool did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PoolReport {
    /// How many jobs had their answer, or another outcome than the shutdown, after it had begun.
    pub finished: usize,
    /// How many jobs it has ended: [`JobError::ShuttingDown`](super::JobError::ShuttingDown).
    pub ended: usize,
    /// How many workers went by themselves, or by a step of their ladder before SIGKILL.
    pub clean: usize,
    /// How many workers took a SIGKILL.
    pub killed: usize,
    /// How many workers are alive after their SIGKILL. The crate reaps them when they die.
    pub unkillable: usize,
    /// How many processes the workers had left in their groups. They were stopped.
    pub leftovers: usize,
    /// The time from the call to the end.
    pub took: Duration,
}
