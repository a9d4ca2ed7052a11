//! The future of a spawn by the own supervisor of the asking thread's System.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix::System;
use tokio::sync::oneshot;

use super::{Spawn, system};
use crate::command::Command;
use crate::error::SpawnError;
use crate::handle::ProcessHandle;
use crate::id::ProcessId;
use crate::protocol::into::IntoProtocol;
use crate::spawn::home;
use crate::sys::clone::Ticket;
#[cfg(feature = "monitor")]
use crate::threads::spawners;
use crate::threads::spawners::Place;

impl Command {
    /// Spawns the child by the System's own [`ProcessSupervisor`](crate::ProcessSupervisor); its events go to `protocol`.
    ///
    /// The future does nothing until it is polled, which any thread may do. It resolves when
    /// [`ConnectionMade`](crate::ProcessEvent::ConnectionMade) was queued. Dropping it before that
    /// cancels the spawn: the child is killed and reaped, and no event is ever sent.
    ///
    /// **Where the child belongs** is settled by this call, not by the thread that polls:
    ///
    /// - Its actors live on the arbiter that [`on`](Self::on) names, else on the calling thread's.
    /// - A thread without an arbiter (under `#[tokio::main]`, in a worker of another runtime, with no runtime at
    ///   all) needs none: the actors live on an arbiter of the crate's own. It is one thread for all such
    ///   children, started at first use and never stopped. That thread has the confinement and the priority of
    ///   the thread that asked first; if those are unlike the main thread's, new children go to a second such
    ///   arbiter as soon as a thread like the main one asks.
    /// - Its supervisor is that of the calling thread's System. For a thread in no System it is one that the crate has for all such
    ///   threads ([`ProcessSupervisor::current`](crate::ProcessSupervisor::current)). No System's end touches its children,
    ///   and when the process ends they live on: see [`parent_death_signal`](Self::parent_death_signal).
    ///
    /// **In an actor, take the handle from [`connection_made`](crate::ProcessProtocol::connection_made), not from
    /// this future.** `connection_made` comes first of all. A quick child's
    /// [`process_ended`](crate::ProcessProtocol::process_ended) can run before the future that the actor waits for
    /// gives the handle. An actor that owns its child calls [`spawn_in`](Self::spawn_in), which has no future.
    ///
    /// The child has the state that Linux keeps for each thread (`no_new_privs`, capabilities, seccomp,
    /// Landlock, ids, scheduling, directory, umask, namespaces) of the thread where this was called.
    ///
    /// An exec may hang, in a dead network file system for example. Such an exec holds up only its own spawn
    /// (see [`set_max_spawner_threads`](crate::set_max_spawner_threads)), and calls of libc's `setuid`, `setgid`
    /// and the like: they wait for all threads of the process, the one that waits for this exec among them.
    ///
    /// A program that was written a moment ago can be busy (ETXTBSY), while another child that is being spawned still has the
    /// writer's descriptor. Such an exec is tried again for 32 ms.
    ///
    /// The first spawn of a System, and the first of all threads in none, waits in its first poll until the thread of its
    /// supervisor has started.
    ///
    /// A program's first spawn needs 13 free descriptors: seven for three pipes and a pidfd, four for
    /// the runtime of the supervisor or of the crate's own arbiter, and two for the janitor thread. A program's first runtime needs
    /// two more if tokio has its `signal` feature.
    ///
    /// To block an arbiter's thread on the future of a spawn whose actors are to live there is a deadlock.
    ///
    /// # Errors
    ///
    /// The future gives a [`SpawnError`] that names the step. Nothing is left of the attempt then. Two steps
    /// have further reasons:
    ///
    /// - [`Clone`](crate::SpawnStep::Clone): there can be no spawner thread like the asking one, or no further
    ///   one; or a thread unlike the asking one polls first, and no spawner thread is like the asking one.
    /// - [`Register`](crate::SpawnStep::Register): the thread's System or the arbiter of [`on`](Self::on) has
    ///   stopped; or this process is a copy, by fork, of one that has spawned.
    pub fn spawn(&self, protocol: impl IntoProtocol) -> Spawning {
        // Also without a System: another thread may poll, which is unlike this one.
        Spawning::new(Spawn::of(self, protocol, Place::promised()))
    }

    /// Runs `act`, in which [`spawn`](Self::spawn) reads the calling thread's state for its first call only. Nothing in it
    /// changes that state; code of others is called by [`spawning_apart`](Self::spawning_apart).
    #[cfg(feature = "monitor")]
    pub(crate) fn spawning_together<T>(act: impl FnOnce() -> T) -> T {
        spawners::together(act)
    }

