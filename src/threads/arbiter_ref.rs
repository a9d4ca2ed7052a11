//! An arbiter where a child's actors live, and the runtime that it is on.

use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use actix::{Arbiter, ArbiterHandle, System};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::sync::lock;

/// An arbiter and its runtime.
#[derive(Debug, Clone)]
pub(crate) struct ArbiterRef {
    pub(crate) arbiter: ArbiterHandle,
    pub(crate) runtime: Handle,
}

impl ArbiterRef {
    /// The arbiter of this thread; `None` if it has none, or one that has stopped.
    pub(crate) fn current() -> Option<Self> {
        let arbiter = Arbiter::try_current().filter(ArbiterHandle::alive)?;
        let runtime = Handle::try_current().ok()?;
        Some(Self { arbiter, runtime })
    }

    /// Starts an arbiter in `system`, and waits until its thread runs. The calling thread may be in another
    /// System, or in none; the new thread starts with the calling one's state.
    pub(crate) fn start_in(system: &System) -> io::Result<Self> {
        let system = system.clone();
        let (tell, told) = mpsc::channel();
        // `Arbiter` takes the System of the thread that calls it, and no thread can be taken out of a System again.
        let starter = move || {
            System::set_current(system);
            Arbiter::try_with_tokio_rt(move || {
                let runtime = new_runtime()?;
                let _ = tell.send(runtime.handle().clone());
                Ok(runtime)
            })
        };
        let starter = thread::Builder::new()
            .name("actix-rt-starter".to_owned())
            .stack_size(128 * 1024)
            .spawn(starter)?;
        let arbiter = starter
            .join()
            .map_err(|_| io::Error::other("the thread that starts it panicked"))??;
        let runtime = told.recv().map_err(io::Error::other)?;
        Ok(Self {
            arbiter: arbiter.handle(),
            runtime,
        })
    }
}

/// The runtime of an arbiter of the crate's.
pub(super) fn new_runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Runs `act` with `value` on `arbiter`; gives the value back if that is dead. If it stops before it gets to this, the value
/// is dropped.
///
/// `ArbiterHandle::spawn` alone would not do: what is sent while the arbiter closes its queue may stay in there as long as
/// anybody has a handle.
pub(crate) fn run_on<T: Send + 'static>(
    arbiter: &ArbiterHandle,
    value: T,
    act: impl FnOnce(T) + Send + 'static,
) -> Option<T> {
    let slot = Arc::new(Mutex::new(Some(value)));
    let sent = Arc::clone(&slot);
    arbiter.spawn_fn(move || {
        let value = lock(&sent).take();
        if let Some(value) = value {
            act(value);
        }
    });
    if arbiter.alive() {
        return None;
    }
    lock(&slot).take()
}
