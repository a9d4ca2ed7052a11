//! A slot that is given back when a child is gone, by whoever tells of it: no task waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use tokio::task::unconstrained;

use super::SlotPermit;
use crate::handle::ProcessHandle;
use crate::status::ExitStatus;
use crate::sync::lock;

/// A permit, and the exit that it waits for. The waker that the exit's future keeps is this value, so both live until the exit.
pub(super) struct UntilExit {
    held: Mutex<Option<Held>>,
}

struct Held {
    exited: Pin<Box<dyn Future<Output = ExitStatus> + Send>>,
    permit: SlotPermit,
}

impl UntilExit {
    pub(super) fn hold(permit: SlotPermit, process: &ProcessHandle) -> Arc<Self> {
        // A runtime's budget must not make it wake itself while it is polled.
        let exited = Box::pin(unconstrained(process.exited()));
        let held = Mutex::new(Some(Held { exited, permit }));
        let until = Arc::new(Self { held });
        until.look();
        until
    }

    /// Gives the permit back if the child has exited.
    pub(super) fn look(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut held = lock(&self.held);
        let Some(waits) = &mut *held else { return };
        if waits
            .exited
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            let over = held.take();
            drop(held);
            // Wakes the next one, under no lock.
            drop(over.map(|held| held.permit));
        }
    }
}

impl Wake for UntilExit {
    fn wake(self: Arc<Self>) {
        self.look();
    }
}
