//! Who waits for whom, who goes with whom, and in which order they stop.

use super::super::{Fact, Request};
use super::policies::{end, killed, not_started};
use super::world::World;
use super::{ms, on_demand, secs, service};
use crate::Signal;
use crate::monitor::restart::Restart;
use crate::monitor::service::When;
use crate::monitor::state::ServiceState::{
    Backoff, Exited, Failed, Running, Starting, Stopped, Stopping, Waiting,
};

const UP: crate::monitor::state::ServiceState = Running { ready: true };

#[test]
fn each_condition_opens_the_gate_at_its_time() {
    for (when, at_ready, at_success, at_failure) in [
        (When::Ready, Starting, Waiting, Waiting),
        (When::Ended, Waiting, Starting, Starting),
        (When::Succeeded, Waiting, Starting, Waiting),
    ] {
        let world = || {
            World::new(vec![
                service("b").after("a", when),
                service("a").restart(Restart::never()),
            ])
        };
        let mut ready = world();
        assert_eq!(ready.state("b"), Waiting);
        ready.spawned("a");
        assert_eq!(ready.state("b"), Waiting);
        ready.fact("a", Fact::Ready);
        assert_eq!(ready.state("b"), at_ready);
        // An end right after readiness, before the dependant got its start: it is looked at what is, not at what was.
        for (code, expected) in [(0, at_success), (1, at_failure)] {
            let mut world = world();
            let slot = world.slot("a");
            world.spawned("a");
            world.core.fact(slot, 1, Fact::Ready);
            world.happens(slot, 1, Fact::Over(end(code)));
            assert_eq!(world.state("b"), expected);
        }
    }
}

#[test]
fn a_dependant_does_not_start_on_the_readiness_of_an_old_incarnation() {
    let mut world = World::new(vec![service("db"), service("web").after("db", When::Ready)]);
    world.quiesce();
    world.news();
    world.over("db", end(1));
    world.over("web", end(1));
    world.pass(ms(200));
    // Both delays are over: db has begun anew, and web waits until it is ready again.
    assert_eq!((world.state("db"), world.state("web")), (Starting, Waiting));
    world.spawned("db");
    assert_eq!(world.state("web"), Waiting);
    world.fact("db", Fact::Ready);
    assert_eq!(world.state("web"), Starting);
    // A restart that has to wait for its turn closes the gate as well.
    world.up("web");
    world.ask("db", Request::Restart);
    world.over("web", end(1));
    world.pass(ms(400));
    assert_eq!((world.state("db"), world.state("web")), (Stopping, Waiting));
}

#[test]
fn a_dependant_does_not_start_on_what_is_about_to_be_stopped() {
    let mut world = World::new(vec![
        service("db"),
        service("log").after("db", When::Ready).with("db"),
        service("web").after("db", When::Ready),
    ]);
    world.quiesce();
    world.over("web", end(1));
    world.ask("db", Request::Restart);
    world.pass(secs(1));
    // db is ready still: it is stopped when log is gone.
    assert_eq!((world.state("db"), world.state("web")), (UP, Waiting));
    world.quiesce();
    assert_eq!((world.state("db"), world.state("web")), (UP, UP));
}

#[test]
fn who_waits_for_a_dependency_that_does_not_come_is_told_and_starts_when_it_comes() {
    let mut world = World::new(vec![
        service("db").restart(Restart::never()),
        service("web").after("db", When::Ready),
    ]);
    let start = world.ask("web", Request::Start);
    world.fact("db", not_started(false));
    world.refused(start, "service `web` waits for `db`, which is failed");
    let ready = world.ask("web", Request::Ready);
    world.refused(ready, "service `web` waits for `db`, which is failed");
    assert_eq!(world.state("web"), Waiting);
    world.ask("db", Request::Start);
    let ready = world.ask("web", Request::Ready);
    world.quiesce();
    world.ok(ready);
}

#[test]
fn a_dependency_in_backoff_is_waited_for() {
    let mut world = World::new(vec![service("db"), service("web").after("db", When::Ready)]);
    world.fact("db", not_started(false));
    let start = world.ask("web", Request::Start);
    assert_eq!((world.state("db"), world.state("web")), (Backoff, Waiting));
    world.waits(start);
    world.rest();
    world.ok(start);
}

/// Each names the other: as `one_for_all` of OTP.
#[test]
fn with_each_other_all_are_restarted_when_one_fails() {
    let mut world = World::new(vec![
        service("a").with("b"),
        service("b").with("c"),
        service("c").with("a"),
        service("other"),
    ]);
    world.quiesce();
    for id in ["a", "b", "c"] {
        world.news();
        world.over(id, end(1));
        world.quiesce();
        assert_eq!(world.state(id), Backoff);
        world.rest();
        let mut news = world.news();
        news.sort();
        let others = ["a", "b", "c"].into_iter().filter(|other| *other != id);
        let mut expected: Vec<String> = others.map(|other| format!("stop {other}")).collect();
        expected.extend(["a", "b", "c"].map(|id| format!("launch {id}")));
        expected.sort();
        assert_eq!(news, expected);
        assert!(
            ["a", "b", "c", "other"]
                .iter()
                .all(|id| world.state(*id) == UP)
        );
    }
}

