//! The end of a cgroup of our own: removed when its child is gone if it is empty by then, else by the
//! janitor as soon as it is.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::base::Base;
use super::signalling::all_groups;
use super::{Cgroup, Made, Place, is_populated, open_events};
use crate::janitor::{self, Watched};

impl Cgroup {
    /// No child will join it any more: one of our own is removed, now or when it is empty. Tells
    /// whether nobody is left in it.
    pub(crate) fn retire(&self) -> bool {
        let made = match &self.0 {
            Place::Made(made) if made.host == std::process::id() => made,
            _ => return !self.is_populated(),
        };
        if made.retired.swap(true, Ordering::SeqCst) {
            return !self.is_populated();
        }
        let removed = remove_all(&made.base, &made.name);
        if !removed {
            janitor::watch(Arc::new(Heirs::of(made)));
        }
        removed
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let retired = match &self.0 {
            Place::Made(made) => made.retired.load(Ordering::SeqCst),
            Place::Given(_) => true,
        };
        if !retired {
            self.retire();
        }
    }
}

/// Removes a cgroup that is empty, with those that its processes made below it. True if there is
/// nothing more to wait for.
pub(super) fn remove_all(base: &Base, name: &Path) -> bool {
    let remove = |name: &Path| unlinkat(&base.dir, name, UnlinkatFlags::RemoveDir);
    // Mostly there is nothing below it.
    let busy = |result| matches!(result, Err(Errno::EBUSY | Errno::ENOTEMPTY));
    let mut result = remove(name);
    if busy(result) {
        if is_populated(&base.dir, name) {
            return false;
        }
        let groups = all_groups(&base.dir, name);
        for group in groups.iter().rev() {
            result = remove(group);
        }
        if busy(result) && is_populated(&base.dir, name) {
            return false;
        }
    }
    match result {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(error) => log::warn!(
            "the cgroup {} stays: {error}",
            base.path.join(name).display()
        ),
    }
    true
}

/// Whoever lives on in a cgroup whose child is gone.
struct Heirs {
    base: Arc<Base>,
    name: PathBuf,
    /// Readable always, and told anew when the last of them leaves; `None` if it could not be opened.
    events: Option<Arc<OwnedFd>>,
}

impl Heirs {
    fn of(made: &Made) -> Self {
        let (base, name) = (Arc::clone(&made.base), made.name.clone());
        let events = open_events(&base.dir, &name);
        if let Err(error) = &events {
            log::debug!("cannot watch a cgroup: {error}");
        }
        Self {
            base,
            name,
            events: events.ok().map(Arc::new),
        }
    }
}

impl Watched for Heirs {
    fn pidfd(&self) -> Option<Arc<OwnedFd>> {
        self.events.clone()
    }

    fn wait_until_dead(&self) {}

    fn is_child(&self) -> bool {
        false
    }

    fn reap(&self) -> bool {
        remove_all(&self.base, &self.name)
    }
}
