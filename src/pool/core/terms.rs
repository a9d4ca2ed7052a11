//! What a pool and its jobs are set to.

use std::sync::Arc;
use std::time::Duration;

pub(in crate::pool) use super::ahead::AheadTerms;
use crate::monitor::Backoff;

/// What a pool is told of a job.
#[derive(Debug, Clone, Default)]
pub(in crate::pool) struct JobTerms {
    /// Before those that are not. An urgent job waits for the earlier jobs of its key nevertheless.
    pub(in crate::pool) urgent: bool,
    /// Jobs of one key run in order, one at a time, on the same worker while it lives.
    pub(in crate::pool) key: Option<Arc<str>>,
    /// It must be dispatched by then. The moment counts while the job waits, and again when it waits for a retry.
    pub(in crate::pool) expires: Option<Duration>,
    /// How long it may run. `None` is the pool's [`job_timeout`](PoolTerms::job_timeout), and no limit for a checkout.
    pub(in crate::pool) timeout: Option<Duration>,
    /// How often it is tried again when its worker is lost. A checkout is never tried again.
    pub(in crate::pool) retries: u32,
    /// Its process needs arguments of this job (one-shot pools only): no spare can do it.
    pub(in crate::pool) own_args: bool,
    /// It is small, and its answer goes out as a whole: it may be sent to a worker ahead, and others behind it. A job with a key or an expiry
    /// is not, whatever this says.
    pub(in crate::pool) light: bool,
}

/// How a pool works.
#[derive(Debug, Clone)]
pub(in crate::pool) struct PoolTerms {
    /// So many workers are kept; in a one-shot pool, so many spares.
    pub(in crate::pool) min: usize,
    /// There are never more, those that start or stop included.
    pub(in crate::pool) max: usize,
    /// A worker takes one job, and ends by itself after it.
    pub(in crate::pool) one_shot: bool,
    pub(in crate::pool) ready_within: Duration,
    pub(in crate::pool) job_timeout: Option<Duration>,
    pub(in crate::pool) idle_timeout: Duration,
    /// How long a worker that was told of a cancel has to answer; `None` where it cannot be told.
    pub(in crate::pool) soft: Option<Duration>,
    pub(in crate::pool) max_jobs: Option<u32>,
    pub(in crate::pool) max_age: Option<Duration>,
    /// A job that has lost so many workers is poisoned.
    pub(in crate::pool) poison: u32,
    /// So many starts that fail in a row make the pool say that it is down.
    pub(in crate::pool) down_after: u32,
    pub(in crate::pool) backoff: Backoff,
    pub(in crate::pool) ahead: AheadTerms,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum SubmitKind {
    Job,
    /// A worker for oneself, until it is checked in.
    Checkout,
}

/// Why a job is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum Refused {
    /// Workers cannot be started.
    Down,
    ShuttingDown,
}
