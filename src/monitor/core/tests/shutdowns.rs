//! The end of all: by request, by an essential service, in time or not.

use super::super::{AFTER_KILL, Fact, Request};
use super::policies::{end, killed, not_started};
use super::world::World;
use super::{keyed, on_demand, secs, service};
use crate::Signal;
use crate::monitor::backoff::Backoff;
use crate::monitor::restart::Restart;
use crate::monitor::service::When;
use crate::monitor::state::ServiceState::{Exited, Failed, Running, Stopped, Waiting};

#[test]
fn an_essential_service_that_exits_or_fails_ends_all() {
    let limited = Restart::always()
        .backoff(Backoff::none())
        .limit(1, secs(60));
    for (restart, codes) in [
        (Restart::on_failure(), vec![0]),
        (Restart::never(), vec![1]),
        (Restart::always().fatal([7]), vec![7]),
        (limited, vec![1, 1]),
    ] {
        let mut world = World::new(vec![
            service("other"),
            service("main").essential().restart(restart),
        ]);
        world.quiesce();
        for code in codes {
            assert!(!world.began);
            world.over("main", end(code));
            if !world.began {
                world.up("main");
            }
        }
        assert!(world.began);
        world.quiesce();
        let report = world.report.take().unwrap();
        assert_eq!(report.clean, ["other"]);
        assert!(
            matches!(world.state("main"), Exited | Failed),
            "it stays to be seen"
        );
    }
    let mut world = World::new(vec![service("main").essential()]);
    world.fact("main", not_started(true));
    assert!(world.report.is_some());
}

#[test]
fn a_restart_or_a_stop_by_hand_of_an_essential_service_is_no_end() {
    let mut world = World::new(vec![
        service("main").essential().restart(Restart::never()),
        service("db"),
        service("web")
            .essential()
            .with("db")
            .restart(Restart::never()),
    ]);
    world.quiesce();
    world.ask("main", Request::Restart);
    world.quiesce();
    assert_eq!(world.state("main"), Running { ready: true });
    // The program exits in its own way when it is told to stop.
    world.ask("main", Request::Restart);
    world.over("main", end(0));
    world.quiesce();
    world.ask("db", Request::Restart);
    world.quiesce();
    world.fact("main", Fact::Unhealthy);
    world.ask("main", Request::Start);
    world.over("main", end(1));
    world.quiesce();
    world.ask("main", Request::Stop);
    world.quiesce();
    assert_eq!(world.state("main"), Stopped);
    world.ask("main", Request::Remove);
    world.quiesce();
    assert!(!world.began);
}

#[test]
fn a_crash_of_an_essential_service_that_is_restarted_is_no_end() {
    let mut world = World::new(vec![service("main").essential()]);
    world.quiesce();
    world.over("main", end(1));
    world.rest();
    assert!(!world.began);
    assert_eq!(world.state("main"), Running { ready: true });
}

#[test]
fn at_the_deadline_all_is_killed_and_the_report_tells_of_each() {
    let mut world = World::new(vec![
        service("db"),
        service("web").after("db", When::Ready),
        service("deaf"),
        service("stuck"),
        service("starting"),
        service("waiting").after("starting", When::Ready),
    ]);
    for id in ["db", "web", "deaf", "stuck"] {
        world.up(id);
    }
    let start = world.ask("waiting", Request::Start);
    assert_eq!(world.state("waiting"), Waiting);
    world.news();
    world.shut_down(secs(5));
    world.refused(start, "the monitor is shutting down");
    assert_eq!(
        world.news(),
        ["stop web", "stop deaf", "stop stuck", "abandon starting"]
    );
    world.pass(secs(1));
    world.over("deaf", killed(Signal::KILL));
    assert!(world.news().is_empty());
    world.pass(secs(4));
    // Also what had not had its turn.
    assert_eq!(world.news(), ["kill db", "kill web", "kill stuck"]);
    let mut last = killed(Signal::KILL);
    last.leftovers = 2;
    world.over("web", last);
    world.over("db", killed(Signal::TERM));
    world.fact("stuck", Fact::Unkillable);
    let report = world.report.take().unwrap();
    assert_eq!(report.clean, ["db"]);
    assert_eq!(report.killed, ["deaf", "web"]);
    assert_eq!(report.unkillable, ["stuck"]);
    assert_eq!((report.leftovers, report.took), (2, secs(5)));
    // It dies at last.
    world.over("stuck", killed(Signal::KILL));
    assert_eq!(world.state("stuck"), Stopped);
}

#[test]
fn a_shutdown_ends_in_time_though_nothing_is_heard_of_a_child() {
    let mut world = World::new(vec![service("a")]);
    world.quiesce();
    let stop = world.ask("a", Request::Stop);
    world.shut_down(secs(5));
    world.pass(secs(5) + AFTER_KILL);
    let report = world.report.take().unwrap();
    assert_eq!(
        (report.unkillable, report.took),
        (vec!["a".to_owned()], secs(5) + AFTER_KILL)
    );
    world.refused(stop, "service `a` cannot be killed");
    assert_eq!(world.core.deadline(), None);
}

#[test]
fn a_second_shutdown_can_only_make_the_time_shorter() {
    let mut world = World::new(vec![service("a")]);
    world.quiesce();
    world.shut_down(secs(5));
    assert_eq!(world.core.deadline(), Some(secs(5)));
    world.shut_down(secs(50));
    assert_eq!(world.core.deadline(), Some(secs(5)));
    world.pass(secs(1));
    world.shut_down(secs(1));
    assert_eq!(world.core.deadline(), Some(secs(2)));
    world.shut_down(secs(0));
    world.pass(secs(0));
    assert_eq!(world.news(), ["launch a", "stop a", "kill a"]);
    world.over("a", killed(Signal::KILL));
    assert_eq!(world.report.as_ref().unwrap().killed, ["a"]);
    world.shut_down(secs(0));
    assert_eq!(world.core.deadline(), None, "it is over");
}

#[test]
fn a_shutdown_of_nothing_is_over_at_once() {
    for policies in [vec![], vec![on_demand("a"), keyed("b", 3)]] {
        let mut world = World::new(policies);
        world.shut_down(secs(5));
        assert_eq!(world.report.as_ref().unwrap().took, secs(0));
        assert_eq!(world.core.deadline(), None);
    }
}

#[test]
fn nothing_starts_in_a_shutdown_and_a_stop_is_still_answered() {
    let mut world = World::new(vec![service("a"), on_demand("b"), service("c")]);
    world.up("a");
    world.up("c");
    let (lease, ticket) = world.lease("b");
    world.shut_down(secs(5));
    world.refused(ticket, "the monitor is shutting down");
    assert_eq!(world.core.leased(lease), None);
    world.news();
    for request in [
        Request::Start,
        Request::Restart,
        Request::RestartNow,
        Request::Ready,
    ] {
        let ticket = world.ask("a", request);
        world.refused(ticket, "the monitor is shutting down");
    }
    let (_, ticket) = world.lease("b");
    world.refused(ticket, "the monitor is shutting down");
    world.add(vec![service("d")]);
    assert_eq!(world.state("d"), Stopped);
    let stop = world.ask("a", Request::Stop);
    let remove = world.ask("c", Request::Remove);
    world.over("c", end(1));
    world.over("a", end(1));
    world.ok(stop);
    world.ok(remove);
    world.pass(secs(100));
    assert_eq!(world.news(), [""; 0]);
    assert_eq!(world.report.unwrap().clean, ["c", "a"]);
}
