//! Pools whose workers take one job each.

use super::super::{Answered, JobTerms, NoAnswer, Refused, StopWorker, SubmitKind, WorkerAt};
use super::world::{Outcome, World};
use super::{expiring, ms, one_shot, own_args, plain, retried, secs, timed, urgent};

#[test]
fn a_process_is_started_for_each_job_whenever_there_is_a_place() {
    let mut world = World::new(one_shot(0, 8));
    for _ in 0..8 {
        world.submit(plain());
    }
    // Not a quarter at once: they do not load.
    assert_eq!(world.news().len(), 8);
    world.submit(plain());
    world.submit(urgent());
    assert_eq!(world.news(), [""; 0]);
    world.ready(3);
    assert_eq!(world.answer(3), Answered::Outcome);
    // It ends by itself, and has its place until then.
    assert_eq!(world.news(), [""; 0]);
    world.gone(3);
    assert_eq!(world.news(), ["start 9 for 10"]);
    world.quiesce();
    assert_eq!(world.outcomes.len(), 10);
    assert_eq!(world.pool.counts().failures, 0);
}

#[test]
fn spares_take_jobs_without_arguments_and_are_replaced() {
    let mut world = World::new(one_shot(2, 4));
    world.quiesce_starts();
    assert_eq!(world.news(), ["start 1", "start 2"]);
    world.submit(plain());
    assert_eq!(world.news(), ["send 1 to 2", "start 3"]);
    world.submit(own_args());
    assert_eq!(world.news(), ["start 4 for 2"]);
    assert_eq!(world.pool.counts().workers.starting_for, 1);
}

#[test]
fn a_job_does_not_wait_for_a_spare_that_starts_if_there_is_a_place() {
    let mut world = World::new(one_shot(1, 2));
    world.news();
    world.submit(plain());
    assert_eq!(world.news(), ["start 2 for 1"]);
    world.submit(plain());
    assert_eq!(world.news(), [""; 0]);
    world.ready(1);
    assert_eq!(world.news(), ["send 2 to 1"]);
}

#[test]
fn a_spare_is_stopped_where_all_places_are_taken_by_spares() {
    let mut world = World::new(one_shot(2, 2));
    world.quiesce_starts();
    world.news();
    world.submit(own_args());
    assert_eq!(world.news(), ["recycled 1 Idle", "stop 1 Retire"]);
    world.submit(plain());
    assert_eq!(world.news(), ["send 2 to 2"]);
    world.gone(1);
    assert_eq!(world.news(), ["start 3 for 1"]);
}

#[test]
fn a_spare_that_starts_makes_room_when_it_is_ready() {
    let mut world = World::new(one_shot(1, 1));
    world.submit(own_args());
    world.news();
    world.ready(1);
    assert_eq!(world.news(), ["recycled 1 Idle", "stop 1 Retire"]);
    world.gone(1);
    assert_eq!(world.news(), ["start 2 for 1"]);
}

#[test]
fn the_clock_of_a_job_runs_from_the_start_of_its_process() {
    let mut world = World::new(one_shot(0, 1));
    world.submit(timed(secs(5)));
    world.to(secs(3));
    world.ready(1);
    world.news();
    world.pass(secs(2));
    assert_eq!(world.news(), ["1 Timeout { ran: 5s }", "stop 1 Ladder"]);
    // Also if it has not come by then.
    let mut world = World::new(one_shot(0, 1));
    world.submit(timed(secs(5)));
    world.news();
    world.pass(secs(5));
    assert_eq!(world.news(), ["1 Timeout { ran: 5s }", "stop 1 Ladder"]);
    assert_eq!(world.pool.counts().failures, 0);
}

#[test]
fn a_start_that_fails_puts_its_job_back_at_its_turn_and_counts() {
    let mut world = World::new(one_shot(0, 1));
    world.submit(plain());
    world.submit(plain());
    world.news();
    world.start_failed(1);
    assert_eq!(world.pool.counts().failures, 1);
    world.pass(ms(999));
    assert_eq!(world.news(), [""; 0]);
    world.pass(ms(1));
    assert_eq!(world.news(), ["start 2 for 1"]);
    world.ready(2);
    assert_eq!(world.pool.counts().failures, 0);
    world.quiesce();
    assert_eq!(world.outcomes.len(), 2);
}

