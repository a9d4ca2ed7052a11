//! Leases: what is started, shared, stopped when idle, and evicted.

use super::super::Request;
use super::policies::{end, killed, not_started};
use super::world::World;
use super::{keyed, ms, on_demand, secs, service};
use crate::Signal;
use crate::monitor::restart::Restart;
use crate::monitor::state::ServiceState::{Backoff, Exited, Failed, Running, Stopped, Stopping};

const UP: crate::monitor::state::ServiceState = Running { ready: true };

fn key(key: &str) -> crate::monitor::name::ServiceName {
    World::key("lsp", key)
}

#[test]
fn the_first_lease_starts_it_once_and_the_last_one_lets_it_go_after_its_idle_time() {
    let mut world = World::new(vec![on_demand("a")]);
    assert_eq!(world.state("a"), Stopped);
    let leases: Vec<_> = (0..10).map(|_| world.lease("a")).collect();
    world.quiesce();
    assert_eq!(world.news(), ["launch a"]);
    for (lease, ticket) in &leases {
        world.ok(*ticket);
        assert_eq!(world.core.leased(*lease), Some(0));
    }
    let (late, ticket) = world.lease("a");
    world.ok(ticket);
    for (lease, _) in leases {
        world.release(lease);
        world.release(lease);
    }
    world.pass(secs(1000));
    assert_eq!(world.state("a"), UP);
    world.release(late);
    world.pass(secs(60) - ms(1));
    assert_eq!(world.state("a"), UP);
    // A lease in time keeps it.
    let (lease, _) = world.lease("a");
    world.pass(secs(100));
    world.release(lease);
    world.pass(secs(60));
    assert_eq!(world.state("a"), Stopping);
    // One that comes while it stops starts it anew.
    let (_, ticket) = world.lease("a");
    world.quiesce();
    world.ok(ticket);
    assert_eq!(world.news(), ["stop a", "launch a"]);
}

#[test]
fn a_lease_that_is_dropped_before_its_answer_is_answered_and_the_others_keep_theirs() {
    let mut world = World::new(vec![on_demand("a")]);
    let (first, dropped) = world.lease("a");
    let (_, kept) = world.lease("a");
    world.release(first);
    world.refused(dropped, "service `a`: a release came in between");
    world.quiesce();
    world.ok(kept);
    assert_eq!(world.core.get(0).unwrap().leases, 1);
}

#[test]
fn a_lease_whose_start_fails_has_ended_and_the_backoff_bounds_the_next_one() {
    let mut world = World::new(vec![on_demand("a")]);
    for delay in [200, 400, 800] {
        let (lease, ticket) = world.lease("a");
        let due = world.now;
        world.pass(ms(0));
        world.fact("a", not_started(false));
        assert!(world.reply(ticket).unwrap().is_err());
        assert_eq!(
            (world.core.leased(lease), world.state("a")),
            (None, Stopped)
        );
        // It is not started before its delay is over, however often it is asked for.
        let (lease, ticket) = world.lease("a");
        assert_eq!(world.state("a"), Backoff);
        assert_eq!(world.core.deadline(), Some(due + ms(delay)));
        world.release(lease);
        assert!(world.reply(ticket).unwrap().is_err());
        assert_eq!(world.state("a"), Stopped);
        world.pass(ms(delay));
    }
    assert_eq!(world.news(), ["launch a"; 3]);
}

#[test]
fn a_lease_of_what_has_failed_fails_at_once_until_its_delay_is_over() {
    for restart in [Restart::always(), Restart::always().limit(1, secs(5))] {
        let mut policy = on_demand("a");
        policy.restart = restart;
        let mut world = World::new(vec![policy]);
        for delay in [300, 6000] {
            world.lease("a");
            world.fact("a", not_started(true));
            assert_eq!(world.state("a"), Failed);
            let (lease, ticket) = world.lease("a");
            world.refused(
                ticket,
                "service `a` did not start: its command could not be made: no port",
            );
            assert_eq!(world.core.leased(lease), None);
            world.pass(ms(delay));
        }
        let (_, ticket) = world.lease("a");
        world.quiesce();
        world.ok(ticket);
        assert_eq!(world.news(), ["launch a"; 3]);
    }
}

