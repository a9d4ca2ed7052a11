//! Starts: those that fail, a pool that is down, and the first success after that.

use super::super::{NoAnswer, PoolEffect, Refused, SubmitKind, WorkerAt};
use super::world::World;
use super::{expiring, ms, plain, retried, secs, terms};

/// A pool that has just gone down, by `max` 4 and its fifth start.
fn down() -> World {
    let mut world = World::new(terms(0, 4));
    world.submit(plain());
    for worker in 1..=5 {
        world.start_failed(worker);
        if worker < 5 {
            world.pass(secs(1 << (worker - 1)));
        }
    }
    world
}

#[test]
fn starts_that_fail_back_off_one_at_a_time() {
    let mut world = World::new(terms(0, 16));
    for _ in 0..4 {
        world.submit(plain());
    }
    assert_eq!(world.news().len(), 4);
    (1..=4).for_each(|worker| world.start_failed(worker));
    world.pass(ms(7_999));
    assert_eq!(world.news(), [""; 0]);
    world.pass(ms(1));
    assert_eq!(world.news(), ["start 5"]);
    world.ready(5);
    assert_eq!(
        world.news(),
        ["send 1 to 5", "start 6", "start 7", "start 8"]
    );
}

#[test]
fn a_worker_that_is_not_ready_in_time_is_stopped_and_its_start_has_failed() {
    let mut world = World::new(terms(1, 1));
    world.news();
    world.pass(ms(9_000));
    world.input(|pool| pool.worker_progress(1));
    world.pass(ms(9_999));
    assert_eq!(world.news(), [""; 0]);
    world.pass(ms(1));
    assert_eq!(world.news(), ["1 is late", "stop 1 Ladder"]);
    assert_eq!(world.pool.counts().failures, 1);
    world.ready(1);
    world.gone(1);
    assert_eq!(world.pool.counts().failures, 1);
    world.pass(secs(1));
    assert_eq!(world.news(), ["start 2"]);
}

#[test]
fn a_start_that_ends_by_itself_has_failed() {
    for how in 0..3 {
        let mut world = World::new(terms(1, 1));
        match how {
            0 => world.gone(1),
            1 => world.dying(1),
            _ => world.input(|pool| pool.broken(1)),
        }
        assert_eq!(world.pool.counts().failures, 1);
    }
}

#[test]
fn after_five_failures_in_a_row_waiting_and_new_jobs_are_told_at_once() {
    let mut world = down();
    assert_eq!(world.none(1), Some(NoAnswer::Down));
    let refused = world.try_submit(plain(), SubmitKind::Job);
    assert_eq!(refused, Err(Refused::Down));
    let log = world.news();
    assert_eq!(log[log.len() - 2..], ["WentDown", "1 Down"]);
}

#[test]
fn a_pool_that_is_down_goes_on_trying_and_the_first_success_ends_it() {
    let mut world = down();
    world.news();
    world.pass(secs(16));
    assert_eq!(world.news(), ["start 6"]);
    world.start_failed(6);
    world.pass(secs(30));
    assert_eq!(world.news(), ["start 7"]);
    world.ready(7);
    assert_eq!(world.news(), ["CameUp"]);
    world.submit(plain());
    assert_eq!(world.news(), ["send 2 to 7"]);
    assert_eq!(world.pool.counts().failures, 0);
}

#[test]
fn a_pool_that_is_down_lets_what_runs_go_on() {
    let mut world = World::new(terms(1, 2));
    world.ready(1);
    let runs = world.submit(plain());
    let waits = world.submit(plain());
    for worker in 2..=6 {
        world.start_failed(worker);
        world.pass(secs(1 << (worker - 2)));
    }
    assert_eq!(world.none(waits), Some(NoAnswer::Down));
    assert!(world.pool.is_down());
    world.answer_of(1, runs);
    // There are as many as are kept: it tries nevertheless, for else it would be down for ever.
    assert_eq!(world.pool.worker_state(7), Some(WorkerAt::Starting));
    world.ready(7);
    assert!(!world.pool.is_down());
}

#[test]
fn a_job_that_loses_its_worker_while_the_pool_is_down_does_not_wait() {
    let mut world = World::new(terms(1, 2));
    world.ready(1);
    let runs = world.submit(retried(2));
    world.submit(plain());
    for worker in 2..=6 {
        world.start_failed(worker);
        world.pass(secs(1 << (worker - 2)));
    }
    assert!(world.pool.is_down());
    world.gone(1);
    assert_eq!(world.none(runs), Some(NoAnswer::Down));
}

#[test]
fn a_success_ends_the_delay_of_a_failure_before_it() {
    let mut world = World::new(terms(0, 8));
    for _ in 0..4 {
        world.submit(plain());
    }
    assert_eq!(world.news(), ["start 1", "start 2"]);
    world.start_failed(1);
    assert_eq!(world.news(), [""; 0]);
    world.ready(2);
    assert_eq!(world.news(), ["send 1 to 2", "start 3", "start 4"]);
}

#[test]
fn a_start_has_its_time_from_its_beginning() {
    let mut world = World::new(terms(1, 1));
    world.news();
    world.pass(ms(9_999));
    assert_eq!(world.news(), [""; 0]);
    world.pass(ms(1));
    assert_eq!(world.news(), ["1 is late", "stop 1 Ladder"]);
}

#[test]
fn the_time_does_not_go_back() {
    let mut world = World::new(terms(0, 1));
    world.pool.at(secs(5), 0.5);
    world.pool.at(secs(1), 0.5);
    let taken = world.pool.submit(1, expiring(secs(3)), SubmitKind::Job);
    assert_eq!(taken, Ok(()));
    let expired = PoolEffect::NoAnswer {
        job: 1,
        why: NoAnswer::Expired,
    };
    assert_eq!(world.pool.follows(), [expired]);
}

#[test]
fn a_start_that_is_given_up_is_no_failure() {
    let mut world = World::new(terms(0, 1));
    world.submit(plain());
    world.cancel(1);
    world.drain();
    assert_eq!(world.news(), ["start 1", "1 Cancelled", "stop 1 Ladder"]);
    world.gone(1);
    assert_eq!(world.pool.counts().failures, 0);
}

#[test]
fn a_success_between_makes_it_no_row() {
    let mut world = World::new(terms(0, 1));
    for n in 0..6 {
        world.submit(plain());
        let worker = world.pool.last_worker;
        world.start_failed(worker);
        world.pass(secs(1));
        world.ready(worker + 1);
        world.gone(worker + 1);
        assert!(!world.pool.is_down(), "{n}");
    }
}