#[test]
fn after_a_failure_one_process_is_started_at_a_time() {
    let mut world = World::new(one_shot(0, 4));
    for _ in 0..4 {
        world.submit(plain());
    }
    (1..=4).for_each(|worker| world.start_failed(worker));
    world.news();
    world.pass(secs(8));
    assert_eq!(world.news(), ["start 5 for 1"]);
    world.ready(5);
    assert_eq!(
        world.news(),
        ["start 6 for 2", "start 7 for 3", "start 8 for 4"]
    );
}

#[test]
fn a_start_that_hangs_has_failed_and_its_job_waits_again() {
    let mut world = World::new(one_shot(0, 1));
    world.submit(plain());
    world.news();
    world.pass(secs(10));
    assert_eq!(world.news(), ["1 is late", "stop 1 Ladder"]);
    world.gone(1);
    world.pass(secs(1));
    assert_eq!(world.news(), ["start 2 for 1"]);
}

#[test]
fn a_job_whose_start_failed_may_expire_then() {
    let mut world = World::new(one_shot(0, 1));
    let job = world.submit(expiring(secs(2)));
    world.to(secs(3));
    world.start_failed(1);
    assert_eq!(world.none(job), Some(NoAnswer::Expired));
}

#[test]
fn a_job_that_is_cancelled_while_its_process_starts_is_no_failure() {
    let mut world = World::new(one_shot(0, 1));
    world.submit(plain());
    world.news();
    world.cancel(1);
    assert_eq!(world.news(), ["1 Cancelled", "stop 1 Ladder"]);
    world.start_failed(1);
    assert_eq!(world.pool.counts().failures, 0);
}

#[test]
fn a_process_that_dies_with_its_job_is_a_loss_and_the_job_may_be_tried_again() {
    let mut world = World::new(one_shot(0, 1));
    world.submit(retried(1));
    world.ready(1);
    world.dying(1);
    world.gone(1);
    world.ready(2);
    assert_eq!(world.answer(2), Answered::Outcome);
    assert_eq!(world.outcomes[&1], Outcome::Answer(2));
}

#[test]
fn a_process_that_has_answered_is_stopped_hard_by_a_shutdown() {
    let mut world = World::new(one_shot(0, 1));
    world.submit(plain());
    world.ready(1);
    world.answer(1);
    world.news();
    let stopping = WorkerAt::Stopping(StopWorker::Retire);
    assert_eq!(world.pool.worker_state(1), Some(stopping));
    world.shut_down();
    assert_eq!(world.news(), ["stop 1 Ladder"]);
}

#[test]
fn jobs_of_a_key_run_one_at_a_time() {
    let mut world = World::new(one_shot(0, 4));
    let keyed = || JobTerms {
        own_args: true,
        ..super::keyed("a")
    };
    world.submit(keyed());
    world.submit(keyed());
    assert_eq!(world.news(), ["start 1 for 1"]);
    world.quiesce();
    assert_eq!(world.key_order["a"], [1, 2]);
    assert!(world.pool.keys.is_empty());
}

#[test]
fn a_pool_without_spares_that_is_down_tries_with_the_next_job_when_its_time_has_come() {
    let mut world = World::new(one_shot(0, 4));
    world.submit(plain());
    for worker in 1..=5 {
        world.start_failed(worker);
        if worker < 5 {
            world.pass(secs(1 << (worker - 1)));
        }
    }
    assert_eq!(world.none(1), Some(NoAnswer::Down));
    let refused = world.try_submit(plain(), SubmitKind::Job);
    assert_eq!(refused, Err(Refused::Down));
    world.pass(secs(16));
    let job = world.submit(plain());
    let refused = world.try_submit(plain(), SubmitKind::Job);
    assert_eq!(refused, Err(Refused::Down));
    world.start_failed(6);
    assert_eq!(world.none(job), Some(NoAnswer::Down));
    world.pass(secs(30));
    world.submit(plain());
    world.news();
    world.ready(7);
    assert_eq!(world.news(), ["CameUp"]);
}

#[test]
fn a_pool_with_spares_that_is_down_tries_with_a_spare() {
    let mut world = World::new(one_shot(1, 4));
    for worker in 1..=5 {
        world.start_failed(worker);
        world.pass(secs(1 << (worker - 1)));
    }
    assert!(world.pool.is_down());
    assert_eq!(world.pool.worker_state(6), Some(WorkerAt::Starting));
    world.ready(6);
    assert!(!world.pool.is_down());
}
