//! The way from handles and futures to a running pool.

use std::sync::Arc;

use actix::{Addr, System};

use super::Pool;
use super::actor::{PoolAsk, Submission, submit_here};
use super::shared::PoolShared;

/// The address of a pool, and what it shares. It does not keep the pool running.
#[derive(Debug, Clone)]
pub(super) struct PoolAccess {
    pub(super) address: Addr<Pool>,
    pub(super) shared: Arc<PoolShared>,
}

impl PoolShared {
    pub(super) fn tell(&self, pool: &Addr<Pool>, ask: PoolAsk) {
        self.asks_more();
        pool.do_send(ask);
    }
}

impl PoolAccess {
    /// By the mailbox.
    pub(super) fn tell(&self, ask: PoolAsk) {
        self.shared.tell(&self.address, ask);
    }

    /// Past the mailbox if the pool is on this thread, and nothing that was told before waits there: what was told first comes first.
    pub(super) fn submit(&self, submission: Submission) {
        let not_here = match self.shared.asks() {
            0 => submit_here(&self.shared, submission),
            _ => Some(submission),
        };
        if let Some(submission) = not_here {
            self.tell(PoolAsk::Submit(Box::new(submission)));
        }
    }

    /// Kills all workers, now, and ends the pool.
    pub(super) fn kill(&self, why: &str) {
        // It hears of the shutdown before it hears of the first death, lest it takes that for a loss.
        let tell = || self.tell(PoolAsk::ShutdownNow);
        self.shared.kill_all.kill_after(why, tell);
    }

    /// The System of this thread, if there is one, drops what its first arbiter has before the call that runs it returns. The pool's own
    /// arbiter, on another thread, may be later than the end of `main`.
    pub(super) fn end_with_the_system(self) {
        struct KillPoolAtDrop(PoolAccess);

        impl Drop for KillPoolAtDrop {
            fn drop(&mut self) {
                if !self.0.shared.closing.has_ended() {
                    self.0.kill("the System of a pool has ended");
                }
            }
        }

        let Some(system) = System::try_current() else {
            return;
        };
        let (closed, kill) = (self.shared.closing.over(), KillPoolAtDrop(self));
        system.arbiter().spawn(async move {
            closed.await;
            drop(kill);
        });
    }
}

/// Its drop is that of the last handle, and of the last future that waits for an answer.
#[derive(Debug)]
pub(super) struct LastPoolHandle {
    pub(super) access: PoolAccess,
}

impl Drop for LastPoolHandle {
    fn drop(&mut self) {
        if !self.access.shared.closing.has_ended() {
            self.access.kill("the last handle of a pool was dropped");
        }
    }
}
