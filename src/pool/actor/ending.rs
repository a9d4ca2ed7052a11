//! The end of a pool.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{PoolEngine, PoolGuard};
use crate::host::closing::EndAtDrop;
use crate::pool::core::StopWorker;
use crate::pool::event::PoolEventKind;
use crate::pool::report::PoolReport;

/// What is alive so long after its SIGKILL is given up.
const GIVE_UP: Duration = Duration::from_secs(3);

/// How far the end of a pool is.
pub(super) enum ShutdownStage {
    No,
    Begun {
        since: Instant,
        waiters: Vec<oneshot::Sender<PoolReport>>,
    },
    /// Nobody is left: the actor goes.
    Leaving(PoolReport, Vec<oneshot::Sender<PoolReport>>),
    Over,
}

impl ShutdownStage {
    pub(super) const fn has_begun(&self) -> bool {
        !matches!(self, Self::No)
    }
}

/// What happens at the deadline of an end, and after it, unless this is dropped before.
pub(super) struct ShutdownTimers {
    /// The deadline, since the begin of the pool.
    at: Duration,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for ShutdownTimers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl PoolEngine {
    /// Kills what is left at the deadline, and gives up what lives on after that. Of several deadlines the first one counts.
    pub(super) fn arm_shutdown(&mut self, deadline: Duration) {
        let at = self.time.saturating_add(deadline);
        if self.shutdown.as_ref().is_some_and(|armed| armed.at <= at) {
            return;
        }
        let kill = self.myself.later(deadline, |engine| {
            engine.tick();
            engine.kill_all();
        });
        let last = deadline.saturating_add(GIVE_UP);
        let give_up = self.myself.later(last, Self::give_up);
        self.shutdown = Some(ShutdownTimers {
            at,
            tasks: [kill, give_up],
        });
    }

    pub(super) fn drain(&mut self, tell: oneshot::Sender<PoolReport>) {
        self.begin(Some(tell));
        self.scheduler.drain();
    }

    pub(super) fn shut_down(&mut self, tell: Option<oneshot::Sender<PoolReport>>) {
        self.begin(tell);
        self.scheduler.shut_down();
    }

    fn begin(&mut self, tell: Option<oneshot::Sender<PoolReport>>) {
        if !self.stage.has_begun() {
            log::debug!("pool {} shuts down", self.settings.name);
            self.stage = ShutdownStage::Begun {
                since: Instant::now(),
                waiters: Vec::new(),
            };
            self.shared.begin_closing();
            self.publish(None, PoolEventKind::ShutdownBegan);
            if let Some((_, waiter)) = self.reload.take() {
                let _ = waiter.send(Err(crate::pool::error::PoolError::Ended));
            }
        }
        if let ShutdownStage::Begun { waiters, .. } | ShutdownStage::Leaving(_, waiters) =
            &mut self.stage
        {
            waiters.extend(tell);
        }
    }

    /// The time is over.
    fn kill_all(&mut self) {
        if !matches!(self.stage, ShutdownStage::Begun { .. }) {
            return;
        }
        self.scheduler.shut_down();
        let workers: Vec<_> = self.workers.keys().copied().collect();
        for worker in workers {
            self.stop_worker(worker, StopWorker::Kill);
        }
    }

    fn give_up(&mut self) {
        if matches!(self.stage, ShutdownStage::Begun { .. }) {
            self.end();
        }
    }

    /// Nobody is left.
    pub(super) fn drained(&mut self) {
        self.end();
    }

    fn end(&mut self) {
        let ShutdownStage::Begun { since, waiters } =
            std::mem::replace(&mut self.stage, ShutdownStage::Over)
        else {
            return;
        };
        let report = PoolReport {
            unkillable: self.workers.len(),
            took: since.elapsed(),
            ..self.counters.report()
        };
        log::debug!("pool {} has ended: {report:?}", self.settings.name);
        self.stage = ShutdownStage::Leaving(report, waiters);
    }

    /// Tells of the end, and ends the guard and the actor, if this is the end.
    pub(super) fn leave(&mut self) {
        if !matches!(self.stage, ShutdownStage::Leaving(..)) {
            return;
        }
        let ShutdownStage::Leaving(report, waiters) =
            std::mem::replace(&mut self.stage, ShutdownStage::Over)
        else {
            return;
        };
        // What cannot be killed is signalled no more.
        self.shared.kill_all.end();
        let guard = match std::mem::replace(&mut self.guard, PoolGuard::None) {
            PoolGuard::There(guard) => std::rc::Rc::try_unwrap(guard).ok(),
            _ => None,
        };
        let ending = guard.map(crate::host::guard::Guard::end);
        let shared = Arc::clone(&self.shared);
        let told = report.clone();
        let end = EndAtDrop::new(move || shared.end(told));
        let home = self.home.clone();
        actix_rt::spawn(async move {
            if let Some(ending) = ending {
                ending.await;
            }
            drop(end);
            for waiter in waiters {
                let _ = waiter.send(report.clone());
                // The answer to a message goes on by a task of this arbiter.
                actix_rt::task::yield_now().await;
            }
            home.end();
        });
        self.myself.end();
    }
}
