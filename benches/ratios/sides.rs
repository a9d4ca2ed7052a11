//! The two sides that a round compares, in one process: our System and tokio's runtime.

use actix::{System, SystemRunner};
use actix_process::NoProtocol;
use tokio::runtime::{Builder, Runtime};

use crate::peer;

/// Both have done their first spawn, so their threads are there.
pub(crate) struct Sides {
    system: SystemRunner,
    runtime: Runtime,
}

impl Sides {
    pub(crate) fn new() -> Self {
        let system = System::new();
        system.block_on(async {
            let first = actix_process::Command::new("true").spawn(NoProtocol).await;
            let first = first.expect("true can be spawned");
            first.ended().await.expect("true ends");
        });
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be built");
        runtime.block_on(async {
            let first = tokio::process::Command::new("true").spawn();
            peer::finish(first.expect("true can be spawned")).await;
        });
        Self { system, runtime }
    }

    /// Runs `work` in our System.
    pub(crate) fn ours<T>(&self, work: impl Future<Output = T>) -> T {
        self.system.block_on(work)
    }

    /// Runs `work` in tokio's runtime of one thread.
    pub(crate) fn tokio<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}
