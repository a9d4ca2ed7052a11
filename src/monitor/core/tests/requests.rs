//! What is asked for by hand, in every state.

use super::super::{Fact, Request};
use super::policies::{end, killed, not_started};
use super::{World, ms, on_demand, secs, service};
use crate::Signal;
use crate::monitor::restart::Restart;
use crate::monitor::service::When;
use crate::monitor::state::ServiceState::{
    Backoff, Exited, Failed, Running, Starting, Stopped, Stopping, Waiting,
};

#[test]
fn a_start_is_answered_at_readiness_and_a_further_one_at_once() {
    let mut world = World::new(vec![service("a")]);
    assert_eq!(world.state("a"), Starting);
    let first = world.ask("a", Request::Start);
    world.spawned("a");
    assert_eq!(world.state("a"), Running { ready: false });
    world.waits(first);
    world.fact("a", Fact::Ready);
    world.ok(first);
    let second = world.ask("a", Request::Start);
    let third = world.ask("a", Request::Ready);
    world.ok(second);
    world.ok(third);
    assert_eq!(world.news(), ["launch a"]);
}

#[test]
fn a_stop_while_it_waits_for_a_dependency_is_answered_at_once() {
    let mut world = World::new(vec![service("db"), service("web").after("db", When::Ready)]);
    let start = world.ask("web", Request::Start);
    assert_eq!(world.state("web"), Waiting);
    let stop = world.ask("web", Request::Stop);
    world.ok(stop);
    world.refused(start, "service `web`: a stop came in between");
    assert_eq!(world.state("web"), Stopped);
    world.rest();
    assert_eq!(world.state("web"), Stopped, "no later start");
    assert_eq!(world.news(), ["launch db"]);
}

#[test]
fn a_stop_during_a_start_gives_the_start_up_at_once() {
    let mut world = World::new(vec![service("a")]);
    let start = world.ask("a", Request::Ready);
    let stop = world.ask("a", Request::Stop);
    world.ok(stop);
    world.refused(start, "service `a`: a stop came in between");
    assert_eq!(world.news(), ["launch a", "abandon a"]);
    // The child of the start that was given up is none of this service.
    world.spawned("a");
    assert_eq!((world.state("a"), world.core.stale()), (Stopped, 1));
}

#[test]
fn a_stop_during_a_probe_does_not_wait_for_readiness() {
    let mut world = World::new(vec![service("a")]);
    let start = world.ask("a", Request::Start);
    world.spawned("a");
    let stop = world.ask("a", Request::Stop);
    world.refused(start, "service `a`: a stop came in between");
    assert_eq!(world.state("a"), Stopping);
    world.fact("a", Fact::Ready);
    assert_eq!((world.state("a"), world.core.stale()), (Stopping, 1));
    world.waits(stop);
    world.over("a", killed(Signal::TERM));
    world.ok(stop);
    assert_eq!(world.state("a"), Stopped);
    assert_eq!(world.core.deadline(), None);
}

#[test]
fn a_stop_in_backoff_acts_at_once() {
    let mut world = World::new(vec![service("a")]);
    world.fact("a", not_started(false));
    assert_eq!(world.state("a"), Backoff);
    let start = world.ask("a", Request::Start);
    let stop = world.ask("a", Request::Stop);
    world.ok(stop);
    world.refused(start, "service `a`: a stop came in between");
    world.pass(secs(100));
    assert_eq!(world.state("a"), Stopped);
    assert_eq!(world.news(), ["launch a"]);
}

#[test]
fn a_start_during_a_stop_comes_after_it_and_overtakes_it() {
    let mut world = World::new(vec![service("a")]);
    world.up("a");
    let stop = world.ask("a", Request::Stop);
    let start = world.ask("a", Request::Start);
    world.refused(stop, "service `a`: a start came in between");
    world.waits(start);
    world.over("a", killed(Signal::TERM));
    world.up("a");
    world.ok(start);
    assert_eq!(world.news(), ["launch a", "stop a", "launch a"]);
}

