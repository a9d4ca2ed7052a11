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
static DEFAULTS: LazyLock<Mutex<HashMap<usize, Addr<ProcessSupervisor>>>> =
    LazyLock::new(Mutex::default);

pub(super) fn current() -> Result<Addr<ProcessSupervisor>, SpawnError> {
    let system = System::try_current()
        .ok_or_else(|| SpawnError::register("the default supervisor", "there is no System"))?;
    if !system.arbiter().alive() {
        return Err(SpawnError::register(
            "the default supervisor",
            "the System has stopped",
        ));
    }
    let mut defaults = lock(&DEFAULTS);
    if let Some(supervisor) = defaults.get(&system.id()).filter(|addr| addr.connected()) {
        return Ok(supervisor.clone());
    }
    let arbiter = Arbiter::try_new().map_err(|error| {
        SpawnError::new(
            SpawnStep::Register,
            "the default supervisor's thread",
            error,
        )
    })?;
    let supervisor = start_in(&arbiter.handle());
    defaults.retain(|_, supervisor| supervisor.connected());
    defaults.insert(system.id(), supervisor.clone());
    Ok(supervisor)
}

fn start_in(arbiter: &ArbiterHandle) -> Addr<ProcessSupervisor> {
    let table = Arc::new(Table::with_arbiter(arbiter.clone()));
    ProcessSupervisor::start_in_arbiter(arbiter, |_| ProcessSupervisor {
        table,
        _sentinel: None,
    })
}

/// The System is gone.
pub(super) fn forget(system: usize) {
    let supervisor = lock(&DEFAULTS).remove(&system);
    drop(supervisor);
}
