//! The time that a child is given to live, by `Command::timeout`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Child;
use crate::ladder::Ladder;
use crate::sync::lock;
use crate::threads::janitor::{self, Timer};

/// How long a child may live, and what ends it then.
pub(crate) struct TimeLimit {
    time: Duration,
    ladder: Ladder,
    is_over: AtomicBool,
    /// While it runs.
    timer: Mutex<Option<Timer>>,
}

impl TimeLimit {
    pub(crate) const fn new(time: Duration, ladder: Ladder) -> Self {
        Self {
            time,
            ladder,
            is_over: AtomicBool::new(false),
            timer: Mutex::new(None),
        }
    }
}

impl Child {
    /// The child runs. Nobody reaps it before this.
    pub(crate) fn start_time_limit(self: &Arc<Self>) {
        let Some(limit) = self.time_limit.as_deref() else {
            return;
        };
        // The janitor holds no record of a child that is gone.
        let child = Arc::downgrade(self);
        let timer = janitor::after(limit.time, move || {
            if let Some(child) = child.upgrade() {
                child.time_is_over();
            }
        });
        *lock(&limit.timer) = Some(timer);
    }

    /// The child has exited in time, or at last.
    pub(super) fn stop_time_limit(&self) {
        if let Some(limit) = self.time_limit.as_deref() {
            let timer = lock(&limit.timer).take();
            drop(timer);
        }
    }

    fn time_is_over(self: &Arc<Self>) {
        // It may be dead, and its arbiter too busy to reap it.
        self.try_reap();
        let Some(limit) = self.time_limit.as_deref() else {
            return;
        };
        if self.live.pid().is_none() {
            return;
        }
        limit.is_over.store(true, Ordering::SeqCst);
        log::debug!("{self} has lived for {:?}, its timeout", limit.time);
        self.escalate(limit.ladder.clone(), |_| {});
    }

    /// Whether the child was stopped because its time was over.
    pub(crate) fn has_timed_out(&self) -> bool {
        let limit = self.time_limit.as_deref();
        limit.is_some_and(|limit| limit.is_over.load(Ordering::SeqCst))
    }
}
