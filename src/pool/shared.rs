//! What the handles of a pool share with the pool.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::core::{JobNumber, WorkerId};
use super::event::PoolEvent;
use super::refused::RefusedCounts;
use super::report::PoolReport;
use super::settings::PoolSettings;
use crate::host::closing::ActorClosing;
use crate::host::kill_all::KillAll;
use crate::monitor::Follow;
use crate::monitor::Since;
use crate::monitor::output::{Broadcast, OutputSource};

/// How many events are kept for those who are slow to take them.
const EVENTS: usize = 1024;

#[derive(Debug)]
pub(super) struct PoolShared {
    pub(super) settings: PoolSettings,
    /// One for each job that the pool may have. It is closed when the pool takes no jobs any more.
    pub(super) places: Arc<Semaphore>,
    pub(super) refused: RefusedCounts,
    pub(super) events: Broadcast<PoolEvent>,
    pub(super) kill_all: KillAll,
    pub(super) closing: ActorClosing<PoolReport>,
    /// The outputs of the workers that there are.
    outputs: Mutex<HashMap<WorkerId, OutputSource>>,
    last_job: AtomicU64,
    /// So many requests are in the mailbox of the pool.
    asks: AtomicUsize,
}

impl PoolShared {
    pub(super) fn new(settings: PoolSettings) -> Self {
        Self {
            places: Arc::new(Semaphore::new(settings.places())),
            refused: RefusedCounts::default(),
            events: Broadcast::new(EVENTS),
            kill_all: KillAll::new("workers"),
            closing: ActorClosing::new(),
            outputs: Mutex::default(),
            last_job: AtomicU64::new(0),
            asks: AtomicUsize::new(0),
            settings,
        }
    }

    pub(super) fn next_job(&self) -> JobNumber {
        self.last_job.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How many requests are in the pool's mailbox.
    pub(super) fn asks(&self) -> usize {
        self.asks.load(Ordering::Acquire)
    }

    /// There is one more of them, before it is sent.
    pub(super) fn asks_more(&self) {
        self.asks.fetch_add(1, Ordering::AcqRel);
    }

    /// The pool has taken one.
    pub(super) fn asks_less(&self) {
        self.asks.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn outputs(&self) -> MutexGuard<'_, HashMap<WorkerId, OutputSource>> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lines of a worker. Of one that is not there: none.
    pub(super) fn follow(&self, worker: WorkerId, since: Since) -> Follow {
        let source = self.outputs().get(&worker).cloned();
        source.unwrap_or_else(OutputSource::none).follow(since)
    }

    /// No more jobs are taken.
    pub(super) fn begin_closing(&self) {
        self.places.close();
        self.closing.begin();
    }

    /// Nothing runs any more. The first report counts.
    pub(super) fn end(&self, report: PoolReport) {
        self.places.close();
        self.closing.end(report);
        self.events.close();
        let outputs = std::mem::take(&mut *self.outputs());
        outputs.values().for_each(OutputSource::close);
    }
}
