//! The actor that spawns, lists and ends children, [`ProcessSupervisor`], and what it is asked for.

mod spawn_in;
pub(crate) mod spawning;
mod submission;
mod system;
mod system_guard;

pub use crate::spawn::request::Spawn;
pub use crate::spawn::table::{ProcessInfo, ProcessState};
pub use spawning::Spawning;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, ResponseFuture, System};
use tokio::sync::oneshot;

use crate::ladder::LINGER;
use crate::tree::members::Leftover;

use crate::spawn::table::Table;
use submission::Submission;
use system_guard::SystemGuard;

/// Spawns, lists and ends children; restarts none. To restart a child, spawn its command again, in
/// [`process_ended`](crate::ProcessProtocol::process_ended) for example.
///
/// The supervisor has the table of the children that have not ended. Each is reaped by the driver of the arbiter
/// where its actors live, or by a thread of the crate's when that arbiter is gone.
///
/// [`Command::spawn`](crate::Command::spawn) uses the [`current`](Self::current) one of the System. Start more to have
/// separate tables, each with a [`Shutdown`] of its own:
///
/// ```
/// use actix::prelude::*;
/// use actix_process::supervisor::{List, Shutdown};
/// use actix_process::{Command, NoProtocol, ProcessSupervisor, Spawn};
/// use std::time::Duration;
///
/// # System::new().block_on(async {
/// let supervisor = ProcessSupervisor::new().start();
/// let sleep = Command::new("sleep").arg("60");
/// supervisor.send(Spawn::new(sleep, NoProtocol)).await??;
/// assert_eq!(supervisor.send(List).await?.len(), 1);
///
/// let report = supervisor.send(Shutdown { grace: Duration::from_secs(5) }).await?;
/// assert!(report.unreaped.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// The supervisor lives while it has an address or children. When it dies before its children (it panics, its
/// arbiter or the System stops), the children follow their [`OnOrphaned`](crate::OnOrphaned), and are reaped all
/// the same.
#[derive(Debug)]
pub struct ProcessSupervisor {
    table: Arc<Table>,
    /// Its drop tells the guard that it has nothing more to watch.
    system_guard: Option<oneshot::Sender<()>>,
}

impl ProcessSupervisor {
    /// A supervisor, to be started on any arbiter.
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: Arc::default(),
            system_guard: None,
        }
    }
}

impl Default for ProcessSupervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Actor for ProcessSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        // Without a System to watch, children are only as safe as this actor's own drop.
        if self.system_guard.is_none() {
            self.system_guard = System::try_current()
                .and_then(|system| SystemGuard::post(&system, Arc::clone(&self.table), || {}));
        }
    }
}

impl Drop for ProcessSupervisor {
    fn drop(&mut self) {
        self.table.owner_lost("its supervisor is gone");
    }
}

impl Handler<Spawn> for ProcessSupervisor {
    type Result = Submission;

    fn handle(&mut self, spawn: Spawn, ctx: &mut Self::Context) -> Submission {
        Submission {
            spawn,
            table: Arc::clone(&self.table),
            supervisor: ctx.address(),
        }
    }
}

/// Asks for all children that have not ended, in the order of their ids.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<ProcessInfo>")]
#[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
pub struct List;

impl Handler<List> for ProcessSupervisor {
    type Result = Vec<ProcessInfo>;

    fn handle(&mut self, _: List, _: &mut Self::Context) -> Vec<ProcessInfo> {
        self.table.list()
    }
}

/// Ends the supervisor's work: spawns are refused from now on, those in flight are killed, and all children get
/// SIGTERM, then SIGKILL after `grace`, and so do the process groups that they lead, and their cgroups.
///
/// The answer comes when all are reaped and no member of their groups is left, or two seconds after the SIGKILL
/// with a list of those that are left. A process in an uninterruptible system call does not die before the call
/// returns, and this program may not be allowed to kill a process of another user.
///
/// A shutdown is final. After the shutdown of [`ProcessSupervisor::current`], every
/// [`Command::spawn`](crate::Command::spawn) of its System (or of all threads in no System) fails with
/// [`SpawnStep::Register`](crate::SpawnStep::Register).
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "ShutdownReport")]
#[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
pub struct Shutdown {
    /// The time from SIGTERM to SIGKILL.
    pub grace: Duration,
}

/// What a [`Shutdown`] left.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Children that were not reaped in time. The shutdown also waits for a spawn that was in flight and cannot
    /// be killed in its exec; such a spawn is no child yet and not listed.
    pub unreaped: Vec<ProcessInfo>,
    /// The other members of the children's process groups and cgroups that are alive.
    pub leftovers: Vec<Leftover>,
}

impl Handler<Shutdown> for ProcessSupervisor {
    type Result = ResponseFuture<ShutdownReport>;

    fn handle(&mut self, shutdown: Shutdown, _: &mut Self::Context) -> Self::Result {
        let table = Arc::clone(&self.table);
        let stopping = table.shut_down(shutdown.grace);
        Box::pin(async move {
            let deadline = shutdown.grace.saturating_add(LINGER);
            let _ = tokio::time::timeout(deadline, table.drained()).await;
            // Each is bounded by the same time.
            let leftovers = stopping.over().await;
            ShutdownReport {
                unreaped: table.unreaped_infos(),
                leftovers,
            }
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
