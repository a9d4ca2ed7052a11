//! The kill of all children that a monitor or a pool keeps, at once, from any thread.

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::KillOnDrop;
use crate::ProcessHandle;

/// The children of a monitor or a pool, for whoever finds that nobody is left to stop them in order: the last handle was dropped, the System
/// stopped, `main` returns. When the last clone of this is dropped, they are killed as well.
#[derive(Clone)]
pub(crate) struct KillAll {
    registry: Arc<Registry>,
}

struct Registry {
    /// A word for the children.
    what: &'static str,
    /// The process that made this: a copy of it, by fork, kills nobody.
    host: u32,
    live: Mutex<Live>,
}

enum Live {
    /// By the generation of their start.
    Children(HashMap<u64, KillOnDrop>),
    /// All were killed: a child that comes now is killed, too.
    Killed,
}

impl Registry {
    fn new(what: &'static str) -> Self {
        Self {
            what,
            host: std::process::id(),
            live: Mutex::new(Live::Children(HashMap::new())),
        }
    }

    fn kill(&self, why: &str, before: impl FnOnce()) -> usize {
        // A copy must not take the lock either: a thread that it does not have may hold it.
        if std::process::id() != self.host {
            return 0;
        }
        let children = mem::replace(&mut *self.lock(), Live::Killed);
        before();
        let Live::Children(children) = children else {
            return 0;
        };
        let count = children.len();
        drop(children);
        if count > 0 {
            log::warn!("{why}: {count} {} were killed", self.what);
        }
        count
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill("nobody holds them any more", || {});
    }
}

impl KillAll {
    /// `what` is a word for the children: services, workers.
    pub(crate) fn new(what: &'static str) -> Self {
        let registry = Arc::new(Registry::new(what));
        Self { registry }
    }

    /// A child that is to be killed with the others, until it is [removed](Self::remove). One that comes after the kill is
    /// killed at once.
    pub(crate) fn add(&self, generation: u64, process: &ProcessHandle) {
        let process = process.clone().kill_on_drop();
        let killed = match &mut *self.registry.lock() {
            Live::Children(children) => {
                let before = children.insert(generation, process);
                before.map(KillOnDrop::disarm);
                None
            }
            Live::Killed => Some(process),
        };
        // It takes other locks.
        drop(killed);
    }

    /// Nobody is left of the child and its group. As often as one likes.
    pub(crate) fn remove(&self, generation: u64) {
        let removed = match &mut *self.registry.lock() {
            Live::Children(children) => children.remove(&generation),
            Live::Killed => None,
        };
        removed.map(KillOnDrop::disarm);
    }

    /// What is still in here got its SIGKILL and cannot die: it is signalled no more. A child that comes now is killed.
    pub(crate) fn end(&self) {
        let before = mem::replace(&mut *self.registry.lock(), Live::Killed);
        if let Live::Children(children) = before {
            children
                .into_values()
                .for_each(|child| drop(child.disarm()));
        }
    }

    /// How many children are in here.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        match &*self.registry.lock() {
            Live::Children(children) => children.len(),
            Live::Killed => 0,
        }
    }

    /// Whether all were killed.
    pub(crate) fn has_killed(&self) -> bool {
        matches!(*self.registry.lock(), Live::Killed)
    }

    /// Sends SIGKILL to every child and to its group, or its cgroup, and says in the log how many there were; gives that number. Waits for
    /// nothing. The second call does nothing, and so does each call in a copy of this process, by fork.
    pub(crate) fn kill(&self, why: &str) -> usize {
        self.registry.kill(why, || {})
    }

    /// The same. What `before` does is done when it is known that all will be killed, and before any of them is.
    pub(crate) fn kill_after(&self, why: &str, before: impl FnOnce()) -> usize {
        self.registry.kill(why, before)
    }
}

impl fmt::Debug for KillAll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children = match &*self.registry.lock() {
            Live::Children(children) => Some(children.len()),
            Live::Killed => None,
        };
        f.debug_struct("KillAll")
            .field("children", &children)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::guard::tests::{Family, all_gone, in_a_system};

    #[test]
    fn every_group_is_killed_once_from_any_thread_and_a_removed_one_is_not() {
        in_a_system(async {
            let all = KillAll::new("services");
            let families = [Family::spawn().await, Family::spawn().await];
            let removed = Family::spawn().await;
            for (generation, family) in families.iter().enumerate() {
                all.add(generation as u64, &family.process);
            }
            all.add(9, &removed.process);
            all.remove(9);
            all.remove(9);
            let elsewhere = all.clone();
            let first = std::thread::spawn(move || elsewhere.kill("a test"));
            assert_eq!(first.join().unwrap(), 2);
            assert_eq!(all.kill("a test"), 0);
            for family in &families {
                all_gone(family.group).await;
            }
            assert_eq!(removed.members(), 2);

            // One that was under way.
            all.add(9, &removed.process);
            all_gone(removed.group).await;
        });
    }

    #[test]
    fn what_a_child_that_has_exited_left_is_killed() {
        in_a_system(async {
            let all = KillAll::new("services");
            let family = Family::spawn().await;
            all.add(1, &family.process);
            assert!(family.process.kill());
            family.process.exited().await;
            assert_eq!(family.members(), 1);
            assert_eq!(all.kill("a test"), 1);
            all_gone(family.group).await;
        });
    }

    #[test]
    fn after_the_end_nobody_is_signalled_but_who_comes_late() {
        in_a_system(async {
            let all = KillAll::new("services");
            let families = [Family::spawn().await, Family::spawn().await];
            all.add(1, &families[0].process);
            all.end();
            assert_eq!(all.kill("a test"), 0);
            all.add(2, &families[1].process);
            drop(all);
            all_gone(families[1].group).await;
            assert_eq!(families[0].members(), 2);
        });
    }

    #[test]
    fn the_drop_of_the_last_clone_kills() {
        in_a_system(async {
            let all = KillAll::new("services");
            let family = Family::spawn().await;
            all.add(1, &family.process);
            drop(all.clone());
            assert_eq!(family.members(), 2);
            drop(all);
            all_gone(family.group).await;
        });
    }
}
