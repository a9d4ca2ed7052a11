//! Children that die with the thread that cloned them, which must outlive them therefore.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::sync::lock;
use crate::sys;

/// How many such children one thread has.
#[derive(Debug, Default)]
pub(crate) struct Ties {
    count: Mutex<usize>,
    changed: Condvar,
}

/// Holds the thread that cloned a child, until it drops.
#[derive(Debug)]
pub(crate) struct Tie(Arc<Ties>);

impl Ties {
    pub(crate) fn tie(self: &Arc<Self>) -> Tie {
        *lock(&self.count) += 1;
        Tie(Arc::clone(self))
    }

    pub(super) fn is_free(&self) -> bool {
        *lock(&self.count) == 0
    }

    /// Blocks while there is such a child.
    pub(super) fn wait(&self) {
        let count = lock(&self.count);
        drop(
            self.changed
                .wait_while(count, |count| *count > 0)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

impl Drop for Tie {
    fn drop(&mut self) {
        if sys::copy::is_copy() {
            return;
        }
        *lock(&self.0.count) -= 1;
        self.0.changed.notify_all();
    }
}
