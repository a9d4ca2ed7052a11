//! The spawn of a child that belongs to an actor.

use actix::dev::ToEnvelope;
use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt, AsyncContext, Handler};

use crate::command::Command;
use crate::id::ProcessId;
use crate::protocol::ProcessProtocol;
use crate::protocol::message::FromProcess;

impl Command {
    /// Spawns the child by the System's own [`ProcessSupervisor`](crate::ProcessSupervisor) for the actor of
    /// this context, which is its protocol and owns it.
    ///
    /// The spawn begins at once. The call gives the number of the child
    /// ([`ProcessHandle::id`](crate::ProcessHandle::id)), or of the spawn's error
    /// ([`SpawnError::id`](crate::SpawnError::id)).
    ///
    /// The callbacks come after this has returned, in this order:
    ///
    /// - of a child that runs, [`connection_made`](ProcessProtocol::connection_made) first, with the handle,
    ///   and the others by the [rules](crate#delivery-rules);
    /// - of a spawn that fails, [`spawn_failed`](ProcessProtocol::spawn_failed), once, and no other. Nothing is
    ///   left of the attempt then;
    /// - if the actor stops before, none. A spawn that is not committed yet is cancelled: its child is killed and
    ///   reaped. A child that runs already follows its [`OnOrphaned`](crate::OnOrphaned).
    ///
    /// The actor lives while a spawn of its own is on its way, also without any address. Its context holds a
    /// future for that time, and none for a child that runs, so an actor's cost does not grow with its children.
    ///
    /// ```
    /// use actix::prelude::*;
    /// use actix_process::{
    ///     Command, ExitStatus, ProcessHandle, ProcessProtocol, SpawnError, process_protocol,
    /// };
    ///
    /// struct Host;
    ///
    /// impl Actor for Host {
    ///     type Context = Context<Self>;
    ///
    ///     fn started(&mut self, ctx: &mut Self::Context) {
    ///         Command::new("true").name("worker").spawn_in(ctx);
    ///     }
    /// }
    ///
    /// impl ProcessProtocol for Host {
    ///     fn connection_made(&mut self, process: &ProcessHandle, _: &mut Self::Context) {
    ///         println!("{} runs", process.name());
    ///     }
    ///     fn process_ended(&mut self, _: &ProcessHandle, _: ExitStatus, _: &mut Self::Context) {
    ///         System::current().stop();
    ///     }
    ///     fn spawn_failed(&mut self, _: &str, error: SpawnError, _: &mut Self::Context) {
    ///         eprintln!("{error}");
    ///         System::current().stop_with_code(1);
    ///     }
    /// }
    /// process_protocol!(Host);
    ///
    /// let system = System::new();
    /// system.block_on(async { Host.start() });
    /// system.run().unwrap();
    /// ```
    pub fn spawn_in<A, C>(&self, ctx: &mut C) -> ProcessId
    where
        A: Actor<Context = C> + ProcessProtocol + Handler<FromProcess>,
        C: AsyncContext<A> + ToEnvelope<A, FromProcess>,
    {
        let name = self.spec().child_name();
        let mut spawning = self.spawn(ctx.address());
        let id = spawning.id();
        // An actor that waits polls no futures.
        spawning.submit();
        let spawning = wrap_future::<_, A>(spawning);
        ctx.spawn(spawning.map(move |result, actor, ctx| {
            if let Err(error) = result {
                actor.spawn_failed(&name, error, ctx);
            }
        }));
        id
    }
}
