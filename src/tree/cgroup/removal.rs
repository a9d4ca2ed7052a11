//! The end of a cgroup of our own: removed when its child is gone if it is empty by then, else by the
//! janitor as soon as it is.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::base::Base;
use super::files::{all_groups, is_busy, read, read_events, says_populated, subgroups};
use super::name::{Host, NameOf};
use super::signalling::MOST_GROUPS;
use super::{Cgroup, Place};
use crate::threads::janitor::{self, Watched};

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
        let heirs = Heirs {
            base: Arc::clone(&made.base),
            name: made.name.clone(),
            events: Arc::clone(&made.events),
            short: false,
        };
        let outcome = heirs.remove();
        if outcome != Outcome::Over {
            janitor::watch(Arc::new(heirs));
        }
        outcome != Outcome::Populated
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let retired = match &self.0 {
            Place::Made(made) => made.retired.load(Ordering::SeqCst),
            Place::Given(_) | Place::Joined(_) => true,
        };
        if !retired {
            self.retire();
        }
    }
}

/// What came of an attempt to remove a cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is gone, or will stay whatever is done.
    Over,
    /// Somebody is in it: its events tell when nobody is.
    Populated,
    /// Nothing announces when there will be descriptors again.
    Short,
}

/// Removes a cgroup that is empty, with those that its processes made below it, `most` in all.
fn remove_all(base: &Base, name: &Path, is_populated: impl Fn() -> bool, most: usize) -> Outcome {
    let remove = |name: &Path| unlinkat(&base.dir, name, UnlinkatFlags::RemoveDir);
    // Mostly there is nothing below it.
    let mut result = remove(name);
    if is_busy(result) {
        if is_populated() {
            return Outcome::Populated;
        }
        let Ok(groups) = all_groups(&base.dir, name, most) else {
            return Outcome::Short;
        };
        for group in groups.iter().rev() {
            result = remove(group);
        }
        if is_busy(result) && is_populated() {
            return Outcome::Populated;
        }
    }
    match result {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(error) => log::warn!(
            "the cgroup {} stays: {error}",
            base.path.join(name).display()
        ),
    }
    Outcome::Over
}

/// Removes what hosts have left that died before they could, as far as it is empty.
///
/// The owner of the directory may make any number of them: this many are looked at. What a host with more
/// children has left, the next look finds.
pub(super) fn sweep(base: &Base, host: &Host) {
    const MOST_NAMES: usize = 4096;
    const MOST: usize = 256;
    let names = subgroups(&base.dir, Path::new(""), MOST_NAMES).unwrap_or_default();
    let left_by_dead = names.iter().filter(|name| {
        let of = name.to_str().and_then(NameOf::parse);
        of.is_some_and(|of| of.is_dead(host))
    });
    let begun = Instant::now();
    for name in left_by_dead.take(MOST) {
        let is_populated = || says_populated(&read(&base.dir, name, "cgroup.events"));
        remove_all(base, name, is_populated, MOST);
        if begun.elapsed() > MOST_TIME {
            break;
        }
    }
}

/// For a sweep, which a spawn waits for.
const MOST_TIME: Duration = Duration::from_millis(100);

/// Whoever lives on in a cgroup whose child is gone.
struct Heirs {
    base: Arc<Base>,
    name: PathBuf,
    /// Readable always, and told anew when the last of them leaves.
    events: Arc<OwnedFd>,
    /// There was a shortage: it is looked for now and then.
    short: bool,
}

impl Heirs {
    fn remove(&self) -> Outcome {
        let is_populated = || says_populated(&read_events(&self.events));
        remove_all(&self.base, &self.name, is_populated, MOST_GROUPS)
    }
}

impl Watched for Heirs {
    fn pidfd(&self) -> Option<Arc<OwnedFd>> {
        (!self.short).then(|| Arc::clone(&self.events))
    }

    fn wait_until_dead(&self) {}

    fn is_child(&self) -> bool {
        false
    }

    fn reap(&self) -> bool {
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
