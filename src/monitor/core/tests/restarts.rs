//! What comes after an end: a restart, sooner or later, or none.

use super::super::{Effect, Fact, Request};
use super::policies::{end, killed, not_started};
use super::world::World;
use super::{ms, secs, service};
use crate::Signal;
use crate::StoppedBy;
use crate::monitor::backoff::Backoff as Delays;
use crate::monitor::exit::ExitKind;
use crate::monitor::restart::Restart;
use crate::monitor::state::ServiceState::{Backoff, Exited, Failed, Starting, Stopped, Stopping};

fn kind(world: &World, id: &str) -> ExitKind {
    let instance = world.core.get(world.slot(id)).unwrap();
    instance.last_exit.as_ref().unwrap().kind
}

#[test]
fn each_failure_doubles_the_delay_and_thirty_seconds_of_readiness_forget_it() {
    let mut world = World::new(vec![service("a")]);
    for delay in [200, 400, 800, 1600] {
        world.up("a");
        world.over("a", end(1));
        let due = world.now + ms(delay);
        assert_eq!(world.core.deadline(), Some(due));
        world.to(due - ms(1));
        assert_eq!(world.state("a"), Backoff);
        world.to(due);
        assert_eq!(world.state("a"), Starting);
    }
    world.up("a");
    world.pass(secs(30));
    world.over("a", end(1));
    assert_eq!(world.core.deadline(), Some(world.now + ms(200)));
    assert_eq!(world.core.get(0).unwrap().restarts, 4);
}

#[test]
fn without_a_backoff_it_starts_at_once() {
    let never_waits = Restart::on_failure().backoff(Delays::none());
    let mut world = World::new(vec![service("a").restart(never_waits)]);
    for restarts in 0..100 {
        assert_eq!(world.core.get(0).unwrap().restarts, restarts);
        world.up("a");
        world.over("a", killed(Signal::KILL));
        assert_eq!(world.state("a"), Starting);
    }
}

#[test]
fn a_backoff_that_readiness_resets_grows_without_readiness() {
    let delays = Delays::new().jitter(0.0).reset_after(ms(0));
    let mut world = World::new(vec![
        service("a").restart(Restart::always().backoff(delays)),
    ]);
    for delay in [200, 400, 800] {
        world.spawned("a");
        world.over("a", end(1));
        assert_eq!(world.core.deadline(), Some(world.now + ms(delay)));
        world.pass(ms(delay));
    }
    world.up("a");
    world.over("a", end(1));
    assert_eq!(world.core.deadline(), Some(world.now + ms(200)));
}

#[test]
fn too_many_restarts_in_a_window_are_a_failure_that_says_so() {
    let restart = Restart::always().backoff(Delays::none()).limit(2, secs(60));
    let mut world = World::new(vec![service("a").restart(restart)]);
    for _ in 0..2 {
        world.up("a");
        world.over("a", end(1));
    }
    let ready = world.ask("a", Request::Ready);
    world.spawned("a");
    world.over("a", end(1));
    assert_eq!(world.state("a"), Failed);
    world.refused(
        ready,
        "service `a` did not start: more than 2 restarts in 60s; the last: it ended before it was ready: exit status: 1",
    );
    world.pass(secs(1000));
    assert_eq!(world.state("a"), Failed);
    let start = world.ask("a", Request::Start);
    world.up("a");
    world.ok(start);
}

#[test]
fn a_start_that_cannot_succeed_is_tried_once_and_others_again() {
    for (permanent, restart, state) in [
        (true, Restart::always(), Failed),
        (false, Restart::always(), Backoff),
        (false, Restart::never(), Failed),
        (true, Restart::always().retry_missing(), Backoff),
    ] {
        let mut world = World::new(vec![service("a").restart(restart)]);
        let start = world.ask("a", Request::Start);
        world.fact("a", not_started(permanent));
        assert_eq!(world.state("a"), state);
        assert!(
            world.reply(start).unwrap().is_err(),
            "the first failure is the answer"
        );
    }
}

#[test]
fn fatal_codes_are_failures_for_good() {
    let mut world = World::new(vec![service("a").restart(Restart::always().fatal([78]))]);
    world.up("a");
    world.over("a", end(78));
    assert_eq!(
        (world.state("a"), kind(&world, "a")),
        (Failed, ExitKind::Code)
    );
}

#[test]
fn success_is_an_exit_and_leaves_companions_alone() {
    let mut world = World::new(vec![service("a"), service("b").with("a")]);
    world.quiesce();
    world.news();
    world.over("a", end(0));
    world.rest();
    assert_eq!(
        (world.state("a"), kind(&world, "a")),
        (Exited, ExitKind::Ok)
    );
    assert!(world.news().is_empty());
}

