//! The end of a cgroup of our own: removed when its child is gone if it is empty by then, else by the
//! janitor as soon as it is.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::base::Base;
use super::files::{MOST_GROUPS, read_events, says_populated};
use super::sweep::{Outcome, remove_all};
use super::{Cgroup, CgroupDir};
use crate::threads::janitor::{self, Reapable};

impl Cgroup {
    /// No child will join the cgroup any more: a cgroup of our own is removed, now or when it is empty. Tells
    /// whether no process is left in it.
    pub(crate) fn retire(&self) -> bool {
        let made = match &self.0 {
            CgroupDir::Made(made) if made.host == std::process::id() => made,
            _ => return !self.is_populated(),
        };
        if made.retired.swap(true, Ordering::SeqCst) {
            return !self.is_populated();
        }
        let descendants = Survivors {
            base: Arc::clone(&made.base),
            name: made.name.clone(),
            events: Arc::clone(&made.events),
            short: false,
        };
        let outcome = descendants.remove();
        if outcome != Outcome::Over {
            janitor::watch(Arc::new(descendants));
        }
        outcome != Outcome::Populated
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let retired = match &self.0 {
            CgroupDir::Made(made) => made.retired.load(Ordering::SeqCst),
            CgroupDir::Given(_) | CgroupDir::New(_) | CgroupDir::Joined(_) => true,
        };
        if !retired {
            self.retire();
        }
    }
}

/// The processes that live on in a cgroup whose child is gone.
struct Survivors {
    base: Arc<Base>,
    name: PathBuf,
    /// Readable always, and told anew when the last of them leaves.
    events: Arc<OwnedFd>,
    /// There was a shortage: it is looked for now and then.
    short: bool,
}

impl Survivors {
    fn remove(&self) -> Outcome {
        let is_populated = || says_populated(&read_events(&self.events));
        remove_all(
            &self.base.dir,
            &self.base.path,
            &self.name,
            is_populated,
            MOST_GROUPS,
        )
    }
}

impl Reapable for Survivors {
    fn pidfd(&self) -> Option<Arc<OwnedFd>> {
        (!self.short).then(|| Arc::clone(&self.events))
    }

    fn wait_until_dead(&self) {}

    fn is_child(&self) -> bool {
        false
    }

    fn reap(self: Arc<Self>) -> bool {
        match self.remove() {
            Outcome::Over => true,
            Outcome::Populated => false,
            Outcome::Short if self.short => false,
            Outcome::Short => {
                janitor::watch(Arc::new(Self {
                    base: Arc::clone(&self.base),
                    name: self.name.clone(),
                    events: Arc::clone(&self.events),
                    short: true,
                }));
                true
            }
        }
    }
}
