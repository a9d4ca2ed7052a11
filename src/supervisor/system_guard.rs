//! What notices that a System is gone.
//!
//! When main merely returns, actors on other arbiters often never get to run `stopped`: the process
//! is gone first. The System's own arbiter is dropped on the main thread before, and with it this
//! task, whose drop applies every child's policy synchronously.

use std::sync::Arc;

use actix::System;
use tokio::sync::oneshot;

use crate::spawn::table::Table;
use crate::sys;

pub(super) struct SystemGuard {
    table: Arc<Table>,
    on_gone: Option<Box<dyn FnOnce() + Send>>,
    dismissed: bool,
}

impl SystemGuard {
    /// Posts a guard on the System's arbiter. It stays until the sender drops. `None` if the
    /// System is gone already: the table is closed then. `on_gone` runs when the guard drops, after it has closed the table
    /// at the System's end.
    pub(super) fn post(
        system: &System,
        table: Arc<Table>,
        on_gone: impl FnOnce() + Send + 'static,
    ) -> Option<oneshot::Sender<()>> {
        let system_guard = Self {
            table: Arc::clone(&table),
            on_gone: Some(Box::new(on_gone)),
            dismissed: false,
        };
        let (dismiss, dismissed) = oneshot::channel::<()>();
        let posted = system.arbiter().spawn(async move {
            // The whole of it moves in here: a capture by fields would drop it outside.
            let mut system_guard = system_guard;
            let _ = dismissed.await;
            system_guard.dismissed = true;
        });
        // What is sent while the arbiter closes may stay unseen in its queue.
        let watches = posted && system.arbiter().alive();
        if !watches {
            table.owner_lost("its System is gone");
        }
        watches.then_some(dismiss)
    }
}

impl Drop for SystemGuard {
    fn drop(&mut self) {
        if sys::copy::is_copy() {
            return;
        }
        self.table.owner_lost("its System is gone");
        if let Some(on_gone) = self.on_gone.take() {
            on_gone();
        }
        if !self.dismissed {
            self.table.stop_arbiter();
        }
    }
}
