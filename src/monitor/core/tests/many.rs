//! Many services: what is decided for one costs no look at all the others.

use std::time::Duration;

use super::super::{Core, Effect, Fact, Policy, Request};
use super::policies::end;
use super::world::World;
use super::{secs, service};
use crate::monitor::graph::check;
use crate::monitor::service::When;

fn id(n: usize) -> String {
    format!("s{n}")
}

fn chain(count: usize) -> Vec<Policy> {
    let after = |n: usize| {
        service(&id(n))
            .after(&id(n - 1), When::Ready)
            .with(&id(n - 1))
    };
    (0..count)
        .map(|n| if n == 0 { service(&id(0)) } else { after(n) })
        .collect()
}

fn star(count: usize) -> Vec<Policy> {
    let mut star = vec![service(&id(0))];
    star.extend((1..count).map(|n| service(&id(n)).after(&id(0), When::Ready).with(&id(0))));
    star
}

/// What this thread has had of the CPU: others may have it meanwhile.
fn cpu_time() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
}

/// A driver that does not look at anything but the effects. How many effects there were.
fn drive(core: &mut Core) -> usize {
    let mut count = 0;
    loop {
        let effects = core.effects();
        if effects.is_empty() {
            return count;
        }
        for effect in effects {
            count += 1;
            match effect {
                Effect::Launch {
                    slot, generation, ..
                } => {
                    core.fact(slot, generation, Fact::Spawned { pid: 9 });
                    core.fact(slot, generation, Fact::Ready);
                }
                Effect::Stop {
                    slot, generation, ..
                } => {
                    core.fact(slot, generation, Fact::Over(end(0)));
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_thousand_in_a_chain_or_a_star_start_restart_and_stop_quickly() {
    for policies in [chain(1000), star(1000)] {
        let began = cpu_time();
        check([].iter(), &policies).unwrap();
        let mut core = Core::new(secs(20));
        core.add(policies);
        drive(&mut core);
        assert!(core.all().all(|(_, instance)| instance.is_alive()));
        core.request(&"s0".into(), Request::Restart, 1);
        drive(&mut core);
        assert!(core.all().all(|(_, instance)| instance.restarts == 1));
        core.shut_down(secs(20));
        drive(&mut core);
        assert!(core.all().all(|(_, instance)| !instance.is_alive()));
        assert_eq!(core.deadline(), None);
        let took = cpu_time() - began;
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn a_crash_of_one_among_ten_thousand_costs_as_little_as_among_ten() {
    let time = |count: usize| {
        let mut core = Core::new(secs(20));
        core.add((0..count).map(|n| service(&id(n))).collect());
        drive(&mut core);
        let began = cpu_time();
        for n in 0..2000 {
            let slot = n % 10;
            let generation = core.get(slot).unwrap().generation;
            core.fact(slot, generation, Fact::Over(end(1)));
            core.effects();
            core.request(&id(slot).as_str().into(), Request::RestartNow, 1);
            drive(&mut core);
        }
        cpu_time() - began
    };
    let (few, many) = (time(10), time(10_000));
    // A look at all of them would cost a thousand times as much.
    assert!(many < few * 30, "{few:?} among 10, {many:?} among 10,000");
}

#[test]
fn services_that_come_and_go_leave_nothing() {
    let mut world = World::new(vec![service("stays")]);
    world.quiesce();
    for n in 0..300 {
        world.add(vec![
            service(&id(n)),
            service("x").after(&id(n), When::Ready),
        ]);
        world.quiesce();
        world.ask("x", Request::Remove);
        world.quiesce();
        let gone = world.ask(id(n), Request::Remove);
        world.quiesce();
        world.ok(gone);
    }
    assert_eq!(world.core.all().count(), 1);
    assert!(world.core.instances.len() < 10, "slots are given anew");
    world.ask("stays", Request::Remove);
    world.quiesce();
    world.assert_empty();
}
