//! What a feed has done.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A look at a feed: [`FeedHandle::stats`](super::FeedHandle::stats). The numbers count from its start, on this host alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct FeedStats {
    /// Jobs that the pool has from the feed now: those that run, and those that were fetched ahead.
    pub running: usize,
    /// Jobs that wait in the stream, on no host: as the server told last, which may be a while ago.
    pub waiting: u64,
    /// Deliveries that came.
    pub fetched: u64,
    /// Jobs whose result is stored, of any [`JobStatus`](super::JobStatus).
    pub done: u64,
    /// How many of these have another status than [`JobStatus::Ok`](super::JobStatus::Ok).
    pub not_ok: u64,
    /// How many of these the stream of results had already: the job was done twice, and has one result.
    pub duplicates: u64,
    /// Attempts that were lost, and are followed by another one.
    pub retried: u64,
    /// Attempts that were lost with their worker.
    pub lost_workers: u64,
    /// Attempts that ran longer than they may.
    pub timeouts: u64,
    /// Jobs that went back to the stream without an attempt.
    pub given_back: u64,
    /// Jobs that have had all of their attempts.
    pub dead: u64,
    /// Deliveries of jobs that this host has already, after a trouble with the server.
    pub again: u64,
    /// Results that are not stored: the server was not heard of for longer than the window of duplicates, and another host has done the job, or will.
    pub too_late: u64,
    /// Results that are stored, and whose job could not be acknowledged: it comes again.
    pub unacknowledged: u64,
    /// How often the server was silent: two heartbeats were missing, or it said that there was no such consumer.
    pub silences: u64,
    /// How often jobs waited in the stream, and none came: the feed asked anew, from another inbox.
    pub stalls: u64,
}

/// Counted by the feed and its jobs.
#[derive(Debug, Default)]
pub(super) struct FeedCounters(Mutex<FeedStats>);

impl FeedCounters {
    pub(super) fn get(&self) -> FeedStats {
        *self.lock()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut FeedStats)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, FeedStats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