#[test]
fn a_start_while_a_run_dies_that_is_never_restarted_comes_after_it() {
    for by_hand in [true, false] {
        let mut world = World::new(vec![service("a").restart(Restart::never())]);
        world.up("a");
        world.fact("a", Fact::Unhealthy);
        let request = if by_hand {
            Request::Start
        } else {
            Request::Ready
        };
        let ticket = world.ask("a", request);
        world.over("a", killed(Signal::TERM));
        if by_hand {
            world.up("a");
            world.ok(ticket);
        } else {
            assert_eq!(world.state("a"), Failed);
            world.refused(
                ticket,
                "service `a` did not start: it ended: signal: 15 (SIGTERM)",
            );
        }
    }
}

#[test]
fn a_wait_for_readiness_of_what_is_to_be_stopped_is_refused() {
    let mut world = World::new(vec![
        service("db"),
        service("web").after("db", When::Ready).with("db"),
    ]);
    world.quiesce();
    world.ask("db", Request::Stop);
    // db waits for web to go.
    assert_eq!(world.state("db"), Running { ready: true });
    let ready = world.ask("db", Request::Ready);
    world.refused(ready, "service `db` is ready");
    world.quiesce();
    assert_eq!((world.state("db"), world.state("web")), (Stopped, Waiting));
}

#[test]
fn a_restart_is_answered_by_the_next_readiness_and_not_by_the_failure_of_the_run_that_it_ends() {
    let mut world = World::new(vec![service("a")]);
    world.up("a");
    let restart = world.ask("a", Request::Restart);
    let other = world.ask("a", Request::Restart);
    world.refused(restart, "service `a`: a restart came in between");
    world.over("a", end(1));
    world.waits(other);
    assert_eq!(world.state("a"), Starting);
    world.up("a");
    world.ok(other);
    assert_eq!(world.news(), ["launch a", "stop a", "launch a"]);
}

#[test]
fn restart_now_ends_a_backoff() {
    let mut world = World::new(vec![service("a")]);
    world.up("a");
    world.over("a", end(1));
    assert_eq!(world.state("a"), Backoff);
    let start = world.ask("a", Request::Start);
    assert_eq!(world.state("a"), Backoff, "a start waits as well");
    let now = world.ask("a", Request::RestartNow);
    assert_eq!(world.state("a"), Starting);
    world.up("a");
    world.ok(start);
    world.ok(now);
    assert_eq!(world.core.deadline(), None);
}

#[test]
fn a_start_by_hand_forgets_failures() {
    let mut world = World::new(vec![service("a")]);
    for _ in 0..5 {
        world.up("a");
        world.over("a", end(1));
        world.pass(secs(8));
    }
    world.ask("a", Request::Stop);
    world.ask("a", Request::Start);
    world.up("a");
    world.over("a", end(1));
    assert_eq!(world.core.deadline(), Some(world.now + ms(200)));
}

#[test]
fn each_of_many_waiters_of_one_start_hears_the_same() {
    let mut world = World::new(vec![on_demand("a")]);
    let starts: Vec<_> = (0..20).map(|_| world.ask("a", Request::Start)).collect();
    let leases: Vec<_> = (0..20).map(|_| world.lease("a")).collect();
    world.fact("a", not_started(false));
    let text = "service `a` did not start: its command could not be made: no port";
    for ticket in starts
        .into_iter()
        .chain(leases.iter().map(|(_, ticket)| *ticket))
    {
        world.refused(ticket, text);
    }
    assert!(
        leases
            .iter()
            .all(|(lease, _)| world.core.leased(*lease).is_none())
    );
    assert_eq!(world.state("a"), Backoff, "it was started by hand");
}

#[test]
fn what_cannot_be_killed_keeps_its_place_and_nobody_waits_for_it() {
    let mut world = World::new(vec![service("a").restart(Restart::always())]);
    world.up("a");
    let stop = world.ask("a", Request::Stop);
    world.fact("a", Fact::Unkillable);
    world.fact("a", Fact::Unkillable);
    let text = "service `a` cannot be killed";
    world.refused(stop, text);
    assert_eq!(world.news(), ["launch a", "stop a", "unkillable a"]);
    for request in [Request::Stop, Request::Restart, Request::Start] {
        let ticket = world.ask("a", request);
        world.refused(ticket, text);
    }
    assert_eq!(world.state("a"), Stopping);
    // It dies after all: what was asked for last is done.
    world.over("a", killed(Signal::KILL));
    assert_eq!(world.state("a"), Starting);
}

