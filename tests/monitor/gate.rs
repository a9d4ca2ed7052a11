//! For these tests: a gate where closures wait.

use std::sync::{Condvar, Mutex};

/// Closures wait here until it is open.
#[derive(Default)]
pub(crate) struct Gate {
    /// How many wait, and whether it is open.
    state: Mutex<(usize, bool)>,
    opened: Condvar,
}

impl Gate {
    pub(crate) fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        drop(self.opened.wait_while(state, |state| !state.1).unwrap());
    }

    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().unwrap().0
    }

    pub(crate) fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.opened.notify_all();
    }
}
