//! The supervisor, and the helpers that run a child to its end.

#[path = "../common/mod.rs"]
mod common;

mod collect;
mod collect_beside;
mod collect_dropped;
mod collect_inputs;
mod collect_kept;
mod collect_timeout;
mod collect_verbs;
mod helper_groups;
mod list_and_shutdown;
mod recordings;
mod slots;
mod stand_ins;
mod test_process_streams;
mod testing_module;