/// Each names the one before: as `rest_for_one` of OTP.
#[test]
fn with_the_one_before_the_rest_is_restarted_in_the_order() {
    let mut world = World::new(vec![
        service("a"),
        service("b").after("a", When::Ready).with("a"),
        service("c").after("b", When::Ready).with("b"),
    ]);
    world.quiesce();
    assert_eq!(world.news(), ["launch a", "launch b", "launch c"]);
    world.over("b", end(1));
    world.rest();
    assert_eq!(world.news(), ["stop c", "launch b", "launch c"]);
    let restart = world.ask("a", Request::Restart);
    world.quiesce();
    world.ok(restart);
    assert_eq!(
        world.news(),
        [
            "stop c", "stop b", "stop a", "launch a", "launch b", "launch c"
        ]
    );
    // A stop takes them along, and a start brings them back.
    world.ask("a", Request::Stop);
    world.quiesce();
    assert_eq!(
        ["a", "b", "c"].map(|id| world.state(id)),
        [Stopped, Waiting, Waiting]
    );
    world.ask("a", Request::Start);
    world.quiesce();
    assert_eq!(["a", "b", "c"].map(|id| world.state(id)), [UP; 3]);
}

#[test]
fn a_companion_that_ends_before_its_turn_comes_back_all_the_same() {
    let mut world = World::new(vec![
        service("a"),
        service("b").with("a").restart(Restart::never()),
        service("c").after("b", When::Ready).with("a"),
    ]);
    world.quiesce();
    world.ask("a", Request::Restart);
    assert_eq!((world.state("b"), world.state("c")), (UP, Stopping));
    world.over("b", end(0));
    world.quiesce();
    assert_eq!(["a", "b", "c"].map(|id| world.state(id)), [UP; 3]);
}

#[test]
fn the_failure_of_one_does_not_cut_the_backoff_of_its_companion_short() {
    let mut world = World::new(vec![service("a"), service("b").with("a")]);
    world.quiesce();
    for _ in 0..4 {
        world.over("b", end(1));
        world.pass(secs(2));
        world.up("b");
    }
    world.over("b", end(1));
    world.over("a", end(1));
    world.pass(ms(200));
    world.up("a");
    assert_eq!((world.state("a"), world.state("b")), (UP, Backoff));
    // A restart by hand does.
    world.ask("a", Request::Restart);
    world.over("a", killed(Signal::TERM));
    world.up("a");
    assert_eq!(world.state("b"), Starting);
}

#[test]
fn a_restart_by_hand_of_one_that_has_exited_restarts_its_companions() {
    let mut world = World::new(vec![
        service("a"),
        service("b").with("a"),
        service("c").with("a"),
    ]);
    world.quiesce();
    world.over("a", end(0));
    world.over("c", end(0));
    world.news();
    world.ask("a", Request::Restart);
    world.quiesce();
    assert_eq!(world.news(), ["stop b", "launch a", "launch b"]);
    assert_eq!(world.state("c"), Exited, "what is done is not done again");
}

#[test]
fn what_does_not_depend_on_each_other_stops_at_once_and_the_rest_in_reverse() {
    let mut world = World::new(vec![
        service("net"),
        service("db").after("net", When::Ready),
        service("web1").after("db", When::Ready),
        service("web2").after("db", When::Ready),
        service("log").after("net", When::Ready),
    ]);
    world.quiesce();
    world.news();
    world.shut_down(secs(20));
    // The longest ladder, not the sum of all: they are told together.
    assert_eq!(world.news(), ["stop web1", "stop web2", "stop log"]);
    world.over("web1", killed(Signal::TERM));
    assert!(world.news().is_empty());
    world.over("web2", killed(Signal::TERM));
    assert_eq!(world.news(), ["stop db"]);
    world.over("db", killed(Signal::TERM));
    assert!(world.news().is_empty(), "log still runs");
    world.over("log", killed(Signal::TERM));
    assert_eq!(world.news(), ["stop net"]);
    world.over("net", killed(Signal::TERM));
    let report = world.report.unwrap();
    assert_eq!(report.clean, ["web1", "web2", "db", "log", "net"]);
}

#[test]
fn what_cannot_be_killed_does_not_hold_up_what_it_comes_after() {
    let mut world = World::new(vec![
        service("db"),
        service("web").after("db", When::Ready).with("db"),
    ]);
    world.quiesce();
    world.news();
    let stop = world.ask("db", Request::Stop);
    world.fact("web", Fact::Unkillable);
    assert_eq!(world.news(), ["stop web", "unkillable web", "stop db"]);
    world.over("db", killed(Signal::TERM));
    world.ok(stop);
}

#[test]
fn a_start_of_what_comes_after_a_service_on_demand_starts_that_first() {
    let mut world = World::new(vec![
        on_demand("db"),
        service("web").after("db", When::Ready),
    ]);
    world.quiesce();
    world.ask("web", Request::Stop);
    world.quiesce();
    assert_eq!(world.state("db"), UP, "its idle time runs");
    world.pass(secs(60));
    world.quiesce();
    assert_eq!((world.state("db"), world.state("web")), (Stopped, Stopped));
    let start = world.ask("web", Request::Start);
    world.quiesce();
    world.ok(start);
    assert_eq!((world.state("db"), world.state("web")), (UP, UP));
}

#[test]
fn a_failed_dependency_with_ended_lets_go_on() {
    let mut world = World::new(vec![
        service("init").restart(Restart::never()),
        service("web").after("init", When::Ended),
    ]);
    world.fact("init", not_started(true));
    assert_eq!(
        (world.state("init"), world.state("web")),
        (Failed, Starting)
    );
}
