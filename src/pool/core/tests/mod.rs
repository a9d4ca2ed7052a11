//! A scheduler with a scripted driver: what is decided, by name, in every order, and at random against a model.

mod ahead;
mod ahead_faults;
mod ends;
mod every_order;
mod follows;
mod keys;
mod losses;
mod one_shots;
mod queue;
mod random;
mod recycling;
mod reloads;
mod starts;
mod world;

use std::time::Duration;

use super::{AheadTerms, JobTerms, PoolEffect, PoolTerms, Scheduler};
use crate::monitor::Backoff;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Scheduler {
    /// What follows from all that was told.
    fn follows(&mut self) -> Vec<PoolEffect> {
        let mut effects = Vec::new();
        self.effects(&mut effects);
        effects
    }
}

/// Workers from `min` to `max`; 10 s to be ready, 60 s of idleness, 1 s after a cancel; delays of 1 s, 2 s, 4 s after failures.
fn terms(min: usize, max: usize) -> PoolTerms {
    PoolTerms {
        min,
        max,
        one_shot: false,
        ready_within: secs(10),
        job_timeout: None,
        idle_timeout: secs(60),
        soft: Some(secs(1)),
        max_jobs: None,
        max_age: None,
        poison: 3,
        down_after: 5,
        backoff: Backoff::new().first(secs(1)).jitter(0.0),
        ahead: AheadTerms {
            most: 0,
            short: ms(1),
            after: 1,
        },
    }
}

/// The same with so many jobs sent ahead after one that took no time.
fn ahead(most: usize, min: usize, max: usize) -> PoolTerms {
    let mut terms = terms(min, max);
    terms.ahead.most = most;
    terms
}

/// The same with a process for each job, and `spares`.
fn one_shot(spares: usize, max: usize) -> PoolTerms {
    PoolTerms {
        one_shot: true,
        soft: None,
        ..terms(spares, max)
    }
}

fn plain() -> JobTerms {
    JobTerms::default()
}

fn light() -> JobTerms {
    JobTerms {
        light: true,
        ..plain()
    }
}

fn urgent() -> JobTerms {
    JobTerms {
        urgent: true,
        ..plain()
    }
}

fn keyed(key: &str) -> JobTerms {
    JobTerms {
        key: Some(key.into()),
        ..plain()
    }
}

fn own_args() -> JobTerms {
    JobTerms {
        own_args: true,
        ..plain()
    }
}

fn retried(retries: u32) -> JobTerms {
    JobTerms { retries, ..plain() }
}

fn expiring(expires: Duration) -> JobTerms {
    JobTerms {
        expires: Some(expires),
        ..plain()
    }
}

fn timed(timeout: Duration) -> JobTerms {
    JobTerms {
        timeout: Some(timeout),
        ..plain()
    }
}