#[test]
fn a_lease_after_an_end_for_good_starts_it_though_another_lease_is_held() {
    for code in [0, 1] {
        let mut policy = on_demand("a");
        policy.restart = Restart::never();
        let mut world = World::new(vec![policy]);
        let (held, _) = world.lease("a");
        world.quiesce();
        world.over("a", end(code));
        let state = if code == 0 { Exited } else { Failed };
        world.pass(secs(100));
        assert_eq!(
            world.state("a"),
            state,
            "it is not started for those of old"
        );
        let (_, ticket) = world.lease("a");
        world.quiesce();
        world.ok(ticket);
        assert_eq!(world.core.leased(held), Some(0));
    }
}

#[test]
fn a_lease_after_a_success_waits_as_after_a_first_failure_however_often() {
    let mut world = World::new(vec![on_demand("a")]);
    for _ in 0..10 {
        let (lease, ticket) = world.lease("a");
        world.pass(ms(200));
        world.quiesce();
        world.ok(ticket);
        world.release(lease);
        world.over("a", end(0));
        assert_eq!(world.state("a"), Exited);
        let (lease, ticket) = world.lease("a");
        assert_eq!(world.state("a"), Backoff);
        world.waits(ticket);
        world.release(lease);
    }
}

#[test]
fn a_service_that_restarts_keeps_its_leases() {
    let mut world = World::new(vec![on_demand("a")]);
    let (lease, _) = world.lease("a");
    world.quiesce();
    world.over("a", end(1));
    assert_eq!(world.state("a"), Backoff);
    let (_, ticket) = world.lease("a");
    world.waits(ticket);
    world.rest();
    world.ok(ticket);
    assert_eq!((world.state("a"), world.core.leased(lease)), (UP, Some(0)));
}

#[test]
fn a_stop_by_hand_holds_until_the_next_lease() {
    let mut world = World::new(vec![on_demand("a")]);
    let (held, _) = world.lease("a");
    world.quiesce();
    world.ask("a", Request::Stop);
    world.rest();
    assert_eq!(
        (world.state("a"), world.core.leased(held)),
        (Stopped, Some(0))
    );
    let (_, ticket) = world.lease("a");
    world.quiesce();
    world.ok(ticket);
}

#[test]
fn a_lease_of_a_service_that_is_always_wanted_waits_for_it_and_starts_nothing() {
    let mut world = World::new(vec![service("a")]);
    let (_, ticket) = world.lease("a");
    world.quiesce();
    world.ok(ticket);
    world.ask("a", Request::Stop);
    let (lease, ticket) = world.lease("a");
    world.waits(ticket);
    world.quiesce();
    world.refused(ticket, "service `a` is stopped");
    assert_eq!(world.core.leased(lease), None);
    let (_, ticket) = world.lease("a");
    world.refused(ticket, "service `a` is stopped");
}

#[test]
fn a_wait_for_readiness_does_not_keep_it_and_is_told_when_it_goes() {
    let mut policy = on_demand("a");
    policy.idle_stop = secs(0);
    let mut world = World::new(vec![policy]);
    let (lease, _) = world.lease("a");
    let ready = world.ask("a", Request::Ready);
    world.release(lease);
    world.refused(ready, "service `a` is stopped");
    assert_eq!(world.news(), ["launch a", "abandon a"]);
}

#[test]
fn an_idle_stop_takes_the_companions_along() {
    let mut world = World::new(vec![on_demand("a"), service("b").with("a")]);
    let (lease, _) = world.lease("a");
    world.quiesce();
    assert_eq!(world.state("b"), UP);
    world.release(lease);
    world.pass(secs(60));
    world.quiesce();
    assert_ne!(world.state("b"), UP);
    world.lease("a");
    world.quiesce();
    assert_eq!(world.state("b"), UP);
}

