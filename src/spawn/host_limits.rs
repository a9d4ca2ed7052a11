//! Whether this host can set the limits of a command, for who wants to know before the first spawn.

use crate::command::Command;
use crate::command::spec::Contain;
use crate::error::SpawnError;
use crate::sys::caps::CapSets;
use crate::sys::rlimit::own_limits;
use crate::tree::cgroup::Cgroup;

/// CAP_SYS_RESOURCE of capabilities(7): hard limits may be raised.
const SYS_RESOURCE: u32 = 24;

impl Command {
    /// Refuses a cgroup where none can be made, and hard limits that the calling thread may not raise. What a sandbox refuses besides is told by
    /// the spawn only.
    pub(crate) fn check_limits_of_the_host(&self) -> Result<(), SpawnError> {
        let spec = self.spec();
        if spec.contain == Some(Contain::Cgroup) {
            // It is removed with its drop.
            drop(Cgroup::of(spec)?);
        }
        let may_raise =
            CapSets::of_this_thread().is_ok_and(|sets| sets.effective & 1 << SYS_RESOURCE != 0);
        for (resource, limit) in spec.limits.iter().filter(|_| !may_raise) {
            let own = own_limits(resource.number()).map_or(u64::MAX, |(_, hard)| hard);
            if limit.hard > own {
                let subject = format!("rlimit {resource:?}");
                let why = format!("this program may not raise its hard limit of {own}");
                return Err(SpawnError::invalid(subject, why));
            }
        }
        Ok(())
    }
}
