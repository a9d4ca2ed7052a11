//! The supervisor that a System has by itself.
//!
//! Not actix's registry: that one hands out the address of a dead actor for ever.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use actix::{Actor, Addr, Arbiter, ArbiterHandle, System};

use super::ProcessSupervisor;
use super::table::Table;
use crate::error::{SpawnError, SpawnStep};
use crate::sync::lock;

/// One for each System that ever asked and is not gone.
static DEFAULTS: LazyLock<Mutex<HashMap<usize, Default>>> = LazyLock::new(Mutex::default);

struct Default {
    supervisor: Addr<ProcessSupervisor>,
    table: Arc<Table>,
}

/// The System's own supervisor, and its table: who spawns need not wait for the actor.
pub(super) fn current() -> Result<(Arc<Table>, Addr<ProcessSupervisor>), SpawnError> {
    let system = System::try_current()
        .ok_or_else(|| SpawnError::register("the default supervisor", "there is no System"))?;
    if !system.arbiter().alive() {
        return Err(SpawnError::register(
            "the default supervisor",
            "the System has stopped",
        ));
    }
    let mut defaults = lock(&DEFAULTS);
    let found = defaults.get(&system.id());
    if let Some(default) = found.filter(|default| default.supervisor.connected()) {
        return Ok((Arc::clone(&default.table), default.supervisor.clone()));
    }
    let arbiter = Arbiter::try_new().map_err(|error| {
        SpawnError::new(
            SpawnStep::Register,
            "the default supervisor's thread",
            error,
        )
    })?;
    let (table, supervisor) = start_in(&arbiter.handle());
    let default = Default {
        supervisor: supervisor.clone(),
        table: Arc::clone(&table),
    };
    defaults.retain(|_, default| default.supervisor.connected());
    defaults.insert(system.id(), default);
    Ok((table, supervisor))
}

fn start_in(arbiter: &ArbiterHandle) -> (Arc<Table>, Addr<ProcessSupervisor>) {
    let table = Arc::new(Table::with_arbiter(arbiter.clone()));
    let actors = Arc::clone(&table);
    let supervisor =
        ProcessSupervisor::start_in_arbiter(arbiter, |_| ProcessSupervisor::with_table(actors));
    (table, supervisor)
}

/// The System is gone.
pub(super) fn forget(system: usize) {
    let supervisor = lock(&DEFAULTS).remove(&system);
    drop(supervisor);
}
