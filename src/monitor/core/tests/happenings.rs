//! What may happen to a random graph of services.

use proptest::prelude::*;

use super::super::{Kinship, Policy};
use super::{keyed, on_demand, secs, service};
use crate::monitor::restart::Restart;
use crate::monitor::service::When;

/// What happens; the numbers choose among what there is.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    Start(usize),
    Stop(usize),
    Restart(usize),
    Ready(usize),
    Remove(usize),
    Add(usize, usize),
    Lease(usize, usize),
    Release(usize),
    Spawned(usize),
    IsReady(usize),
    NotStarted(usize, bool),
    Crash(usize),
    Succeed(usize),
    Unhealthy(usize),
    Unkillable(usize),
    Pass(u64),
    Rest,
}

pub(super) fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let n = 0..1000_usize;
    prop_oneof![
        2 => n.clone().prop_map(Start),
        3 => n.clone().prop_map(Stop),
        3 => n.clone().prop_map(Restart),
        1 => n.clone().prop_map(Ready),
        1 => n.clone().prop_map(Remove),
        1 => (n.clone(), n.clone()).prop_map(|(a, b)| Add(a, b)),
        4 => (n.clone(), n.clone()).prop_map(|(a, b)| Lease(a, b)),
        3 => n.clone().prop_map(Release),
        5 => n.clone().prop_map(Spawned),
        5 => n.clone().prop_map(IsReady),
        1 => (n.clone(), any::<bool>()).prop_map(|(a, b)| NotStarted(a, b)),
        4 => n.clone().prop_map(Crash),
        2 => n.clone().prop_map(Succeed),
        1 => n.clone().prop_map(Unhealthy),
        1 => n.prop_map(Unkillable),
        2 => (0..8000_u64).prop_map(Pass),
        2 => Just(Rest),
    ]
}

/// For each service: its kind, its policy, its flags, the one that it comes after and the one that it goes with.
pub(super) type Spec = (u8, u8, bool, Option<(usize, u8)>, Option<usize>);

pub(super) fn policies(specs: &[Spec]) -> Vec<Policy> {
    let id = |n: usize| format!("s{n}");
    let can_be_named = |n: usize| specs[n].0 < 8;
    let one = |(n, (kind, restart, essential, after, with)): (usize, &Spec)| {
        let mut policy = match kind {
            0..5 => service(&id(n)),
            5..8 => on_demand(&id(n)),
            _ => keyed(&id(n), usize::from(*kind) - 7),
        };
        policy.idle_stop = secs(5);
        policy.restart = match restart {
            0 => Restart::always(),
            1 => Restart::never(),
            _ => policy.restart,
        };
        policy.essential = *essential && policy.kinship == Kinship::Always;
        if let Some((other, when)) = after.filter(|_| n > 0) {
            let other = other % n;
            let when = [When::Ready, When::Ready, When::Ended, When::Succeeded][usize::from(when)];
            if can_be_named(other) {
                policy = policy.after(&id(other), when);
            }
        }
        match with.map(|with| with % specs.len()) {
            Some(with) if with != n && can_be_named(with) => policy.with(&id(with)),
            _ => policy,
        }
    };
    specs.iter().enumerate().map(one).collect()
}
