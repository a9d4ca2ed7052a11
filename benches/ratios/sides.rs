//! What each side runs in: our System, tokio's runtime.

use actix::{System, SystemRunner};
use actix_process::NoProtocol;
use tokio::runtime::{Builder, Runtime};

use crate::peer;

/// A System that has done its first spawn, so its threads are there.
pub(crate) struct Ours(SystemRunner);

impl Ours {
    pub(crate) fn new() -> Self {
        let system = System::new();
        system.block_on(async {
            let first = actix_process::Command::new("true").spawn(NoProtocol).await;
            let first = first.expect("true can be spawned");
            first.ended().await;
        });
        Self(system)
    }

    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.block_on(work)
    }
}

/// A System in which `tokio::process` has done its first spawn.
pub(crate) struct ByHand(SystemRunner);

impl ByHand {
    pub(crate) fn new() -> Self {
        let system = System::new();
        system.block_on(async {
            let first = tokio::process::Command::new("true").spawn();
            peer::finish(first.expect("true can be spawned")).await;
        });
        Self(system)
    }

    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.block_on(work)
    }
}

/// A runtime of one thread that has done its first spawn.
pub(crate) struct Tokio(Runtime);

impl Tokio {
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be built");
        runtime.block_on(async {
            let first = tokio::process::Command::new("true").spawn();
            peer::finish(first.expect("true can be spawned")).await;
        });
        Self(runtime)
    }

    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.block_on(work)
    }
}
