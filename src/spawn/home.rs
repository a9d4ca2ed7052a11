//! Where a child's actors will live.

use actix::{ArbiterHandle, System};

use crate::command::spec::Spec;
use crate::error::{SpawnError, SpawnStep};
use crate::threads::arbiter_ref::ArbiterRef;
use crate::threads::own_arbiter;

/// The arbiter for a child's actors, as far as it is known where the spawn is asked for.
#[derive(Debug)]
pub(crate) enum Home {
    /// The asking thread's.
    Here(ArbiterRef),
    /// The one that the command names. Only itself can tell what runtime it is on.
    Named(ArbiterHandle),
    /// The asking thread has none.
    Nowhere,
}

impl Home {
    /// For a child of `spec` that the calling thread asks for.
    pub(crate) fn asked_here(spec: &Spec) -> Self {
        match &spec.arbiter {
            Some(arbiter) => Self::Named(arbiter.clone()),
            None => ArbiterRef::current().map_or(Self::Nowhere, Self::Here),
        }
    }
}

/// The crate's own arbiter.
pub(crate) fn own() -> Result<ArbiterRef, SpawnError> {
    own_arbiter::arbiter().map_err(not_started)
}

/// The System of the crate's own arbiter.
pub(crate) fn own_system() -> Result<System, SpawnError> {
    own_arbiter::system().map_err(not_started)
}

/// The arbiter of the supervisor that calls this.
pub(crate) fn of_this_supervisor() -> Result<ArbiterRef, SpawnError> {
    match System::try_current() {
        // A later arbiter of the crate's may have taken its place for children.
        Some(system) if own_arbiter::is_own(&system) => own(),
        _ => ArbiterRef::current()
            .ok_or_else(|| SpawnError::register("the supervisor", "its arbiter has stopped")),
    }
}

fn not_started(error: std::io::Error) -> SpawnError {
    SpawnError::new(SpawnStep::Register, "the crate's own arbiter", error)
}
