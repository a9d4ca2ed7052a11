//! The arbiter where a monitor and its services live.

use std::io;
use std::sync::mpsc;
use std::thread;

use actix::{Arbiter, ArbiterHandle, System};
use tokio::runtime::Builder;

/// Where a monitor lives, and what has to be ended when the monitor has ended.
#[derive(Debug, Clone)]
pub(super) enum MonitorHome {
    /// An arbiter that somebody else ends.
    Given(ArbiterHandle),
    /// An arbiter of the monitor's own, in the System of the thread that started the monitor.
    Arbiter(ArbiterHandle),
    /// The one arbiter of a System of the monitor's own, for a thread in no System.
    System(System),
}

impl MonitorHome {
    /// An arbiter in the System of this thread; if this thread is in none, a System on a thread of its own.
    pub(super) fn start() -> io::Result<Self> {
        if System::is_registered() {
            let runtime = || Builder::new_current_thread().enable_all().build();
            return Ok(Self::Arbiter(Arbiter::try_with_tokio_rt(runtime)?.handle()));
        }
        let (tell, told) = mpsc::channel();
        thread::Builder::new()
            .name("actix-process-monitor".to_owned())
            .spawn(move || {
                let runtime = match Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                let runner = System::with_tokio_rt(move || runtime);
                let _ = tell.send(Ok(System::current()));
                if let Err(error) = runner.run() {
                    log::warn!("the arbiter of a monitor has stopped: {error}");
                }
            })?;
        Ok(Self::System(told.recv().map_err(io::Error::other)??))
    }

    pub(super) fn arbiter(&self) -> ArbiterHandle {
        match self {
            Self::Given(arbiter) | Self::Arbiter(arbiter) => arbiter.clone(),
            Self::System(system) => system.arbiter().clone(),
        }
    }

    /// Ends the arbiter if it is the monitor's own.
    pub(super) fn end(&self) {
        match self {
            Self::Given(_) => {}
            Self::Arbiter(arbiter) => {
                arbiter.stop();
            }
            Self::System(system) => system.stop(),
        }
    }
}