#[test]
fn what_will_not_be_ready_is_stopped_and_tried_again() {
    let mut world = World::new(vec![service("a")]);
    let start = world.ask("a", Request::Start);
    world.spawned("a");
    world.pass(secs(60));
    assert_eq!(
        world.news(),
        ["launch a"],
        "its own wait counts the time from its spawn on"
    );
    let problem = "not ready in time".into();
    world.fact("a", Fact::NeverReady { problem });
    assert_eq!(world.news(), ["stop a"]);
    world.waits(start);
    world.over("a", killed(Signal::TERM));
    world.refused(
        start,
        "service `a` did not start: not ready in time: signal: 15 (SIGTERM)",
    );
    assert_eq!(
        (world.state("a"), kind(&world, "a")),
        (Backoff, ExitKind::Unready)
    );
}

#[test]
fn a_launch_that_takes_too_long_is_given_up() {
    let mut world = World::new(vec![service("a")]);
    world.pass(secs(10));
    assert_eq!(world.news(), ["launch a", "abandon a"]);
    assert_eq!(world.state("a"), Backoff);
}

#[test]
fn each_reason_of_an_end_is_told() {
    for (fact, last, expected) in [
        (Fact::Unhealthy, killed(Signal::KILL), ExitKind::Unhealthy),
        (Fact::Missed, killed(Signal::ABRT), ExitKind::Watchdog),
        (Fact::Exited, end(1), ExitKind::Code),
        (Fact::Unready, killed(Signal::HUP), ExitKind::Signal),
    ] {
        let mut world = World::new(vec![service("a")]);
        world.up("a");
        world.fact("a", fact);
        world.over("a", last);
        assert_eq!((world.state("a"), kind(&world, "a")), (Backoff, expected));
    }
    for (by, expected) in [
        (StoppedBy::Signal(Signal::TERM), ExitKind::Stopped),
        (StoppedBy::Signal(Signal::KILL), ExitKind::Escalated),
    ] {
        let mut world = World::new(vec![service("a")]);
        world.up("a");
        world.ask("a", Request::Stop);
        let mut last = end(0);
        last.by = by;
        world.over("a", last);
        assert_eq!((world.state("a"), kind(&world, "a")), (Stopped, expected));
    }
    let mut world = World::new(vec![service("a")]);
    world.up("a");
    let mut last = killed(Signal::KILL);
    last.out_of_memory = true;
    last.leftovers = 3;
    world.over("a", last);
    assert_eq!(kind(&world, "a"), ExitKind::OutOfMemory);
    assert_eq!(world.news(), ["launch a", "left 3 a"]);
}

#[test]
fn a_failed_start_does_not_tell_of_the_end_of_an_earlier_run() {
    let mut world = World::new(vec![service("a")]);
    world.up("a");
    world.over("a", end(1));
    world.pass(ms(200));
    let generation = world.core.get(0).unwrap().generation;
    world.core.fact(0, generation, not_started(false));
    let effects = world.core.effects();
    let Some(Effect::Changed {
        to: Backoff, exit, ..
    }) = effects.first()
    else {
        panic!("{effects:?}");
    };
    assert_eq!(*exit, None);
}

#[test]
fn reloading_is_no_failure_and_its_next_readiness_is_watched_already() {
    let mut world = World::new(vec![service("a")]);
    world.up("a");
    world.fact("a", Fact::Unready);
    let ready = world.ask("a", Request::Ready);
    world.pass(secs(100));
    world.waits(ready);
    world.core.fact(0, 1, Fact::Ready);
    let effects = world.core.effects();
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, Effect::Watch { .. }))
    );
}

#[test]
fn one_that_ends_with_success_has_not_run_out_of_memory() {
    for (status, expected) in [(0, ExitKind::Ok), (3, ExitKind::OutOfMemory)] {
        let mut world = World::new(vec![service("a")]);
        world.up("a");
        let mut last = end(status);
        // A member of its group was killed, earlier on.
        last.out_of_memory = true;
        world.over("a", last);
        assert_eq!(kind(&world, "a"), expected);
    }
}

#[test]
fn the_pid_of_a_child_that_was_reaped_is_told_no_more() {
    let mut world = World::new(vec![service("a")]);
    world.up("a");
    assert_eq!(world.core.get(0).unwrap().pid, Some(7));
    world.fact("a", Fact::Exited);
    assert_eq!(world.state("a"), Stopping);
    let instance = world.core.get(0).unwrap();
    assert_eq!((instance.pid, instance.group), (None, Some(7)));
    world.over("a", end(0));
    assert_eq!(world.core.get(0).unwrap().group, None);
}
