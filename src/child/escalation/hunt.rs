//! The last members of a child's group: found in /proc when the child itself is dead, and awaited.
//! Runs on the janitor's thread.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::Escalation;
use crate::ladder::ClimbInput;
use crate::sync::lock;
use crate::sys;
use crate::threads::janitor::{self, LAST_RESORT, Reapable, Watch};
use crate::tree::members::{self, Leftover};

/// How many deaths are awaited at the same time. Another look shows which members are left then.
const AT_ONCE: usize = 64;

/// The escalations that want a look around: at a shutdown they are many, and one look does for all. Bounded by
/// the escalations that there are.
static WANTED: Mutex<Vec<Arc<Escalation>>> = Mutex::new(Vec::new());

/// Looks around for the members that this one's child has left, soon.
pub(super) fn look_around(escalation: Arc<Escalation>) {
    let mut wanted = lock(&WANTED);
    let first = wanted.is_empty();
    wanted.push(escalation);
    drop(wanted);
    if first {
        janitor::soon(look_for_all);
    }
}

fn look_for_all() {
    let mut all = std::mem::take(&mut *lock(&WANTED));
    // A process that is made while its maker dies can be missed by one look.
    for _ in 0..2 {
        let mut groups = Vec::new();
        all.retain(|escalation| {
            if escalation.is_over() {
                return false;
            }
            match escalation.child.live.group_left() {
                Some(group) => groups.push(group),
                None => {
                    over(escalation);
                    return false;
                }
            }
            true
        });
        if all.is_empty() {
            return;
        }
        // Where /proc cannot be read they are there, and that is all there is to know.
        let listed = members::of_groups(&groups).ok();
        let mut index = 0;
        all.retain(|escalation| {
            let living = listed
                .as_ref()
                .map(|listed| listed.get(index).map(Vec::as_slice));
            index += 1;
            !follow(escalation, living.map(Option::unwrap_or_default))
        });
    }
    all.iter().for_each(over);
}

/// Waits for the deaths of the members that live, or looks again later where it cannot. False if none lives.
fn follow(escalation: &Arc<Escalation>, living: Option<&[Leftover]>) -> bool {
    let Some(group) = escalation.child.live.group_left() else {
        return false;
    };
    if let Some(living) = living {
        escalation.note_outlived(living.len());
    }
    if living.is_some_and(<[_]>::is_empty) {
        return false;
    }
    let pids = living.unwrap_or_default().iter();
    let pidfds: Vec<_> = pids
        .filter_map(|member| member.pid)
        .take(AT_ONCE)
        .filter_map(|pid| {
            let pidfd = sys::signal::open_pidfd(pid).ok()?;
            // The number may have become another's before it was opened.
            group.has(pid).then(|| Arc::new(pidfd))
        })
        .collect();
    if pidfds.is_empty() {
        let this = Arc::downgrade(escalation);
        escalation.look_again(janitor::after(LAST_RESORT, move || {
            if let Some(escalation) = this.upgrade() {
                look_around(escalation);
            }
        }));
    } else {
        escalation.await_deaths(await_all(escalation, pidfds));
    }
    true
}

fn over(escalation: &Arc<Escalation>) {
    let _ = escalation.feed(ClimbInput::Gone);
}

fn await_all(escalation: &Arc<Escalation>, pidfds: Vec<Arc<OwnedFd>>) -> Vec<Watch> {
    let left = Arc::new(AtomicUsize::new(pidfds.len()));
    let members = pidfds.into_iter().map(|pidfd| {
        janitor::watch_for(Arc::new(Member {
            pidfd,
            left: Arc::clone(&left),
            escalation: Arc::downgrade(escalation),
        }))
    });
    members.collect()
}

/// A member whose death is awaited.
struct Member {
    pidfd: Arc<OwnedFd>,
    /// How many of them live, together.
    left: Arc<AtomicUsize>,
    escalation: Weak<Escalation>,
}

impl Reapable for Member {
    fn pidfd(&self) -> Option<Arc<OwnedFd>> {
        Some(Arc::clone(&self.pidfd))
    }

    fn wait_until_dead(&self) {}

    fn is_child(&self) -> bool {
        false
    }

    fn reap(self: Arc<Self>) -> bool {
        if !sys::signal::has_exited(self.pidfd.as_fd()) {
            return false;
        }
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1
            && let Some(escalation) = self.escalation.upgrade()
        {
            look_around(escalation);
        }
        true
    }
}
