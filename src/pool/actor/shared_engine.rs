//! The running pool, as its actor and the tasks of its workers share it: all of them are on one thread.

use std::cell::RefCell;
use std::ptr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::thread::panicking;
use std::time::{Duration, Instant};

use actix::Addr;
use tokio::task::JoinHandle;

use super::outlet::Submission;
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

/// A panic within the engine is the end of the pool, whoever has called.
struct EndAtPanic<'a>(&'a Addr<Pool>);

impl Drop for EndAtPanic<'_> {
    fn drop(&mut self) {
        if panicking() {
            self.0.do_send(PoolTold::Over);
        }
    }
}

impl Drop for OwnedEngine {
    fn drop(&mut self) {
        let leave = |here: &RefCell<Vec<(*const PoolShared, _)>>| {
            let mut here = here.borrow_mut();
            here.retain(|(of, _)| !ptr::eq(*of, &*self.shared));
        };
        // A thread that ends has none.
        let _ = HERE.try_with(leave);
    }
}

impl OwnedEngine {
    pub(in crate::pool) fn new(setup: PoolSetup, address: Addr<Pool>) -> Self {
        let shared = Arc::clone(&setup.shared);
        let engine = Rc::new_cyclic(|engine| {
            let engine = EngineRef {
                engine: Weak::clone(engine),
                address: address.clone(),
            };
            RefCell::new(PoolEngine::new(setup, engine))
        });
        let here = EngineRef {
            engine: Rc::downgrade(&engine),
            address,
        };
        let _ = HERE.try_with(|all| {
            all.borrow_mut().push((Arc::as_ptr(&shared), Rc::new(here)));
        });
        Self { engine, shared }
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
        if let Some(engine) = self.engine.upgrade() {
            let _end = EndAtPanic(&self.address);
            with(&engine, act);
        }
    }

    fn submit(&self, submission: Submission) -> Option<Submission> {
        let Some(engine) = self.engine.upgrade().filter(|_| !panicking()) else {
            return Some(submission);
        };
        let Ok(mut engine) = engine.try_borrow_mut() else {
            return Some(submission);
        };
        let _end = EndAtPanic(&self.address);
        act_at(&mut engine, submission.at, |engine| {
            engine.tick();
            engine.submit(submission);
        });
        None
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

thread_local! {
    /// The pools that run on this thread, by the address of what each shares.
    static HERE: RefCell<Vec<(*const PoolShared, Rc<EngineRef>)>> = const { RefCell::new(Vec::new()) };
}

/// Gives a job to a pool of this thread, past its mailbox. Gives it back if the pool is on another one, or in the midst of something.
pub(in crate::pool) fn submit_here(
    shared: &PoolShared,
    submission: Submission,
) -> Option<Submission> {
    let engine = HERE.try_with(|here| {
        let here = here.try_borrow().ok()?;
        let mut here = here.iter();
        let (_, engine) = here.find(|(of, _)| ptr::eq(*of, shared))?;
        Some(Rc::clone(engine))
    });
    match engine {
        Ok(Some(engine)) => engine.submit(submission),
        _ => Some(submission),
    }
}

fn with<T>(engine: &RefCell<PoolEngine>, act: impl FnOnce(&mut PoolEngine) -> T) -> T {
    act_at(&mut engine.borrow_mut(), Instant::now(), act)
}

fn act_at<T>(engine: &mut PoolEngine, now: Instant, act: impl FnOnce(&mut PoolEngine) -> T) -> T {
    engine.enter(now);
    let result = act(engine);
    engine.settle();
    result
}
