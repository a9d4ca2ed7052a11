//! The arbiter where an actor and the children that it keeps live.

use std::io;
use std::sync::mpsc;
use std::thread;

use actix::{Arbiter, ArbiterHandle, System};
use tokio::runtime::Builder;

/// Where an actor lives that keeps children, and what has to be ended when the actor has ended.
#[derive(Debug, Clone)]
pub(crate) enum ActorHome {
    /// An arbiter that somebody else ends.
    Given(ArbiterHandle),
    /// An arbiter of the actor's own, in the System of the thread that started the actor.
    Arbiter(ArbiterHandle),
    /// The one arbiter of a System of the actor's own, for a thread in no System.
    System(System),
}

impl ActorHome {
    /// An arbiter in the System of this thread; if this thread is in none, a System on a thread of its own. `of` is a word for what the actor is.
    pub(crate) fn start(of: &'static str) -> io::Result<Self> {
        if System::is_registered() {
            let runtime = || Builder::new_current_thread().enable_all().build();
            return Ok(Self::Arbiter(Arbiter::try_with_tokio_rt(runtime)?.handle()));
        }
        let (tell, told) = mpsc::channel();
        thread::Builder::new()
            .name(format!("actix-process-{of}"))
            .spawn(move || {
                let runtime = match Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                let runner = System::with_tokio_rt(move || runtime);
                let _ = tell.send(Ok(System::current()));
                if let Err(error) = runner.run() {
                    log::warn!("the arbiter of a {of} has stopped: {error}");
                }
            })?;
        Ok(Self::System(told.recv().map_err(io::Error::other)??))
    }

    pub(crate) fn arbiter(&self) -> ArbiterHandle {
        match self {
            Self::Given(arbiter) | Self::Arbiter(arbiter) => arbiter.clone(),
            Self::System(system) => system.arbiter().clone(),
        }
    }

    /// Ends the arbiter if it is the actor's own.
    pub(crate) fn end(&self) {
        match self {
            Self::Given(_) => {}
            Self::Arbiter(arbiter) => {
                arbiter.stop();
            }
            Self::System(system) => system.stop(),
        }
    }
}
