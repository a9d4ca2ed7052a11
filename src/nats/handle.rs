//! What a program has of a running feed.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::context::FeedShared;
use super::event::FeedEvents;
use super::report::FeedReport;
use super::stage::FeedStage;
use super::stats::FeedStats;
use crate::monitor::Since;

/// A deadline that nobody lives to see, in place of one that a clock cannot hold.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// A handle of a running [`Feed`](super::Feed). A clone is a handle of the same feed. It works on any thread.
///
/// When the last handle is dropped, the feed ends: its jobs are cancelled and go back to the stream at once. A program that ends in order calls
/// [`stop`](Self::stop) first.
#[derive(Clone)]
#[must_use = "the drop of the last handle ends the feed"]
pub struct FeedHandle {
    shared: Arc<FeedShared>,
    stage: watch::Sender<FeedStage>,
}

impl FeedHandle {
    pub(super) const fn new(shared: Arc<FeedShared>, stage: watch::Sender<FeedStage>) -> Self {
        Self { shared, stage }
    }

    /// What the feed has done, now.
    #[must_use]
    pub fn stats(&self) -> FeedStats {
        self.shared.stats()
    }

    /// What happens to the feed from now on.
    pub fn events(&self) -> FeedEvents {
        FeedEvents::new(self.shared.events.subscribe(Since::Now))
    }

    /// Fetches no more, finishes the jobs that workers have, and gives back those that wait, at once. At the deadline those that still run are cancelled, and
    /// go back too. A second call with an earlier deadline counts; a later one changes nothing. The pool goes on.
    ///
    /// Jobs that run longer go on to be the feed's until then: the server hears that they are in progress. It hears of what goes back within a few seconds
    /// more, or the jobs are delivered again after the ack wait.
    pub async fn stop(&self, deadline: Duration) -> FeedReport {
        let now = Instant::now();
        let until = now.checked_add(deadline).unwrap_or_else(|| now + FAR);
        self.stage.send_if_modified(|stage| {
            let changes = match stage {
                FeedStage::Runs => true,
                FeedStage::Stops(earlier) => until < *earlier,
            };
            if changes {
                *stage = FeedStage::Stops(until);
            }
            changes
        });
        self.shared.closing.over().await
    }

    /// Resolves when the feed has ended, in whatever way: by [`stop`](Self::stop), with its pool, or with the runtime that it was started on.
    pub fn closed(&self) -> impl Future<Output = FeedReport> + Send + use<> {
        self.shared.closing.over()
    }
}

impl fmt::Debug for FeedHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedHandle").finish_non_exhaustive()
    }
}