    /// Runs code of others within [`spawning_together`](Self::spawning_together).
    #[cfg(feature = "monitor")]
    pub(crate) fn spawning_apart<T>(act: impl FnOnce() -> T) -> T {
        spawners::apart(act)
    }
}

/// The future of [`Command::spawn`], for any thread and any runtime. Dropping it cancels a spawn that is not committed. Polled after
/// its result it is pending for ever.
#[must_use = "a spawn does nothing unless it is awaited"]
pub struct Spawning {
    id: ProcessId,
    state: SpawningState,
    ticket: Arc<Ticket>,
    kill_untaken: bool,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a box would be an allocation for each spawn"
)]
enum SpawningState {
    /// In this System, if the asking thread was in one.
    Asked(Spawn, Option<System>),
    Submitted(oneshot::Receiver<Result<ProcessHandle, SpawnError>>),
    Answered,
}

impl Spawning {
    fn new(spawn: Spawn) -> Self {
        Self {
            id: spawn.id,
            ticket: Arc::clone(&spawn.ticket),
            kill_untaken: spawn.kills_untaken(),
            state: SpawningState::Asked(spawn, System::try_current()),
        }
    }

    /// The number that the child will have: [`ProcessHandle::id`], and
    /// [`SpawnError::id`] of a spawn that fails. Known before the future is polled, and so before any event
    /// of the child.
    ///
    /// ```
    /// use actix_process::{Command, NoProtocol};
    ///
    /// # actix::System::new().block_on(async {
    /// let spawning = Command::new("true").spawn(NoProtocol);
    /// let id = spawning.id();
    /// assert_eq!(spawning.await?.id(), id);
    /// # Ok::<(), actix_process::SpawnError>(()) }).unwrap();
    /// ```
    #[must_use]
    pub const fn id(&self) -> ProcessId {
        self.id
    }

    /// Gives the spawn up, and leaves it to the future to tell what came of that: an error when nothing is left of the attempt, or the
    /// child if it was too late. (The drop of the future tells nothing.) A spawn that has not begun does not begin.
    ///
    /// The future resolves 2 seconds after this at the latest, unless the child cannot be killed in its exec.
    ///
    /// ```
    /// use actix_process::{Command, NoProtocol};
    ///
    /// # actix::System::new().block_on(async {
    /// let mut spawning = Command::new("true").spawn(NoProtocol);
    /// spawning.cancel();
    /// assert!(spawning.await.is_err());
    /// # });
    /// ```
    pub fn cancel(&mut self) {
        match mem::replace(&mut self.state, SpawningState::Answered) {
            SpawningState::Asked(spawn, _) => {
                let (to, answer) = oneshot::channel();
                spawn.fail(SpawnError::register("a spawn", "was cancelled"), to);
                self.state = SpawningState::Submitted(answer);
            }
            state => {
                self.state = state;
                self.ticket.cancel();
            }
        }
    }

    /// Begins, unless it has begun.
    pub(super) fn submit(&mut self) {
        match mem::replace(&mut self.state, SpawningState::Answered) {
            SpawningState::Asked(spawn, system) => {
                let (to, answer) = oneshot::channel();
                self.state = SpawningState::Submitted(answer);
                match system::supervisor_of(system, |default| Arc::clone(&default.table)) {
                    // The table of defaults keeps the supervisor.
                    Ok(table) => spawn.submit(&table, None, Some(to), home::own),
                    Err(error) => spawn.fail(error, to),
                }
            }
            other => self.state = other,
        }
    }
}

impl Future for Spawning {
    type Output = Result<ProcessHandle, SpawnError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let SpawningState::Asked(..) = self.state {
            self.submit();
        }
        let SpawningState::Submitted(answer) = &mut self.state else {
            return Poll::Pending;
        };
        let answer = ready!(Pin::new(answer).poll(cx));
        self.state = SpawningState::Answered;
        // The other end always answers before it drops.
        Poll::Ready(answer.unwrap_or_else(|_| Err(SpawnError::register("a spawn", "was lost"))))
    }
}

impl Drop for Spawning {
    fn drop(&mut self) {
        if let SpawningState::Submitted(answer) = &mut self.state {
            // Without effect once the spawn is committed.
            self.ticket.cancel();
            if self.kill_untaken {
                // What is sent from here on comes back to the sender.
                answer.close();
                if let Ok(Ok(process)) = answer.try_recv() {
                    drop(process.kill_and_cut_on_drop());
                }
            }
        }
    }
}

impl fmt::Debug for Spawning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawning")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
