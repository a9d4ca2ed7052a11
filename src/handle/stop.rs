//! Stopping a child by a ladder of steps, and what came of it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::child::Report;
use crate::child::progress::Phase;
use crate::handle::ProcessHandle;
use crate::ladder::{Ladder, StoppedBy};
use crate::status::ExitStatus;
use crate::tree::members::Leftover;

/// What a [`stop`](ProcessHandle::stop) did to a child that has exited.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// How the child ended.
    pub status: ExitStatus,
    /// The last step that was taken.
    pub by: StoppedBy,
    /// The members of its group that are alive after the last step: those that may not be killed or cannot die, and all,
    /// if no step killed them.
    pub leftovers: Vec<Leftover>,
    /// How many members of its group were found alive when the child itself had exited. The steps that followed reached them too.
    pub outlived: usize,
    /// The time from the call until all of them were gone, or the last step's time was over.
    pub took: Duration,
}

/// The child lives on after the last step of a [`stop`](ProcessHandle::stop): this program may not kill it, it
/// cannot die (it hangs in a system call that nothing interrupts), or no step killed it. The crate reaps it when
/// it dies.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unkillable {
    /// The last step that was taken.
    pub by: StoppedBy,
    /// The other members of its group that are alive.
    pub leftovers: Vec<Leftover>,
    /// The time from the call until the last step's time was over.
    pub took: Duration,
}

impl fmt::Display for Unkillable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the process lives on after the last step of its ladder")?;
        match self.leftovers.len() {
            0 => Ok(()),
            others => write!(f, ", with {others} others of its group"),
        }
    }
}

impl std::error::Error for Unkillable {}

impl ProcessHandle {
    /// Stops the child and the process group that it leads, or its cgroup, by the steps of `ladder`, until all of them are
    /// gone. This call takes the first step. A zombie counts as gone.
    ///
    /// Resolves when nothing is left, or when the time of the last step is over: for
    /// [`kill`](Ladder::kill) that is 2 seconds, so a ladder is bounded by its waits. For any runtime,
    /// or none. The steps are taken whether or not the future is polled; dropping it changes nothing.
    ///
    /// A process that has left the group (by `setsid`, say) is not reached, unless there is a cgroup.
    ///
    /// # Errors
    ///
    /// [`Unkillable`] if the child itself lives on. Other members of its group that live on are no error:
    /// [`Stopped::leftovers`] lists them. In a copy, by fork, of the process that spawned the child the error comes at once,
    /// and no step is taken.
    pub fn stop(
        &self,
        ladder: Ladder,
    ) -> impl Future<Output = Result<Stopped, Unkillable>> + Send + use<> {
        let begun = Instant::now();
        let child = Arc::clone(self.child());
        // Before the first step ends them.
        let left_behind = child.left_behind();
        let (done, told) = oneshot::channel();
        child.escalate(ladder, move |report| drop(done.send(report)));
        async move {
            let report = match told.await {
                Ok(report) => report,
                // Only of a `TestProcess`, whose child exits when the test says so.
                Err(_) => {
                    child.progress.reached(Phase::Exited).await;
                    Report {
                        exited: true,
                        by: StoppedBy::Itself,
                        leftovers: Vec::new(),
                        outlived: 0,
                        took: begun.elapsed(),
                    }
                }
            };
            let Report {
                exited,
                by,
                leftovers,
                outlived,
                took,
            } = report;
            if !exited {
                return Err(Unkillable {
                    by,
                    leftovers,
                    took,
                });
            }
            Ok(Stopped {
                // Its death is noted a moment before it is told.
                status: child.progress.reached(Phase::Exited).await,
                by,
                leftovers,
                outlived: outlived.max(left_behind),
                took,
            })
        }
    }
}
