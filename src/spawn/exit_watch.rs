//! Waiting for one child's death.

use std::mem;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};

use crate::child::Child;
use crate::sync::lock;
use crate::sys::io::Registered;
use crate::threads::janitor;

/// How a child's death will be noticed.
#[derive(Debug)]
pub(crate) enum ExitWatch {
    /// The pidfd becomes readable; it is registered with the driver of the child's arbiter.
    Pidfd(Registered<Arc<OwnedFd>>),
    /// A thread waits in wait(2), once it is told to go.
    Thread(mpsc::Sender<()>),
}

impl ExitWatch {
    /// From now on the child's death is told.
    pub(crate) fn arm(self, child: &Arc<Child>) {
        match self {
            Self::Pidfd(pidfd) => PidfdWaker::start(child, pidfd),
            Self::Thread(go) => {
                let _ = go.send(());
            }
        }
    }
}

/// A child to be reaped when its pidfd becomes readable.
///
/// It is no task but a waker: the driver of the child's arbiter calls it at the child's death, and it
/// reaps on the spot. The driver has just told of the child's last closes, mostly, so the death costs
/// no wake of a thread. When the driver shuts down it calls as well, and the janitor takes over.
#[derive(Debug)]
struct PidfdWaker {
    child: Arc<Child>,
    wait: Mutex<Wait>,
}

#[derive(Debug)]
struct Wait {
    /// Taken out while a call looks at it, and for good when there is nothing more to wait for. The registration
    /// holds the [`PidfdWaker`] as its waker until then.
    pidfd: Option<Registered<Arc<OwnedFd>>>,
    /// The driver called while another call looked.
    called: bool,
}

impl PidfdWaker {
    fn start(child: &Arc<Child>, pidfd: Registered<Arc<OwnedFd>>) {
        let reaping = Arc::new(Self {
            child: Arc::clone(child),
            wait: Mutex::new(Wait {
                pidfd: Some(pidfd),
                called: false,
            }),
        });
        reaping.look();
    }

    /// Reaps the child if it is dead, else waits for the next call.
    ///
    /// The loop ends because tokio's budget refuses no poll here: the first look is in the task that adopts the
    /// child, which polls nothing else, and the driver calls for all later ones, outside of every task. A poll
    /// that is refused calls the waker at once, and the loop would poll again for ever.
    fn look(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut context = Context::from_waker(&waker);
        loop {
            let pidfd = {
                let mut wait = lock(&self.wait);
                let Some(pidfd) = wait.pidfd.take() else {
                    wait.called = true;
                    return;
                };
                pidfd
            };
            match pidfd.poll_read_ready(&mut context) {
                Poll::Ready(Ok(mut ready)) => {
                    if self.child.reap_dead() {
                        return;
                    }
                    ready.clear_ready();
                }
                // The driver is going down.
                Poll::Ready(Err(_)) => return janitor::watch(self.child.clone()),
                Poll::Pending => {
                    let mut wait = lock(&self.wait);
                    wait.pidfd = Some(pidfd);
                    if !mem::take(&mut wait.called) {
                        return;
                    }
                    continue;
                }
            }
            lock(&self.wait).pidfd = Some(pidfd);
        }
    }
}

impl Wake for PidfdWaker {
    fn wake(self: Arc<Self>) {
        self.look();
    }
}