#[test]
fn a_service_that_others_name_is_not_removed_and_all_goes_in_the_right_order() {
    let mut world = World::new(vec![
        service("db"),
        service("web").after("db", When::Ready),
        service("log").after("web", When::Ready),
    ]);
    world.quiesce();
    let db = world.ask("db", Request::Remove);
    world.refused(db, "service `db` is needed by `web`");
    let web = world.ask("web", Request::Remove);
    world.refused(web, "service `web` is needed by `log`");
    assert_eq!(world.state("db"), Running { ready: true });
    for id in ["log", "web", "db"] {
        let ticket = world.ask(id, Request::Remove);
        world.waits(ticket);
        // It does not come back.
        let start = world.ask(id, Request::Start);
        world.refused(start, &format!("there is no service `{id}`"));
        world.quiesce();
        world.ok(ticket);
    }
    let again = world.ask("db", Request::Remove);
    world.refused(again, "there is no service `db`");
    world.assert_empty();
}

#[test]
fn companions_go_on_without_a_service_that_is_removed() {
    let mut world = World::new(vec![service("a").with("b"), service("b").with("a")]);
    world.quiesce();
    let ticket = world.ask("a", Request::Remove);
    world.quiesce();
    world.ok(ticket);
    assert_eq!(
        world.state("b"),
        Running { ready: true },
        "restarted without it"
    );
    let ticket = world.ask("b", Request::Remove);
    world.quiesce();
    world.ok(ticket);
    world.assert_empty();
}

#[test]
fn what_is_added_while_another_one_is_removed_does_not_name_it() {
    let mut world = World::new(vec![service("db")]);
    world.up("db");
    world.ask("db", Request::Remove);
    let error = world.core.check(&[service("web").after("db", When::Ready)]);
    let error = error.unwrap_err().to_string();
    assert_eq!(error, "service `web`: after: \"db\" is being removed");
    assert!(world.core.check(&[service("db")]).is_err());
    world.quiesce();
    assert!(world.core.check(&[service("db")]).is_ok());
}

#[test]
fn exited_and_failed_are_told_by_a_wait_for_readiness() {
    let mut world = World::new(vec![service("a"), service("b")]);
    world.up("a");
    world.over("a", end(0));
    assert_eq!(world.state("a"), Exited);
    let a = world.ask("a", Request::Ready);
    world.refused(a, "service `a` is exited");
    world.fact("b", not_started(true));
    let b = world.ask("b", Request::Ready);
    world.refused(
        b,
        "service `b` did not start: its command could not be made: no port",
    );
    let c = world.ask("c", Request::Ready);
    world.refused(c, "there is no service `c`");
}

#[test]
fn a_stop_of_a_launch_is_done_when_nothing_is_left_of_it() {
    for too_late in [false, true] {
        let mut world = World::new(vec![service("a")]);
        world.gives_up_slowly = true;
        let stop = world.ask("a", Request::Stop);
        assert_eq!(world.state("a"), Stopping);
        world.waits(stop);
        if too_late {
            // Its child was there already, and is killed.
            world.fact("a", Fact::Spawned { pid: 7 });
            world.waits(stop);
            world.fact("a", not_started(false));
            world.waits(stop);
            world.fact("a", Fact::Exited);
            world.fact("a", Fact::Over(killed(Signal::KILL)));
        } else {
            world.fact("a", not_started(false));
        }
        world.ok(stop);
        assert_eq!(world.state("a"), Stopped);
    }
}

#[test]
fn a_restart_of_a_launch_does_not_run_beside_it() {
    let mut world = World::new(vec![service("a")]);
    world.gives_up_slowly = true;
    world.news();
    let restart = world.ask("a", Request::Restart);
    assert_eq!(world.news(), ["abandon a"]);
    world.fact("a", not_started(false));
    assert_eq!(world.news(), ["launch a"]);
    world.up("a");
    world.ok(restart);
}
