//! The supervisor that a System has by itself. That of the crate's own System serves all threads that are in no System.
//!
//! Not actix's registry: that one hands out the address of a dead actor for ever.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use actix::{Actor, Addr, System};

use super::ProcessSupervisor;
use super::system_guard::SystemGuard;
use crate::error::{SpawnError, SpawnStep};
use crate::spawn::home;
use crate::spawn::table::Table;
use crate::sync::lock;
use crate::sys;
use crate::threads::arbiter_ref::ArbiterRef;
use crate::threads::{own_arbiter, spawners};

/// One for each System that ever asked and is not gone.
static SUPERVISORS: LazyLock<Mutex<HashMap<usize, SystemSupervisor>>> =
    LazyLock::new(Mutex::default);

pub(super) struct SystemSupervisor {
    /// Lives as long as it is here.
    pub(super) supervisor: Addr<ProcessSupervisor>,
    /// A spawn need not wait for the actor.
    pub(super) table: Arc<Table>,
}

/// What is wanted of the own supervisor of `system`, or of the crate's System.
pub(super) fn supervisor_of<T>(
    system: Option<System>,
    wanted: impl Fn(&SystemSupervisor) -> T,
) -> Result<T, SpawnError> {
    if sys::copy::is_copy() {
        return Err(SpawnError::register(
            "the default supervisor",
            spawners::COPY,
        ));
    }
    let system = match system {
        Some(system) => system,
        None => home::own_system()?,
    };
    if !system.arbiter().alive() {
        return Err(has_stopped());
    }
    if let Some(found) = find(&lock(&SUPERVISORS), &system) {
        return Ok(wanted(found));
    }
    // Not under the lock: the guard takes it when the System ends in this moment.
    let new = start(&system)?;
    let mut supervisors = lock(&SUPERVISORS);
    if let Some(found) = find(&supervisors, &system) {
        // Another thread was faster.
        new.table.stop_arbiter();
        return Ok(wanted(found));
    }
    if new.table.is_lost() {
        // The guard has been here.
        new.table.stop_arbiter();
        return Err(has_stopped());
    }
    let dead: Vec<SystemSupervisor> = supervisors
        .extract_if(|_, default| !default.supervisor.connected())
        .map(|(_, dead)| dead)
        .collect();
    let found = wanted(&new);
    supervisors.insert(system.id(), new);
    drop(supervisors);
    // An address that drops may be the last of its actor.
    drop(dead);
    Ok(found)
}

impl ProcessSupervisor {
    /// The System's own supervisor, on a thread of its own. The first call starts that thread and waits until it
    /// runs; a supervisor that has died is replaced.
    ///
    /// A thread in no System (under `#[tokio::main]`, say) gets the one supervisor that the crate has for all
    /// such threads of the process. Its children are those that such threads have spawned, and no System's end
    /// touches them. This supervisor lives until the process ends, and does nothing at that end: for children
    /// that must not outlive the process see [`parent_death_signal`](crate::Command::parent_death_signal), or
    /// send the supervisor a [`Shutdown`](super::Shutdown) at the end of `main`.
    ///
    /// # Errors
    ///
    /// [`SpawnStep::Register`] in a System that has stopped (a thread stays in its System), when the
    /// supervisor's thread cannot be started, or in a copy, by fork, of a process that has spawned.
    pub fn current() -> Result<Addr<Self>, SpawnError> {
        supervisor_of(System::try_current(), |default| default.supervisor.clone())
    }
}

fn find<'a>(
    supervisors: &'a HashMap<usize, SystemSupervisor>,
    system: &System,
) -> Option<&'a SystemSupervisor> {
    let default = supervisors.get(&system.id())?;
    default.supervisor.connected().then_some(default)
}

fn start(system: &System) -> Result<SystemSupervisor, SpawnError> {
    let (arbiter, table) = if own_arbiter::is_own(system) {
        // No actor of the user's is on that arbiter.
        (system.arbiter().clone(), Table::default())
    } else {
        let failed = |error| {
            let subject = "the default supervisor's thread";
            SpawnError::new(SpawnStep::Register, subject, error)
        };
        let arbiter = ArbiterRef::start_in(system).map_err(failed)?.arbiter;
        let table = Table::with_arbiter(arbiter.clone());
        (arbiter, table)
    };
    let table = Arc::new(table);
    // Before the first spawn, which does not wait for the actor to start.
    let Some(system_guard) =
        SystemGuard::post(system, Arc::clone(&table), forget(system.id(), &table))
    else {
        table.stop_arbiter();
        return Err(has_stopped());
    };
    let actor = ProcessSupervisor {
        table: Arc::clone(&table),
        system_guard: Some(system_guard),
    };
    let supervisor = ProcessSupervisor::start_in_arbiter(&arbiter, |_| actor);
    Ok(SystemSupervisor { supervisor, table })
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
