//! The crate's own arbiter: where the children live whose askers have no arbiter, under `#[tokio::main]`, on a
//! thread of another runtime, or with no runtime at all.
//!
//! This arbiter is in a System of the crate's own. Of the user's code only decoders (`FramedProtocol`) and
//! wakers run there. Nobody stops it: it is started at first use and lives as long as the process. One thread is
//! enough: ARCHITECTURE.md has the figures.
//!
//! A thread starts with the state of its maker. If the maker was unlike the main thread, the first asker that is
//! like it starts another arbiter in the System, for the children from then on. The earlier children stay where
//! their pipes are registered.

use std::io;
use std::sync::{Mutex, mpsc};
use std::thread;

use actix::System;

use super::arbiter_ref::{ArbiterRef, new_runtime};
use super::{main_thread, spawners};
use crate::sync::lock;
use crate::sys;
use crate::sys::thread_state;

struct OwnArbiter {
    system: System,
    arbiter: ArbiterRef,
    /// The arbiter's thread is unlike the main thread.
    odd: bool,
}

static OWN: Mutex<Option<OwnArbiter>> = Mutex::new(None);

/// The arbiter for new children. Waits for its thread to start, the first time.
pub(crate) fn arbiter() -> io::Result<ArbiterRef> {
    with(|own| own.arbiter.clone())
}

/// The System of the crate's own arbiter.
pub(crate) fn system() -> io::Result<System> {
    with(|own| own.system.clone())
}

/// Whether `system` is the crate's own.
pub(crate) fn is_own(system: &System) -> bool {
    let own = lock(&OWN);
    own.as_ref()
        .is_some_and(|own| own.system.id() == system.id())
}

fn with<T>(wanted: impl FnOnce(&OwnArbiter) -> T) -> io::Result<T> {
    // No lock: its holder may be a thread of the parent's.
    if sys::copy::is_copy() {
        return Err(io::Error::other(spawners::COPY));
    }
    sys::copy::settle();
    let mut own = lock(&OWN);
    match &mut *own {
        Some(own) if own.is_alive() => {
            if own.odd && main_thread::is_like_us() && thread_state::shares_descriptors() {
                own.start_another();
            }
            Ok(wanted(own))
        }
        // The first time, or it panicked.
        own => {
            if !thread_state::shares_descriptors() {
                return Err(io::Error::other(spawners::TABLE_OF_ITS_OWN));
            }
            Ok(wanted(own.insert(OwnArbiter::start()?)))
        }
    }
}

impl OwnArbiter {
    fn start() -> io::Result<Self> {
        let (tell, told) = mpsc::channel();
        thread::Builder::new()
            .name("actix-process-arbiter".to_owned())
            .spawn(move || {
                let runtime = match new_runtime() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                let handle = runtime.handle().clone();
                let system = System::with_tokio_rt(move || runtime);
                let _ = tell.send(Ok((System::current(), handle)));
                if let Err(error) = system.run() {
                    log::warn!("the crate's own arbiter has stopped: {error}");
                }
            })?;
        let (system, runtime) = told.recv().map_err(io::Error::other)??;
        Ok(Self {
            arbiter: ArbiterRef {
                arbiter: system.arbiter().clone(),
                runtime,
            },
            system,
            odd: !main_thread::is_like_us(),
        })
    }

    fn is_alive(&self) -> bool {
        self.system.arbiter().alive() && self.arbiter.arbiter.alive()
    }

    fn start_another(&mut self) {
        match ArbiterRef::start_in(&self.system) {
            Ok(arbiter) => {
                self.arbiter = arbiter;
                self.odd = false;
            }
            Err(error) => log::debug!("cannot start another arbiter: {error}"),
        }
    }
}
