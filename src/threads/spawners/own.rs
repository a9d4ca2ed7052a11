//! A thread for one spawn, made by the thread that asks: for a state that cannot be read.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};

use super::{Desk, Kin, PoolJob, Ties, start_thread};
use crate::sys::clone::Stack;
use crate::sys::thread_state::Credentials;

/// The way to the thread. Without a job it ends when this drops.
pub(crate) struct OwnSpawner(mpsc::Sender<PoolJob>);

impl OwnSpawner {
    pub(super) fn start() -> io::Result<Self> {
        let mut stack = Stack::new(Credentials::ours())?;
        let (to, jobs) = mpsc::channel::<PoolJob>();
        start_thread(move |_permit| {
            let Ok(job) = jobs.recv() else {
                return;
            };
            let ties = Arc::<Ties>::default();
            let desk = Desk {
                stack: &mut stack,
                ties: &ties,
                kin: Kin::default(),
            };
            if catch_unwind(AssertUnwindSafe(|| job(Ok(desk)))).is_err() {
                log::warn!("a spawn panicked");
            }
            drop(stack);
            ties.wait();
        })?;
        Ok(Self(to))
    }

    pub(super) fn submit(self, job: PoolJob) {
        if let Err(mpsc::SendError(job)) = self.0.send(job) {
            job(Err(io::Error::other("it has ended")));
        }
    }
}

impl fmt::Debug for OwnSpawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnSpawner").finish_non_exhaustive()
    }
}
