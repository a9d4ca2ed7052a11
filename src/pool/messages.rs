//! What can be asked of a [`Pool`] by messages to its address: the same as by the methods of [`PoolHandle`](super::PoolHandle), which say what each does
//! and how it is answered.
//!
//! An answer that is awaited by a message does not keep the pool running when the last handle is dropped. A request that is dropped does not cancel its job.
//!
//! ```
//! use actix_process::Command;
//! use actix_process::pool::{Job, Pool, messages};
//!
//! # actix::System::new().block_on(async {
//! let pool = Pool::one_shot(Command::new("cat")).start()?;
//! let job = Job::new("a job");
//! assert_eq!(pool.addr().send(messages::Submit { job }).await??, "a job");
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{AsyncContext, Context, Handler, Message, ResponseFuture};
use tokio::sync::oneshot;

use super::Pool;
use super::actor::{Outlet, OwnedEngine, PoolAsk, Submission};
use super::error::{JobError, PoolError};
use super::event::PoolEvents;
use super::job::Job;
use super::report::PoolReport;
use super::shared::PoolShared;
use super::stats::PoolStats;
use crate::Bytes;
use crate::Command;
use crate::monitor::Follow as LineStream;
use crate::monitor::Since;

impl Pool {
    /// There while it runs.
    fn shared(&self) -> Option<&Arc<PoolShared>> {
        self.engine.as_ref().map(OwnedEngine::shared)
    }
}

/// [`PoolHandle::submit`](super::PoolHandle::submit).
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Bytes, JobError>")]
#[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
pub struct Submit {
    /// What is to be done.
    pub job: Job,
}

impl Handler<Submit> for Pool {
    type Result = ResponseFuture<Result<Bytes, JobError>>;

    fn handle(&mut self, message: Submit, ctx: &mut Context<Self>) -> Self::Result {
        let job = message.job;
        let Some(shared) = self.shared() else {
            return Box::pin(std::future::ready(Err(JobError::ShuttingDown)));
        };
        let place = match shared.admit(&job) {
            Ok(place) => place,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let (tell, told) = oneshot::channel();
        let submission = Submission {
            id: shared.next_job(),
            job,
            outlet: Outlet::Whole(tell),
            place,
            at: Instant::now(),
        };
        shared.tell(&ctx.address(), PoolAsk::Submit(Box::new(submission)));
        Box::pin(async move { told.await.unwrap_or(Err(JobError::ShuttingDown)) })
    }
}

/// [`PoolHandle::stats`](super::PoolHandle::stats).
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<PoolStats, PoolError>")]
#[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
pub struct Stats;

impl Handler<Stats> for Pool {
    type Result = ResponseFuture<Result<PoolStats, PoolError>>;

    fn handle(&mut self, _: Stats, ctx: &mut Context<Self>) -> Self::Result {
        let (tell, told) = oneshot::channel();
        if let Some(shared) = self.shared() {
            shared.tell(&ctx.address(), PoolAsk::Stats(tell));
        }
        Box::pin(async move { told.await.map_err(|_| PoolError::Ended) })
    }
}

/// [`PoolHandle::events`](super::PoolHandle::events).
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<PoolEvents, PoolError>")]
#[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
pub struct Events;

impl Handler<Events> for Pool {
    type Result = Result<PoolEvents, PoolError>;

    fn handle(&mut self, _: Events, _: &mut Context<Self>) -> Self::Result {
        let shared = self.shared().ok_or(PoolError::Ended)?;
        Ok(PoolEvents::new(shared.events.subscribe(Since::Now)))
    }
}

/// [`PoolHandle::follow`](super::PoolHandle::follow).
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<LineStream, PoolError>")]
#[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
pub struct Follow {
    /// The number of the worker.
    pub worker: u64,
    /// From which line on.
    pub since: Since,
}

impl Handler<Follow> for Pool {
    type Result = Result<LineStream, PoolError>;

    fn handle(&mut self, message: Follow, _: &mut Context<Self>) -> Self::Result {
        let shared = self.shared().ok_or(PoolError::Ended)?;
        Ok(shared.follow(message.worker, message.since))
    }
}

/// [`PoolHandle::reload`](super::PoolHandle::reload).
#[derive(Clone, Message)]
#[rtype(result = "Result<(), PoolError>")]
#[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
pub struct Reload {
    /// The command of the workers from now on.
    pub command: Command,
}

impl Handler<Reload> for Pool {
    type Result = ResponseFuture<Result<(), PoolError>>;

    fn handle(&mut self, message: Reload, ctx: &mut Context<Self>) -> Self::Result {
        let command = message.command;
        let checked = match self.shared() {
            Some(shared) => shared.settings.with_command(command.clone()).checked(),
            None => return Box::pin(std::future::ready(Err(PoolError::Ended))),
        };
        if let Err(error) = checked {
            return Box::pin(std::future::ready(Err(error.into())));
        }
        let (tell, told) = oneshot::channel();
        if let Some(shared) = self.shared() {
            shared.tell(&ctx.address(), PoolAsk::Reload(Box::new(command), tell));
        }
        Box::pin(async move { told.await.unwrap_or(Err(PoolError::Ended)) })
    }
}

/// Without the command: its arguments are nobody's business.
impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload").finish_non_exhaustive()
    }
}

/// A message with a deadline, that ends the pool.
macro_rules! ending {
    ($($(#[$doc:meta])* $message:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Message)]
        #[rtype(result = "PoolReport")]
        #[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
        pub struct $message {
            /// When what is left is killed.
            pub deadline: Duration,
        }

        impl Handler<$message> for Pool {
            type Result = ResponseFuture<PoolReport>;

            fn handle(&mut self, message: $message, ctx: &mut Context<Self>) -> Self::Result {
                let (tell, told) = oneshot::channel();
                let over = self.shared().map(|shared| {
                    shared.tell(&ctx.address(), PoolAsk::$message(message.deadline, tell));
                    shared.closing.over()
                });
                Box::pin(async move {
                    match (told.await, over) {
                        (Ok(report), _) => report,
                        // The pool ended before it came to this request.
                        (Err(_), Some(over)) => over.await,
                        (Err(_), None) => PoolReport::default(),
                    }
                })
            }
        }
    )*};
}

ending! {
    /// [`PoolHandle::drain`](super::PoolHandle::drain).
    Drain;
    /// [`PoolHandle::shutdown`](super::PoolHandle::shutdown).
    Shutdown;
}
