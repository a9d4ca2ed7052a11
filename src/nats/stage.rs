//! How far a feed is: it runs, it stops, it has ended.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The last handle's drop ends the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FeedStage {
    Runs,
    /// No more is fetched. What runs has until then.
    Stops(Instant),
}

/// What the parts of a feed know of its stage. The sender is with the handles.
#[derive(Debug, Clone)]
pub(super) struct FeedStages(watch::Receiver<FeedStage>);

impl FeedStages {
    pub(super) const fn new(stages: watch::Receiver<FeedStage>) -> Self {
        Self(stages)
    }

    /// Ends when the feed stops or has ended. Dropping the future loses nothing.
    pub(super) async fn stops(&mut self) {
        let stops = self.0.wait_for(|stage| *stage != FeedStage::Runs);
        // An error is the drop of the last handle.
        let _ = stops.await;
    }

    /// Ends at the deadline of the stop, or when the last handle is gone. A later stop with an earlier deadline counts.
    pub(super) async fn over(&mut self) {
        loop {
            let stage = *self.0.borrow_and_update();
            let deadline = match stage {
                FeedStage::Runs => None,
                FeedStage::Stops(deadline) => Some(deadline),
            };
            tokio::select! {
                biased;
                changed = self.0.changed() => if changed.is_err() {
                    // The handles are gone. A stop that has begun keeps its deadline.
                    if let Some(deadline) = deadline {
                        sleep_until(deadline).await;
                    }
                    return;
                },
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => return,
            }
        }
    }
}
