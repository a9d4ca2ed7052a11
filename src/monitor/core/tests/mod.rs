//! A core with a scripted driver: what is decided, in every order and by name.

mod checks;
mod demand;
mod demand_restarts;
mod every_order;
mod happenings;
mod many;
mod order;
mod policies;
mod random;
mod requests;
mod restarts;
mod shutdowns;
mod world;

use std::time::Duration;

use policies::{keyed, on_demand, service};
use world::World;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
