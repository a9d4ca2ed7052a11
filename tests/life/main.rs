//! From the spawn to the reap: signals, stopping, orphans, and hosts that end or fork.

#[path = "../common/mod.rs"]
mod common;

mod blocked_arbiter;
mod chaos;
mod contained;
mod contained_elsewhere;
mod deadlines;
mod flooding_descendants;
mod foreign_code;
mod forked_host;
mod forked_memory;
mod kept_by_its_child;
mod kill_on_drop;
mod many_children;
mod orphans;
mod orphans_at_exit;
mod orphans_reaped;
mod pid_reuse;
mod reaping;
mod sigchld;
mod signals;
mod stopping;
mod systems;
mod time_limits;
mod tools;
mod traced;
mod trees;
mod where_actors_live;
mod without_an_arbiter;
