//! Waiting for one child's death: a detached task on the supervisor's arbiter.

use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};

use tokio::io::unix::AsyncFd;

use crate::child::Child;
use crate::janitor;

/// How a child's death will be noticed.
#[derive(Debug)]
pub(super) enum DeathWatch {
    /// The pidfd becomes readable.
    Pidfd(AsyncFd<Arc<OwnedFd>>),
    /// A thread waits in wait(2), once it is told to go.
    Thread(mpsc::Sender<()>),
}

impl DeathWatch {
    /// Leaves the reaping to threads that need no arbiter.
    pub(super) fn hand_over(self, child: &Arc<Child>) {
        match self {
            Self::Pidfd(pidfd) => {
                drop(pidfd);
                janitor::watch(child.watched());
            }
            Self::Thread(go) => drop(go),
        }
    }
}

/// A child to be reaped here. Dropped before it is, since its arbiter stops, the janitor reaps it.
#[derive(Debug)]
pub(super) struct Reaping {
    child: Arc<Child>,
    pidfd: Option<AsyncFd<Arc<OwnedFd>>>,
}

impl Reaping {
    pub(super) const fn new(child: Arc<Child>, pidfd: AsyncFd<Arc<OwnedFd>>) -> Self {
        Self {
            child,
            pidfd: Some(pidfd),
        }
    }

    pub(super) async fn run(mut self) {
        while let Some(pidfd) = &self.pidfd {
            // An error: the runtime is going down.
            let Ok(mut dead) = pidfd.readable().await else {
                return;
            };
            if self.child.try_reap() {
                drop(dead);
                self.pidfd = None;
            } else {
                dead.clear_ready();
            }
        }
    }
}

impl Drop for Reaping {
    fn drop(&mut self) {
        if let Some(pidfd) = self.pidfd.take() {
            DeathWatch::Pidfd(pidfd).hand_over(&self.child);
        }
    }
}
