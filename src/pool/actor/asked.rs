//! What handles and futures ask of the actor.

use std::time::Duration;

use actix::{Context, Handler, Message};
use tokio::sync::oneshot;

use super::{PoolEngine, Submission};
use crate::Command;
use crate::pool::Pool;
use crate::pool::core::JobNumber;
use crate::pool::error::PoolError;
use crate::pool::report::PoolReport;
use crate::pool::stats::PoolStats;

#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::pool) enum PoolAsk {
    Submit(Box<Submission>),
    /// Nobody waits for this job any more.
    Cancel(JobNumber),
    /// The same, if no worker has begun with it.
    Withdraw(JobNumber),
    /// Nobody has the worker of this checkout any more, or waits for one.
    CheckIn(JobNumber),
    Stats(oneshot::Sender<PoolStats>),
    Reload(Box<Command>, oneshot::Sender<Result<(), PoolError>>),
    /// Jobs have their time.
    Drain(Duration, oneshot::Sender<PoolReport>),
    /// Jobs are ended.
    Shutdown(Duration, oneshot::Sender<PoolReport>),
    /// All workers were killed.
    ShutdownNow,
}

impl Handler<PoolAsk> for Pool {
    type Result = ();

    fn handle(&mut self, ask: PoolAsk, _: &mut Context<Self>) {
        self.with(|engine| {
            engine.shared.asks_less();
            engine.tick();
            engine.asked(ask);
        });
    }
}

impl PoolEngine {
    fn stats(&self) -> PoolStats {
        let stats = self.counters.stats(&self.scheduler);
        PoolStats {
            outcomes: self.shared.refused.with(stats.outcomes),
            ..stats
        }
    }

    fn asked(&mut self, ask: PoolAsk) {
        match ask {
            PoolAsk::Submit(submission) => self.submit(*submission),
            PoolAsk::Cancel(job) => {
                self.take_back_for(job);
                self.scheduler.cancel(job);
            }
            PoolAsk::Withdraw(job) => {
                self.take_back_for(job);
                self.scheduler.withdraw(job);
            }
            PoolAsk::CheckIn(job) => self.check_in(job),
            PoolAsk::Stats(tell) => drop(tell.send(self.stats())),
            PoolAsk::Reload(command, tell) => self.reload(*command, tell),
            PoolAsk::Drain(deadline, tell) => {
                self.arm_shutdown(deadline);
                self.drain(tell);
            }
            PoolAsk::Shutdown(deadline, tell) => {
                self.arm_shutdown(deadline);
                self.shut_down(Some(tell));
            }
            PoolAsk::ShutdownNow => {
                self.arm_shutdown(Duration::ZERO);
                self.shut_down(None);
            }
        }
    }
}
