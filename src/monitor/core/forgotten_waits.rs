//! Waits whose answers nobody takes any more.

use super::instance::Waiter;
use super::{Core, LeaseId, Ticket};

impl Core {
    /// Forgets those who wait with a ticket that is gone, and ends their leases. What they asked for is done all the same: of those that
    /// asked for a start, one is kept for each instance, so that the start comes.
    pub(in crate::monitor) fn forget_waits(&mut self, is_gone: impl Fn(Ticket) -> bool) {
        let mut leases: Vec<LeaseId> = Vec::new();
        for instance in self.instances.iter_mut().flatten() {
            let mut has_start = false;
            instance.waiters.retain(|waiter: &Waiter| {
                if !is_gone(waiter.ticket) {
                    return true;
                }
                leases.extend(waiter.lease);
                let asks = waiter.starts && waiter.lease.is_none();
                asks && !std::mem::replace(&mut has_start, true)
            });
            instance.stop_waiters.retain(|ticket| !is_gone(*ticket));
        }
        for entry in self.entries.values_mut() {
            entry.removers.retain(|ticket| !is_gone(*ticket));
        }
        for lease in leases {
            self.end_lease(Some(lease));
        }
    }
}
