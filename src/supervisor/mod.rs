//! The actor that spawns, reaps and lists children.

mod birth;
mod default;
mod reap;
mod sentinel;
mod spawning;
mod table;

pub use spawning::Spawning;
pub use table::{ProcessInfo, ProcessState};

use std::sync::Arc;
use std::time::Duration;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, ResponseFuture, System};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::command::Command;
use crate::error::SpawnError;
use crate::handle::ProcessHandle;
use crate::home::Home;
use crate::id::ProcessId;
use crate::protocol::{IntoProtocol, Protocol};
use crate::spawner;
use crate::sys::clone::Ticket;

use birth::{Adopted, Birth};
use sentinel::Sentinel;
use table::Table;

/// Spawns children, reaps them, and tells their protocols how they ended.
///
/// [`Command::spawn`] uses the [`current`](Self::current) one of the System. Start more to have
/// separate tables, each with a [`Shutdown`] of its own:
///
/// ```
/// use actix::prelude::*;
/// use actix_process::{Command, List, NoProtocol, ProcessSupervisor, Shutdown, Spawn};
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
/// It lives while it has an address or children. When it dies before them (it panics, its arbiter
/// or the System stops), they follow their [`OnOrphaned`](crate::OnOrphaned), and are reaped all
/// the same.
#[derive(Debug)]
pub struct ProcessSupervisor {
    table: Arc<Table>,
    /// Its drop tells the sentinel that it has nothing more to watch.
    _sentinel: Option<oneshot::Sender<()>>,
}

impl ProcessSupervisor {
    /// A supervisor, to be started on any arbiter.
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: Arc::default(),
            _sentinel: None,
        }
    }

    /// The System's own supervisor, on a thread of its own: started on first use (which waits for
    /// the thread to start), and replaced when it has died.
    ///
    /// # Errors
    ///
    /// [`SpawnStep::Register`](crate::SpawnStep::Register) outside a System, in one that has
    /// stopped, or when its thread cannot be started.
    pub fn current() -> Result<Addr<Self>, SpawnError> {
        default::current()
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
        self._sentinel = System::try_current()
            .and_then(|system| Sentinel::post(&system, Arc::clone(&self.table)));
    }
}

impl Drop for ProcessSupervisor {
    fn drop(&mut self) {
        self.table.lose("its supervisor is gone");
    }
}

/// Spawns a child; answers with its handle when `ConnectionMade` was queued.
///
/// The child's actors run on the arbiter where this message was made; without one, on the
/// supervisor's. Dropping the `send` future cancels the spawn only before it is handled; drop a
/// [`Spawning`] to cancel at any time. After a `do_send` a failure is logged.
#[derive(Debug, Message)]
#[rtype(result = "Result<ProcessHandle, SpawnError>")]
pub struct Spawn {
    command: Command,
    protocol: Protocol,
    home: Option<Home>,
    ticket: Arc<Ticket>,
}

impl Spawn {
    /// A spawn of `command` whose events go to `protocol`.
    #[must_use]
    pub fn new(command: Command, protocol: impl IntoProtocol) -> Self {
        Self {
            command,
            protocol: protocol.into_protocol(),
            home: Home::current(),
            ticket: Arc::default(),
        }
    }
}

impl Handler<Spawn> for ProcessSupervisor {
    type Result = Answer;

