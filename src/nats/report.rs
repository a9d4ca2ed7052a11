//! What became of a feed.

/// What became of the jobs that a feed had when it was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct FeedReport {
    /// How many ended in their way: with a result, or with a lost attempt that another host may follow.
    pub finished: usize,
    /// How many went back to the stream. Where the server did not hear of that, they are delivered again after the ack wait.
    pub given_back: usize,
}
