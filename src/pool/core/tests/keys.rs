//! Jobs of one key: in order, one at a time, to the same worker while it lives.

use super::super::keys::KEYS_PER_WORKER;
use super::super::{JobTerms, NoAnswer, PoolTerms, WorkerAt};
use super::world::World;
use super::{keyed, plain, retried, secs, terms, urgent};

#[test]
fn jobs_of_a_key_run_one_at_a_time_in_order_on_one_worker() {
    let mut world = World::new(terms(3, 12));
    (1..=3).for_each(|worker| world.ready(worker));
    for _ in 0..3 {
        world.submit(keyed("a"));
    }
    world.submit(keyed("b"));
    world.submit(plain());
    world.news();
    assert_eq!(world.pool.counts().running, 3);
    world.answer(3);
    assert_eq!(world.news(), ["send 2 to 3"]);
    // Others are idle, but not the one of the key.
    world.answer(2);
    world.answer(1);
    world.answer(3);
    assert_eq!(world.news(), ["send 3 to 3"]);
    world.answer(3);
    world.submit(keyed("b"));
    assert_eq!(world.news(), ["send 6 to 2"]);
}

#[test]
fn a_keyed_job_waits_for_its_worker_while_others_are_idle() {
    let mut world = World::new(terms(2, 8));
    world.ready(1);
    world.ready(2);
    world.submit(keyed("a"));
    world.answer(2);
    let other = world.submit(plain());
    assert!(world.workers[&2].job == Some(other));
    world.submit(keyed("a"));
    assert_eq!(world.pool.counts().waiting, 1);
    // No further worker is started for it.
    assert_eq!(world.pool.size(), 2);
    world.news();
    world.answer(2);
    assert_eq!(world.news(), ["send 3 to 2"]);
}

#[test]
fn a_job_that_waits_for_a_worker_has_its_turn_among_the_others() {
    let mut world = World::new(terms(1, 1));
    world.ready(1);
    world.submit(keyed("a"));
    world.submit(plain());
    world.submit(keyed("a"));
    world.submit(plain());
    world.news();
    for _ in 0..3 {
        world.answer(1);
    }
    assert_eq!(world.news(), ["send 2 to 1", "send 3 to 1", "send 4 to 1"]);
}

#[test]
fn a_job_for_any_is_not_given_to_the_worker_that_a_later_one_waits_for() {
    let mut world = World::new(terms(0, 2));
    world.submit(keyed("a"));
    world.ready(1);
    world.submit(plain());
    world.ready(2);
    // Bound to 1, which is busy; then an earlier turn becomes free.
    world.submit(keyed("a"));
    world.answer(2);
    let job = world.submit(urgent());
    assert_eq!(world.workers[&2].job, Some(job));
    world.news();
    world.answer(1);
    assert_eq!(world.news(), ["send 3 to 1"]);
}

#[test]
fn a_key_goes_to_any_worker_once_its_own_stops_or_is_gone() {
    let mut world = World::new(terms(2, 8));
    world.ready(1);
    world.ready(2);
    world.submit(keyed("a"));
    world.submit(keyed("a"));
    world.news();
    let lost = world.workers[&2].job.unwrap();
    world.dying(2);
    let attempts = 1;
    let worker = 2;
    assert_eq!(world.none(lost), Some(NoAnswer::Lost { worker, attempts }));
    assert!(world.news().contains(&"send 2 to 1".to_owned()));
    world.answer(1);
    world.gone(1);
    world.submit(keyed("a"));
    world.quiesce();
    assert_eq!(world.outcomes.len(), 3);
}

#[test]
fn a_key_does_not_wait_for_a_worker_that_has_done_its_jobs_and_waits_to_be_replaced() {
    let mut world = World::new(PoolTerms {
        max_jobs: Some(1),
        ..terms(0, 3)
    });
    world.submit(keyed("a"));
    world.ready(1);
    world.submit(keyed("b"));
    world.ready(2);
    world.answer(1);
    // A quarter at a time: the second one is not stopped yet.
    world.news();
    world.submit(keyed("b"));
    assert_eq!(world.news(), [""; 0]);
    world.answer(2);
    assert_eq!(world.pool.worker_state(2), Some(WorkerAt::Spent));
    assert_eq!(world.news(), ["start 3"]);
}

#[test]
fn a_worker_that_is_checked_out_is_waited_for_by_no_key() {
    let mut world = World::new(terms(1, 2));
    world.ready(1);
    world.submit(keyed("a"));
    world.answer(1);
    world.checkout(plain());
    let job = world.submit(keyed("a"));
    world.ready(2);
    assert_eq!(world.workers[&2].job, Some(job));
}

#[test]
fn a_checkout_of_a_key_keeps_its_jobs_waiting_and_then_its_worker() {
    let mut world = World::new(terms(2, 2));
    world.ready(1);
    world.ready(2);
    world.checkout(keyed("a"));
    let job = world.submit(keyed("a"));
    assert_eq!(world.pool.counts().waiting, 1);
    let (worker, _) = world
        .workers
        .iter()
        .find(|(_, made)| made.checked_out)
        .unwrap();
    let worker = *worker;
    world.check_in(worker, true);
    assert_eq!(world.workers[&worker].job, Some(job));
}

#[test]
fn urgency_does_not_change_the_order_of_a_key() {
    let mut world = World::new(terms(1, 1));
    for _ in 0..2 {
        world.submit(keyed("a"));
    }
    let hurry = JobTerms {
        urgent: true,
        ..keyed("a")
    };
    world.submit(hurry);
    world.ready(1);
    world.quiesce();
    assert_eq!(world.key_order["a"], [1, 2, 3]);
}

#[test]
fn a_retried_job_is_still_the_first_of_its_key() {
    let mut world = World::new(terms(2, 8));
    world.ready(1);
    world.ready(2);
    let job = JobTerms {
        retries: 1,
        ..keyed("a")
    };
    world.submit(job);
    world.submit(keyed("a"));
    world.gone(2);
    world.quiesce();
    assert_eq!(world.key_order["a"], [1, 1, 2]);
    assert_eq!(retried(1).retries, 1);
}

#[test]
fn keys_are_forgotten_with_their_worker_and_beyond_the_latest_1024() {
    let mut world = World::new(terms(2, 8));
    world.ready(1);
    world.ready(2);
    let count = KEYS_PER_WORKER as u64 + 10;
    for n in 0..count {
        world.submit(keyed(&n.to_string()));
        world.answer(2);
    }
    assert_eq!(world.pool.keys.len(), KEYS_PER_WORKER);
    // One that is used again is one of the latest.
    world.submit(keyed("10"));
    world.answer(2);
    world.submit(keyed("new"));
    world.answer(2);
    assert!(world.pool.keys.contains_key("10"));
    assert!(!world.pool.keys.contains_key("11"));
    world.pass(secs(1));
    world.gone(2);
    assert_eq!(world.pool.keys.len(), 0);
}
