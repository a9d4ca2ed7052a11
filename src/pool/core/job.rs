//! A job that has no outcome yet, in as few bytes as its place in the queue needs.

use std::sync::Arc;
use std::time::Duration;

use super::{JobTerms, SubmitKind, WorkerId};

/// The place of a job in the queue: urgent ones first, then by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobTurn(u64);

impl JobTurn {
    const NOT_URGENT: u64 = 1 << 63;

    pub(super) const fn new(urgent: bool, number: u64) -> Self {
        Self(if urgent {
            number
        } else {
            number | Self::NOT_URGENT
        })
    }

    pub(super) const fn is_urgent(self) -> bool {
        self.0 & Self::NOT_URGENT == 0
    }

    /// The place by age alone.
    pub(super) const fn number(self) -> u64 {
        self.0 & !Self::NOT_URGENT
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobAt {
    /// It may go to any worker.
    Ready,
    /// It waits for this worker, which has done the earlier jobs of its key.
    Bound(WorkerId),
    /// It waits for an earlier job of its key.
    Behind,
    Running(WorkerId),
    /// It waits behind another job at this worker, which was sent it ahead.
    Ahead(WorkerId),
}

/// 100,000 of these may wait.
#[derive(Debug, Clone)]
pub(super) struct QueuedJob {
    pub(super) turn: JobTurn,
    pub(super) at: JobAt,
    /// What most jobs are not told.
    rare: Option<Box<RareTerms>>,
    pub(super) retries: u32,
    /// How many workers it has lost.
    pub(super) lost: u32,
    pub(super) own_args: bool,
    /// It wants a worker for itself.
    pub(super) checkout: bool,
    /// It may be sent ahead, and others behind it.
    pub(super) light: bool,
    /// It was withdrawn when its worker had read it, and not begun.
    pub(super) withdrawn: bool,
}

#[derive(Debug, Clone)]
struct RareTerms {
    key: Option<Arc<str>>,
    expires: Option<Duration>,
    timeout: Option<Duration>,
}

impl QueuedJob {
    pub(super) fn new(terms: JobTerms, turn: JobTurn, kind: SubmitKind) -> Self {
        let JobTerms {
            urgent: _,
            key,
            expires,
            timeout,
            retries,
            own_args,
            light,
        } = terms;
        let light = light && key.is_none() && expires.is_none() && kind == SubmitKind::Job;
        let plain = key.is_none() && expires.is_none() && timeout.is_none();
        let rare = RareTerms {
            key,
            expires,
            timeout,
        };
        Self {
            turn,
            at: JobAt::Behind,
            rare: (!plain).then(|| Box::new(rare)),
            retries,
            lost: 0,
            own_args,
            checkout: kind == SubmitKind::Checkout,
            light,
            withdrawn: false,
        }
    }

    /// One that has lost a worker is sent when it can begin.
    pub(super) const fn may_go_ahead(&self) -> bool {
        self.light && self.lost == 0
    }

    pub(super) fn key(&self) -> Option<&Arc<str>> {
        self.rare.as_ref()?.key.as_ref()
    }

    pub(super) fn expires(&self) -> Option<Duration> {
        self.rare.as_ref()?.expires
    }

    pub(super) fn timeout(&self) -> Option<Duration> {
        self.rare.as_ref()?.timeout
    }
}
