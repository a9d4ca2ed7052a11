//! The supervisor that a System has by itself.
//!
//! Not actix's registry: that one hands out the address of a dead actor for ever.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use actix::{Actor, Addr, Arbiter, System};

use super::ProcessSupervisor;
use super::system_guard::SystemGuard;
use crate::error::{SpawnError, SpawnStep};
use crate::spawn::table::Table;
use crate::sync::lock;
use crate::sys;
use crate::threads::spawners;

/// One for each System that ever asked and is not gone.
static SUPERVISORS: LazyLock<Mutex<HashMap<usize, SystemSupervisor>>> =
    LazyLock::new(Mutex::default);

pub(super) struct SystemSupervisor {
    /// Lives as long as it is here.
    pub(super) supervisor: Addr<ProcessSupervisor>,
    /// Who spawns need not wait for the actor.
    pub(super) table: Arc<Table>,
}

/// What is wanted of the System's own supervisor.
pub(super) fn current<T>(wanted: impl Fn(&SystemSupervisor) -> T) -> Result<T, SpawnError> {
    if sys::copy::is_copy() {
        return Err(SpawnError::register(
            "the default supervisor",
            spawners::COPY,
        ));
    }
    let system = System::try_current()
        .ok_or_else(|| SpawnError::register("the default supervisor", "there is no System"))?;
    if !system.arbiter().alive() {
        return Err(has_stopped());
    }
    if let Some(found) = find(&lock(&SUPERVISORS), &system) {
        return Ok(wanted(found));
    }
    // Not under the lock: the guard takes it when the System ends in this moment.
    let (arbiter, new) = start(&system)?;
    let mut supervisors = lock(&SUPERVISORS);
    if let Some(found) = find(&supervisors, &system) {
        // Another thread was faster.
        arbiter.stop();
        return Ok(wanted(found));
    }
    if new.table.is_lost() {
        // The guard has been here.
        arbiter.stop();
        return Err(has_stopped());
    }
    supervisors.retain(|_, default| default.supervisor.connected());
    let found = wanted(&new);
    supervisors.insert(system.id(), new);
    Ok(found)
}

impl ProcessSupervisor {
    /// The System's own supervisor, on a thread of its own: started on first use (which waits for
    /// the thread to start), and replaced when it has died.
    ///
    /// # Errors
    ///
    /// [`SpawnStep::Register`] outside a System, in one that has
    /// stopped, or when its thread cannot be started.
    pub fn current() -> Result<Addr<Self>, SpawnError> {
        current(|default| default.supervisor.clone())
    }
}

fn find<'a>(
    supervisors: &'a HashMap<usize, SystemSupervisor>,
    system: &System,
) -> Option<&'a SystemSupervisor> {
    let default = supervisors.get(&system.id())?;
    default.supervisor.connected().then_some(default)
}

fn start(system: &System) -> Result<(Arbiter, SystemSupervisor), SpawnError> {
    let arbiter = Arbiter::try_new().map_err(|error| {
        SpawnError::new(
            SpawnStep::Register,
            "the default supervisor's thread",
            error,
        )
    })?;
    let table = Arc::new(Table::with_arbiter(arbiter.handle()));
    // Before the first spawn, which does not wait for the actor to start.
    let Some(system_guard) =
        SystemGuard::post(system, Arc::clone(&table), forget(system.id(), &table))
    else {
        arbiter.stop();
        return Err(has_stopped());
    };
    let actor = ProcessSupervisor {
        table: Arc::clone(&table),
        system_guard: Some(system_guard),
    };
    let supervisor = ProcessSupervisor::start_in_arbiter(&arbiter.handle(), |_| actor);
    Ok((arbiter, SystemSupervisor { supervisor, table }))
}

fn has_stopped() -> SpawnError {
    SpawnError::register("the default supervisor", "the System has stopped")
}

/// Takes a dead supervisor, or one whose System is gone, out of the map: its address holds what is left of a runtime, with two
/// descriptors.
pub(super) fn forget(system: usize, table: &Arc<Table>) -> impl FnOnce() + Send + 'static {
    let table = Arc::downgrade(table);
    move || {
        let mut supervisors = lock(&SUPERVISORS);
        let is_it =
            |default: &SystemSupervisor| std::ptr::eq(Arc::as_ptr(&default.table), table.as_ptr());
        let dead = if supervisors.get(&system).is_some_and(is_it) {
            supervisors.remove(&system)
        } else {
            None
        };
        drop(supervisors);
        drop(dead);
    }
}
