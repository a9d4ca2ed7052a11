//! The threads of the host process: those that clone children, the one for what outlives every arbiter, and the crate's own
//! arbiter.

pub(crate) mod arbiter_ref;
pub(crate) mod deadline;
pub(crate) mod janitor;
mod main_thread;
pub(crate) mod own_arbiter;
pub(crate) mod spawners;
