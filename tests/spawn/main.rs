//! How a child comes to be: what it is given, who it is, and how a spawn fails or is cancelled.

#[path = "../common/mod.rs"]
mod common;

mod cancel;
mod capabilities;
mod cgroup;
mod changed_credentials;
mod command_values;
mod environment_changes;
mod exec_search;
mod explanations;
mod failed_clones;
mod failures;
mod failures_nproc;
mod first_spawn;
mod id_change_attack;
mod id_change_fallbacks;
mod identity;
mod limits;
mod made_in_cgroup;
mod names;
mod odd_first_asker;
mod other_user;
mod sealed_trampoline;
mod signal_state;
mod spawn_in;
mod spawn_in_futures;
mod spawned_pid;
mod spawner_threads;
mod spawning;
mod step_refusals;
mod syscall_fallbacks;
mod syscall_refusals;
mod thread_state;
mod thread_state_filters;
mod thread_state_namespaces;
mod threads_of_their_own;
mod tools;
mod users;
