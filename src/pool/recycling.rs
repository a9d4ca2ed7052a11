//! Why workers are replaced.

/// Why a worker is replaced that has done nothing wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Recycling {
    /// It has done its [number of jobs](super::Pool::max_jobs).
    Jobs,
    /// It is [too old](super::Pool::max_age).
    Age,
    /// It has [too much memory](super::Pool::max_rss).
    Memory,
    /// The pool has [another command](super::PoolHandle::reload).
    Reload,
    /// It had [nothing to do](super::Pool::idle_timeout).
    Idle,
}
