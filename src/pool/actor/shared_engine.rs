//! The running pool, as its actor and the tasks of its workers share it: all of them are on one thread.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use tokio::task::JoinHandle;

use super::told::PoolTold;
use super::{PoolEngine, PoolSetup};
use crate::pool::Pool;
use crate::pool::shared::PoolShared;

/// Of the actor: its drop is that of the engine.
pub(in crate::pool) struct OwnedEngine {
    engine: Rc<RefCell<PoolEngine>>,
    shared: Arc<PoolShared>,
}

/// Of everybody else. It does nothing when the engine is gone.
#[derive(Clone)]
pub(in crate::pool) struct EngineRef {
    engine: Weak<RefCell<PoolEngine>>,
    address: Addr<Pool>,
}

impl OwnedEngine {
    pub(in crate::pool) fn new(setup: PoolSetup, address: Addr<Pool>) -> Self {
        Self {
            shared: Arc::clone(&setup.shared),
            engine: Rc::new_cyclic(|engine| {
                let engine = EngineRef {
                    engine: Weak::clone(engine),
                    address,
                };
                RefCell::new(PoolEngine::new(setup, engine))
            }),
        }
    }

    pub(in crate::pool) const fn shared(&self) -> &Arc<PoolShared> {
        &self.shared
    }

    /// Does something with what runs, and what follows from that.
    pub(in crate::pool) fn with<T>(&self, act: impl FnOnce(&mut PoolEngine) -> T) -> T {
        with(&self.engine, act)
    }
}

impl EngineRef {
    /// As [`OwnedEngine::with`]. To be called by tasks only: never by what the engine itself calls.
    pub(in crate::pool) fn with(&self, act: impl FnOnce(&mut PoolEngine)) {
        /// A panic within the engine is the end of the pool, whoever has called.
        struct EndAtPanic<'a>(&'a Addr<Pool>);

        impl Drop for EndAtPanic<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.do_send(PoolTold::Over);
                }
            }
        }

        if let Some(engine) = self.engine.upgrade() {
            let _end = EndAtPanic(&self.address);
            with(&engine, act);
        }
    }

    /// Ends the actor.
    pub(super) fn end(&self) {
        self.address.do_send(PoolTold::Over);
    }

    /// Does something later, unless the task that is given is aborted before.
    pub(super) fn later(
        &self,
        delay: Duration,
        act: impl FnOnce(&mut PoolEngine) + 'static,
    ) -> JoinHandle<()> {
        let engine = self.clone();
        actix_rt::spawn(async move {
            actix_rt::time::sleep(delay).await;
            engine.with(act);
        })
    }
}

fn with<T>(engine: &RefCell<PoolEngine>, act: impl FnOnce(&mut PoolEngine) -> T) -> T {
    let mut engine = engine.borrow_mut();
    let result = act(&mut engine);
    engine.settle();
    result
}
