//! Restarts by hand of what runs on demand: who wants it afterwards.

use super::super::Request;
use super::policies::{end, killed};
use super::world::World;
use super::{keyed, on_demand, secs, service};
use crate::Signal;
use crate::monitor::restart::Restart;
use crate::monitor::service::When;
use crate::monitor::state::ServiceState::{Failed, Running, Stopped, Stopping};

const UP: crate::monitor::state::ServiceState = Running { ready: true };

#[test]
fn what_is_leased_stops_after_its_idle_time_though_it_was_restarted() {
    let mut world = World::new(vec![on_demand("a")]);
    let (lease, _) = world.lease("a");
    world.quiesce();
    let restart = world.ask("a", Request::Restart);
    world.quiesce();
    world.ok(restart);
    world.pass(secs(1000));
    assert_eq!(world.state("a"), UP);
    world.release(lease);
    world.pass(secs(60));
    assert_eq!(world.state("a"), Stopping);
    world.quiesce();
    assert_eq!(world.state("a"), Stopped);
}

#[test]
fn what_was_started_by_hand_stays_so_though_it_is_leased_when_it_is_restarted() {
    let mut world = World::new(vec![on_demand("a")]);
    world.ask("a", Request::Start);
    let (lease, _) = world.lease("a");
    world.quiesce();
    world.ask("a", Request::Restart);
    world.quiesce();
    world.release(lease);
    world.pass(secs(1000));
    assert_eq!(world.state("a"), UP);
}

#[test]
fn what_nobody_wants_is_started_by_a_restart_until_it_is_stopped() {
    let mut world = World::new(vec![on_demand("a")]);
    let restart = world.ask("a", Request::Restart);
    world.quiesce();
    world.ok(restart);
    world.pass(secs(1000));
    assert_eq!(world.state("a"), UP);
}

#[test]
fn a_restart_that_overtakes_the_only_lease_is_a_start_by_hand() {
    let mut world = World::new(vec![on_demand("a")]);
    let (lease, ticket) = world.lease("a");
    let restart = world.ask("a", Request::Restart);
    world.refused(ticket, "service `a`: a restart came in between");
    assert_eq!(world.core.leased(lease), None);
    world.quiesce();
    world.ok(restart);
    world.pass(secs(1000));
    assert_eq!(world.state("a"), UP);
}

#[test]
fn a_restart_after_a_stop_lets_the_leases_from_before_keep_it() {
    let mut world = World::new(vec![on_demand("a")]);
    let (lease, _) = world.lease("a");
    world.quiesce();
    world.ask("a", Request::Stop);
    world.quiesce();
    assert_eq!(world.state("a"), Stopped);
    let restart = world.ask("a", Request::Restart);
    world.quiesce();
    world.ok(restart);
    world.over("a", killed(Signal::SEGV));
    world.rest();
    assert_eq!(world.state("a"), UP);
    world.release(lease);
    world.rest();
    assert_eq!(world.state("a"), Stopped);
}

#[test]
fn who_restarts_what_goes_with_its_last_lease_is_told() {
    let mut world = World::new(vec![on_demand("a")]);
    let (lease, _) = world.lease("a");
    world.quiesce();
    let restart = world.ask("a", Request::Restart);
    assert_eq!(world.state("a"), Stopping);
    world.release(lease);
    world.waits(restart);
    world.quiesce();
    world.refused(restart, "service `a` is stopped");
    // The next one starts it as ever.
    let (_, ticket) = world.lease("a");
    world.quiesce();
    world.ok(ticket);
}

#[test]
fn what_another_one_needs_goes_with_that_one_though_it_was_restarted() {
    let mut world = World::new(vec![
        on_demand("db"),
        service("web").after("db", When::Ready),
    ]);
    world.quiesce();
    let restart = world.ask("db", Request::Restart);
    world.quiesce();
    world.ok(restart);
    world.pass(secs(1000));
    assert_eq!(world.state("db"), UP);
    world.ask("web", Request::Stop);
    world.rest();
    assert_eq!(world.state("db"), Stopped);
}

#[test]
fn a_restart_now_of_what_has_failed_holds_it_only_where_nobody_has_a_lease() {
    for is_leased in [true, false] {
        let mut world = World::new(vec![on_demand("a").restart(Restart::never())]);
        let (lease, _) = world.lease("a");
        world.quiesce();
        world.over("a", end(1));
        if !is_leased {
            world.release(lease);
        }
        assert_eq!(world.state("a"), Failed);
        let now = world.ask("a", Request::RestartNow);
        world.quiesce();
        world.ok(now);
        world.release(lease);
        world.pass(secs(60));
        world.quiesce();
        let state = if is_leased { Stopped } else { UP };
        assert_eq!(world.state("a"), state);
    }
}

#[test]
fn an_instance_that_was_leased_when_it_was_restarted_makes_room() {
    let mut world = World::new(vec![keyed("lsp", 1)]);
    let (lease, _) = world.lease(World::key("lsp", "a"));
    world.quiesce();
    world.ask(World::key("lsp", "a"), Request::Restart);
    world.quiesce();
    world.release(lease);
    let (_, ticket) = world.lease(World::key("lsp", "b"));
    world.quiesce();
    world.ok(ticket);
}