    fn handle(&mut self, spawn: Spawn, ctx: &mut Self::Context) -> Answer {
        let Spawn {
            command,
            protocol,
            home,
            ticket,
        } = spawn;
        // By this spawn, whatever becomes of it.
        let moved = command.take_moved();
        let program = command.program_name();
        let (reply, adopted) = oneshot::channel();
        let refuse = |error| Answer {
            program: program.clone(),
            ticket: Arc::default(),
            result: Err(error),
        };
        let Some(home) = home.or_else(Home::current) else {
            return refuse(SpawnError::register(&*program, "there is no arbiter"));
        };
        if !protocol.is_alive() {
            return refuse(SpawnError::register(
                &*program,
                "the protocol actor is gone",
            ));
        }
        let id = ProcessId::next();
        let entry = match self.table.begin(id, &ticket, ctx.address()) {
            Ok(entry) => entry,
            Err(why) => return refuse(SpawnError::register(&*program, why)),
        };
        let answered = Arc::clone(&ticket);
        let birth = Birth {
            id,
            command,
            moved,
            protocol,
            home,
            reaping_runtime: Handle::current(),
            ticket,
            entry,
            reply,
        };
        if let Err(error) = spawner::submit(Box::new(move |stack| birth.run(stack))) {
            let step = crate::SpawnStep::Clone;
            return refuse(SpawnError::new(step, "the spawner thread", error));
        }
        Answer {
            program,
            ticket: answered,
            result: Ok(adopted),
        }
    }
}

/// The answer to a [`Spawn`], and then the reaping of its child: one detached task.
#[derive(Debug)]
pub struct Answer {
    program: String,
    ticket: Arc<Ticket>,
    result: Result<oneshot::Receiver<Result<Adopted, SpawnError>>, SpawnError>,
}

impl MessageResponse<ProcessSupervisor, Spawn> for Answer {
    fn handle(
        self,
        _: &mut Context<ProcessSupervisor>,
        to: Option<OneshotSender<Result<ProcessHandle, SpawnError>>>,
    ) {
        let Self {
            program,
            ticket,
            result,
        } = self;
        actix_rt::spawn(async move {
            let result = match result {
                Ok(adopted) => adopted.await.unwrap_or_else(|_| {
                    Err(SpawnError::register(&*program, "its spawn was given up"))
                }),
                Err(error) => Err(error),
            };
            match result {
                Ok(adopted) => {
                    let (process, reaping) = adopted.arm();
                    if let Some(to) = to {
                        let _ = to.send(Ok(process));
                    }
                    if let Some(reaping) = reaping {
                        reaping.run().await;
                    }
                }
                Err(error) => {
                    let unsent = match to {
                        Some(to) => to.send(Err(error)).err().and_then(Result::err),
                        None => Some(error),
                    };
                    if let Some(error) = unsent
                        && !ticket.is_cancelled()
                    {
                        log::warn!("{program} was not spawned, and nobody waits to hear: {error}");
                    }
                }
            }
        });
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

/// Ends the supervisor's work: spawns are refused from now on, those in flight are killed, and all
/// children get SIGTERM, then SIGKILL after `grace`.
///
/// Answers when all are reaped, or two seconds after the SIGKILL with those that are not: a
/// process in an uninterruptible system call does not die before that returns.
///
/// It is final. After the shutdown of [`ProcessSupervisor::current`], every
/// [`Command::spawn`] of its System fails with [`SpawnStep::Register`](crate::SpawnStep::Register).
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "ShutdownReport")]
#[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
pub struct Shutdown {
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
}

/// What a [`Shutdown`] left.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Children that were not reaped in time. A spawn that was in flight and cannot be killed in its
    /// exec is waited for as well, but is no child yet and not listed.
    pub unreaped: Vec<ProcessInfo>,
}

/// How long a child may take to die of SIGKILL before a shutdown is answered without it.
const LINGER: Duration = Duration::from_secs(2);

impl Handler<Shutdown> for ProcessSupervisor {
    type Result = ResponseFuture<ShutdownReport>;

    fn handle(&mut self, shutdown: Shutdown, _: &mut Self::Context) -> Self::Result {
        let table = Arc::clone(&self.table);
        table.shut_down(shutdown.grace);
        Box::pin(async move {
            let deadline = shutdown.grace.saturating_add(LINGER);
            let _ = tokio::time::timeout(deadline, table.drained()).await;
            ShutdownReport {
                unreaped: table.unreaped_infos(),
            }
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