#[test]
fn the_longest_idle_instance_goes_first_and_one_that_is_leased_never() {
    let mut world = World::new(vec![keyed("lsp", 3)]);
    let [a, b, _] = ["a", "b", "c"].map(|name| {
        let (lease, _) = world.lease(key(name));
        world.quiesce();
        lease
    });
    let (_, ticket) = world.lease(key("d"));
    world.refused(ticket, "service `lsp[d]`: all 3 instances are leased");
    world.release(b);
    world.pass(secs(1));
    world.release(a);
    world.pass(secs(1));
    world.news();
    let (_, ticket) = world.lease(key("d"));
    // Its room is free when the other one is gone.
    assert_eq!(world.news(), ["stop lsp[b]"]);
    assert_eq!(
        world.state(key("d")),
        crate::monitor::state::ServiceState::Waiting
    );
    world.quiesce();
    world.ok(ticket);
    assert_eq!(world.core.slot(&key("b")), None);
    assert_eq!(world.state(key("a")), UP);
}

#[test]
fn an_evicted_instance_comes_back_only_where_there_is_room() {
    let mut world = World::new(vec![keyed("lsp", 1)]);
    let (a, _) = world.lease(key("a"));
    world.quiesce();
    world.release(a);
    let (b, ticket) = world.lease(key("b"));
    let (_, late) = world.lease(key("a"));
    world.refused(late, "service `lsp[a]`: all 1 instances are leased");
    let start = world.ask(key("a"), Request::Start);
    world.refused(start, "service `lsp[a]`: all 1 instances are leased");
    world.quiesce();
    world.ok(ticket);
    // While b goes for c, b is asked for again: c has the room.
    world.release(b);
    let (c, _) = world.lease(key("c"));
    world.release(c);
    let (_, again) = world.lease(key("b"));
    world.quiesce();
    world.ok(again);
    assert_eq!(world.core.slot(&key("c")), None);
}

#[test]
fn an_idle_instance_is_forgotten_and_one_that_failed_when_its_delay_is_over() {
    let mut world = World::new(vec![keyed("lsp", 9)]);
    let (lease, _) = world.lease(key("a"));
    world.quiesce();
    world.lease(key("b"));
    world.fact(key("b"), not_started(false));
    assert_eq!(world.state(key("b")), Stopped);
    world.pass(ms(200));
    assert_eq!(world.core.slot(&key("b")), None);
    world.release(lease);
    world.pass(secs(60));
    world.quiesce();
    let gone = world.ask("lsp", Request::Remove);
    world.ok(gone);
    world.assert_empty();
}

#[test]
fn a_removal_of_a_keyed_service_is_answered_when_its_last_instance_is_gone() {
    let mut world = World::new(vec![keyed("lsp", 9)]);
    for name in ["a", "b", "c"] {
        world.lease(key(name));
    }
    let (_, starting) = world.lease(key("d"));
    for name in ["a", "b", "c"] {
        world.up(key(name));
    }
    let one = world.ask(key("b"), Request::Remove);
    let all = world.ask("lsp", Request::Remove);
    world.refused(starting, "service `lsp[d]`: a remove came in between");
    world.refused(one, "service `lsp[b]`: a remove came in between");
    let (_, late) = world.lease(key("a"));
    world.refused(late, "there is no service `lsp[a]`");
    world.over(key("c"), end(0));
    world.over(key("a"), end(0));
    world.waits(all);
    world.over(key("b"), end(0));
    world.ok(all);
    world.assert_empty();
}

#[test]
fn two_removals_of_one_instance_are_both_answered_when_it_is_gone() {
    let mut world = World::new(vec![keyed("lsp", 2)]);
    world.lease(key("a"));
    world.up(key("a"));
    let (first, second) = (
        world.ask(key("a"), Request::Remove),
        world.ask(key("a"), Request::Remove),
    );
    world.waits(first);
    world.waits(second);
    world.over(key("a"), killed(Signal::TERM));
    world.ok(first);
    world.ok(second);
}
