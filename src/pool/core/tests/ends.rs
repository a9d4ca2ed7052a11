//! The end of a pool.

use super::super::{NoAnswer, PoolTerms, WorkerAt};
use super::world::World;
use super::{keyed, plain, secs, terms};

#[test]
fn a_drain_does_what_waits_and_runs_and_then_lets_the_workers_go() {
    let mut world = World::new(terms(1, 1));
    world.ready(1);
    for _ in 0..3 {
        world.submit(plain());
    }
    world.drain();
    world.news();
    world.quiesce();
    let log = ["send 2 to 1", "send 3 to 1", "stop 1 Retire", "Drained"];
    assert_eq!(world.news(), log);
    world.drain();
    assert_eq!(world.news(), [""; 0]);
}

#[test]
fn a_drain_starts_workers_for_what_waits_and_no_others() {
    let mut world = World::new(terms(2, 8));
    world.quiesce_starts();
    world.submit(plain());
    world.submit(plain());
    world.submit(plain());
    world.drain();
    world.news();
    world.ready(3);
    world.gone(3);
    world.gone(2);
    world.gone(1);
    world.quiesce();
    assert_eq!(world.pool.last_worker, 3);
    assert!(world.drained);
}

#[test]
fn a_drain_of_a_pool_without_workers_is_over_at_once() {
    let mut world = World::new(terms(0, 1));
    world.drain();
    assert_eq!(world.news(), ["Drained"]);
}

#[test]
fn a_drain_waits_for_a_worker_to_hear_of_a_cancel() {
    let mut world = World::new(terms(0, 1));
    world.submit(plain());
    world.ready(1);
    world.cancel(1);
    world.drain();
    world.news();
    world.pass(secs(1));
    assert_eq!(world.news(), ["stop 1 Ladder"]);
    world.gone(1);
    assert!(world.drained);
}

#[test]
fn a_drain_of_a_pool_that_goes_down_ends() {
    let mut world = World::new(PoolTerms {
        down_after: 2,
        ..terms(0, 1)
    });
    world.submit(plain());
    world.drain();
    world.start_failed(1);
    world.pass(secs(1));
    world.start_failed(2);
    assert_eq!(world.none(1), Some(NoAnswer::Down));
    assert!(world.drained);
    assert_eq!(world.pool.deadline(), None);
}

#[test]
fn a_shutdown_ends_all_jobs_in_order_and_stops_all_workers_by_the_ladder() {
    let mut world = World::new(terms(3, 4));
    world.ready(1);
    for key in ["a", "a", "b"] {
        world.submit(keyed(key));
    }
    world.checkout(plain());
    world.news();
    world.shut_down();
    let log = world.news();
    let jobs = [1, 2, 3, 4].map(|job| format!("{job} ShuttingDown"));
    assert_eq!(log[..4], jobs);
    assert!(
        log[4..].iter().all(|stop| stop.ends_with("Ladder")),
        "{log:#?}"
    );
    assert_eq!(log.len(), 4 + world.workers.len());
    assert_eq!(world.pool.deadline(), None);
    world.quiesce();
    assert!(world.drained);
}

#[test]
fn a_second_shutdown_kills() {
    let mut world = World::new(terms(1, 1));
    world.ready(1);
    world.shut_down();
    world.news();
    world.shut_down();
    assert_eq!(world.news(), ["stop 1 Kill"]);
    world.shut_down();
    assert_eq!(world.news(), [""; 0]);
}

#[test]
fn a_shutdown_is_harder_than_a_retirement() {
    let mut world = World::new(terms(1, 1));
    world.ready(1);
    world.drain();
    world.news();
    world.shut_down();
    assert_eq!(world.news(), ["stop 1 Ladder"]);
}

#[test]
fn what_is_told_after_the_end_is_no_matter() {
    let mut world = World::new(terms(1, 1));
    world.ready(1);
    world.shut_down();
    world.gone(1);
    world.news();
    for worker in 0..3 {
        world.input(|pool| pool.worker_ready(worker, false));
        world.input(|pool| pool.worker_gone(worker));
        world.input(|pool| pool.worker_dying(worker));
        world.input(|pool| pool.broken(worker));
        world.input(|pool| pool.too_large(worker, true));
        world.input(|pool| pool.checked_in(worker, true));
        world.cancel(worker);
        assert_eq!(world.pool.worker_state(worker), None::<WorkerAt>);
    }
    world.pass(secs(1_000));
    assert_eq!(world.news(), [""; 0]);
}
