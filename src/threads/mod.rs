//! The threads of the host process: those that clone children, and the one for what outlives every arbiter.

pub(crate) mod arbiter_ref;
pub(crate) mod janitor;
mod main_thread;
pub(crate) mod spawners;
