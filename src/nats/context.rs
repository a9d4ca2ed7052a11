//! What a feed and all of its jobs share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::api::Api;
use super::event::FeedEvent;
use super::report::FeedReport;
use super::settings::FeedSettings;
use super::setup::prepare;
use super::stats::{FeedCounters, FeedStats};
use crate::host::closing::ActorClosing;
use crate::monitor::output::Broadcast;
use crate::pool::PoolHandle;

/// How many events are kept for those who are slow to take them.
const EVENTS: usize = 1024;

/// Shared with the handles as well.
#[derive(Debug)]
pub(super) struct FeedShared {
    counters: FeedCounters,
    /// Jobs of the feed that the pool has.
    in_pool: AtomicUsize,
    /// Of these, those that the pool does not have yet: they will take places of it that are free still.
    not_submitted: AtomicUsize,
    /// There is one fewer, or the pool has got one.
    has_room: Notify,
    /// When the stream of jobs was made. What was delivered from an earlier one of its name is not acknowledged: the number is that of another job.
    stream_created: Mutex<Arc<str>>,
    pub(super) events: Broadcast<FeedEvent>,
    pub(super) closing: ActorClosing<FeedReport>,
}

/// What a job needs. Nothing is adopted any more.
pub(super) struct FeedContext {
    pub(super) api: Api,
    pub(super) settings: FeedSettings,
    pub(super) results: String,
    pub(super) dead: String,
    pub(super) pool: PoolHandle,
    pub(super) shared: Arc<FeedShared>,
    /// When it was last seen to that all streams are there.
    pub(super) mended: tokio::sync::Mutex<Option<Instant>>,
}

/// A stream that is gone is not made anew more often.
const MEND_EVERY: Duration = Duration::from_secs(1);

impl FeedContext {
    /// Makes streams anew that are gone, unless this is under way or was done just now.
    pub(super) async fn mend(&self) {
        let Ok(mut mended) = self.mended.try_lock() else {
            return;
        };
        if mended.is_none_or(|at| at.elapsed() >= MEND_EVERY) {
            *mended = Some(Instant::now());
            match prepare(&self.api, &self.settings).await {
                Ok(()) => log::debug!("what the feed of {} needs is there", self.settings.consumer),
                Err(error) => log::warn!(
                    "what the feed of {} needs is not there: {error}",
                    self.settings.consumer
                ),
            }
        }
    }
}

/// A job that the pool has, or will have at once. The drop makes room for another.
pub(super) struct InPool {
    shared: Arc<FeedShared>,
    is_submitted: bool,
}

impl FeedShared {
    pub(super) fn new(stream_created: &str) -> Self {
        Self {
            stream_created: Mutex::new(stream_created.into()),
            counters: FeedCounters::default(),
            in_pool: AtomicUsize::new(0),
            not_submitted: AtomicUsize::new(0),
            has_room: Notify::new(),
            events: Broadcast::new(EVENTS),
            closing: ActorClosing::new(),
        }
    }

    /// When the stream of jobs was made that is there now.
    pub(super) fn stream_created(&self) -> Arc<str> {
        Arc::clone(&self.created())
    }

    /// Whether that is another stream than before.
    pub(super) fn stream_was_created(&self, at: &str) -> bool {
        let mut created = self.created();
        let is_another = **created != *at;
        if is_another {
            *created = at.into();
        }
        is_another
    }

    fn created(&self) -> MutexGuard<'_, Arc<str>> {
        self.stream_created
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stats(&self) -> FeedStats {
        FeedStats {
            running: self.in_pool(),
            ..self.counters.get()
        }
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut FeedStats)) {
        self.counters.change(change);
    }

    pub(super) fn in_pool(&self) -> usize {
        self.in_pool.load(Ordering::Acquire)
    }

    /// Jobs that will take a place of the pool each.
    pub(super) fn not_submitted(&self) -> usize {
        self.not_submitted.load(Ordering::Acquire)
    }

    pub(super) fn enter_pool(self: &Arc<Self>) -> InPool {
        self.in_pool.fetch_add(1, Ordering::AcqRel);
        self.not_submitted.fetch_add(1, Ordering::AcqRel);
        InPool {
            shared: Arc::clone(self),
            is_submitted: false,
        }
    }

    /// Ends when the pool has one job of the feed fewer than before, or has got one that it was to have.
    pub(super) async fn has_room(&self) {
        self.has_room.notified().await;
    }
}

impl InPool {
    /// The pool has it: its place is taken.
    pub(super) fn submitted(&mut self) {
        if !self.is_submitted {
            self.is_submitted = true;
            self.shared.not_submitted.fetch_sub(1, Ordering::AcqRel);
            self.shared.has_room.notify_one();
        }
    }
}

impl Drop for InPool {
    fn drop(&mut self) {
        self.submitted();
        self.shared.in_pool.fetch_sub(1, Ordering::AcqRel);
        self.shared.has_room.notify_one();
    }
}
