//! The supervisor that a System has by itself.
//!
//! Not actix's registry: that one hands out the address of a dead actor for ever.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use actix::{Actor, Addr, Arbiter, System};

use super::ProcessSupervisor;
use super::sentinel::Sentinel;
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
        return Err(has_stopped());
    }
    if let Some(found) = find(&lock(&DEFAULTS), &system) {
        return Ok(found);
    }
    // Not under the lock: the sentinel takes it when the System ends in this moment.
    let (arbiter, new) = start(&system)?;
    let mut defaults = lock(&DEFAULTS);
    if let Some(found) = find(&defaults, &system) {
        // Another thread was faster.
        arbiter.stop();
        return Ok(found);
    }
    defaults.retain(|_, default| default.supervisor.connected());
    let found = (Arc::clone(&new.table), new.supervisor.clone());
    defaults.insert(system.id(), new);
    Ok(found)
}

fn find(
    defaults: &HashMap<usize, Default>,
    system: &System,
) -> Option<(Arc<Table>, Addr<ProcessSupervisor>)> {
    let default = defaults.get(&system.id())?;
    let Default { supervisor, table } = default;
    let alive = supervisor.connected();
    alive.then(|| (Arc::clone(table), supervisor.clone()))
}

fn start(system: &System) -> Result<(Arbiter, Default), SpawnError> {
    let arbiter = Arbiter::try_new().map_err(|error| {
        SpawnError::new(
            SpawnStep::Register,
            "the default supervisor's thread",
            error,
        )
    })?;
    let table = Arc::new(Table::with_arbiter(arbiter.handle()));
    // Before the first spawn, which does not wait for the actor to start.
    let Some(sentinel) = Sentinel::post(system, Arc::clone(&table)) else {
        arbiter.stop();
        return Err(has_stopped());
    };
    let actor = ProcessSupervisor {
        table: Arc::clone(&table),
        sentinel: Some(sentinel),
    };
    let supervisor = ProcessSupervisor::start_in_arbiter(&arbiter.handle(), |_| actor);
    Ok((arbiter, Default { supervisor, table }))
}

fn has_stopped() -> SpawnError {
    SpawnError::register("the default supervisor", "the System has stopped")
}

/// The System is gone.
pub(super) fn forget(system: usize) {
    let supervisor = lock(&DEFAULTS).remove(&system);
    drop(supervisor);
}
