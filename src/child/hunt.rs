//! The last members of a child's group: found in /proc when the child itself is dead, and awaited.
//! Runs on the janitor's thread.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use super::escalation::Escalation;
use crate::janitor::{self, Watch, Watched};
use crate::ladder::Input;
use crate::members::Group;
use crate::sys;

/// So many deaths are awaited at the same time; then another look shows who is left.
const AT_ONCE: usize = 64;

/// Whether any member is left; if so, waits for their deaths, or looks now and then where it cannot.
pub(super) fn look_around(escalation: &Arc<Escalation>) {
    let Some(living) = living(escalation) else {
        return over(escalation);
    };
    let (group, pids) = living;
    let pidfds: Vec<_> = pids
        .into_iter()
        .take(AT_ONCE)
        .filter_map(|pid| {
            let pidfd = sys::signal::open_pidfd(pid).ok()?;
            // The number may have become another's before it was opened.
            group.has(pid).then(|| Arc::new(pidfd))
        })
        .collect();
    let watches = if pidfds.is_empty() {
        vec![janitor::look_after(Arc::new(Look(Arc::downgrade(
            escalation,
        ))))]
    } else {
        await_all(escalation, pidfds)
    };
    escalation.await_deaths(watches);
}

/// The group and its living members. A process that is made while its maker dies can be missed by one
/// look, so where the kernel still knows of somebody there are two.
fn living(escalation: &Arc<Escalation>) -> Option<(Group, Vec<i32>)> {
    for _ in 0..2 {
        let group = escalation.child.cell.group_left()?;
        match group.members() {
            Ok(living) if living.is_empty() => {}
            Ok(living) => {
                let pids = living.into_iter().filter_map(|member| member.pid);
                return Some((group, pids.collect()));
            }
            // They are there, and that is all there is to know.
            Err(_) => return Some((group, Vec::new())),
        }
    }
    None
}

fn over(escalation: &Arc<Escalation>) {
    let _ = escalation.feed(Input::Gone);
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

impl Watched for Member {
    fn pidfd(&self) -> Option<Arc<OwnedFd>> {
        Some(Arc::clone(&self.pidfd))
    }

    fn wait_until_dead(&self) {}

    fn is_child(&self) -> bool {
        false
    }

    fn reap(&self) -> bool {
        if !sys::signal::has_exited(self.pidfd.as_fd()) {
            return false;
        }
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1
            && let Some(escalation) = self.escalation.upgrade()
        {
            janitor::soon(move || look_around(&escalation));
        }
        true
    }
}

/// Looked for now and then: there are no pidfds.
struct Look(Weak<Escalation>);

impl Watched for Look {
    fn pidfd(&self) -> Option<Arc<OwnedFd>> {
        None
    }

    fn wait_until_dead(&self) {}

    fn is_child(&self) -> bool {
        false
    }

    fn reap(&self) -> bool {
        let Some(escalation) = self.0.upgrade() else {
            return true;
        };
        let gone = living(&escalation).is_none();
        if gone {
            over(&escalation);
        }
        gone
    }
}
