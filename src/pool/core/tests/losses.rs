//! Workers that are lost, and jobs that are given up.

use super::super::{Answered, JobTerms, NoAnswer, StopWorker, WorkerAt};
use super::world::{Outcome, World};
use super::{expiring, ms, plain, retried, secs, terms, timed};

/// One worker, with this job.
fn with(job: JobTerms) -> World {
    let mut world = World::new(terms(1, 1));
    world.ready(1);
    world.submit(job);
    world.news();
    world
}

#[test]
fn a_worker_that_is_lost_costs_its_own_job_alone() {
    for how in 0..3 {
        let mut world = World::new(terms(2, 8));
        world.ready(1);
        world.ready(2);
        for _ in 0..3 {
            world.submit(plain());
        }
        match how {
            0 => world.gone(2),
            1 => world.dying(2),
            _ => world.input(|pool| pool.broken(2)),
        }
        let worker = 2;
        let attempts = 1;
        assert_eq!(world.none(1), Some(NoAnswer::Lost { worker, attempts }));
        world.quiesce();
        assert_eq!(world.outcomes[&2], Outcome::Answer(1));
        assert!(matches!(world.outcomes[&3], Outcome::Answer(_)));
    }
}

#[test]
fn one_that_closes_its_channel_is_stopped_and_counts_until_it_is_gone() {
    let mut world = with(plain());
    world.dying(1);
    assert_eq!(
        world.news(),
        ["1 Lost { worker: 1, attempts: 1 }", "stop 1 Ladder"]
    );
    world.submit(plain());
    assert_eq!(world.news(), [""; 0]);
    assert_eq!(world.answer_of(1, 1), Answered::Stale);
    world.gone(1);
    assert_eq!(world.news(), ["start 2"]);
}

#[test]
fn a_job_that_was_on_its_way_to_a_worker_that_comes_to_nothing_is_not_lost_with_it() {
    for has in [None, Some(7)] {
        let mut world = World::new(terms(1, 2));
        world.ready(1);
        let first = world.submit(plain());
        let second = world.submit(plain());
        world.news();
        world.input(|pool| {
            pool.never_got(1, has);
            pool.broken(1);
        });
        assert_eq!(world.none(first), None);
        world.quiesce();
        // At its turn, by the other worker.
        assert_eq!(world.outcomes[&first], Outcome::Answer(2));
        assert_eq!(world.outcomes[&second], Outcome::Answer(2));
    }
    let mut world = with(plain());
    world.input(|pool| {
        pool.never_got(1, Some(1));
        pool.broken(1);
    });
    let (worker, attempts) = (1, 1);
    assert_eq!(world.none(1), Some(NoAnswer::Lost { worker, attempts }));
}

#[test]
fn a_checkout_that_was_on_its_way_to_a_worker_that_comes_to_nothing_waits_for_the_next_one() {
    let mut world = World::new(terms(1, 2));
    world.ready(1);
    let out = world.checkout(plain());
    world.news();
    world.input(|pool| {
        assert_eq!(pool.never_got(1, None), Some(out));
        pool.worker_dying(1);
    });
    assert_eq!(world.none(out), None);
    world.ready(2);
    assert!(world.news().contains(&format!("{out} has 2")));
    // It has this one.
    world.input(|pool| {
        assert_eq!(pool.never_got(2, Some(out)), None);
        pool.worker_dying(2);
    });
    let (worker, attempts) = (2, 1);
    assert_eq!(world.none(out), Some(NoAnswer::Lost { worker, attempts }));
}

#[test]
fn a_cancelled_worker_is_used_again_only_if_it_answers() {
    let mut world = with(plain());
    world.cancel(1);
    assert_eq!(world.news(), ["1 Cancelled", "tell 1 cancel 1"]);
    world.submit(plain());
    world.to(ms(999));
    assert_eq!(world.answer(1), Answered::Stale);
    assert_eq!(world.news(), ["send 2 to 1"]);
    world.cancel(2);
    world.news();
    world.pass(secs(1));
    assert_eq!(world.news(), ["stop 1 Ladder"]);
    assert_eq!(world.answer(1), Answered::Stale);
    assert_eq!(world.answer_of(1, 1), Answered::Stale);
}

#[test]
fn a_worker_that_cannot_be_told_is_stopped_at_once() {
    let mut terms = terms(1, 1);
    terms.soft = None;
    let mut world = World::new(terms);
    world.ready(1);
    world.submit(timed(secs(2)));
    world.news();
    world.pass(secs(2));
    assert_eq!(world.news(), ["1 Timeout { ran: 2s }", "stop 1 Ladder"]);
}

#[test]
fn at_its_timeout_the_caller_hears_at_once_and_the_worker_is_told() {
    let mut world = with(timed(secs(2)));
    world.pass(secs(2));
    assert_eq!(world.news(), ["1 Timeout { ran: 2s }", "tell 1 cancel 1"]);
    world.pass(secs(1));
    assert_eq!(world.news(), ["stop 1 Ladder"]);
}

#[test]
fn an_answer_out_of_turn_is_told_as_such() {
    let mut world = with(plain());
    assert_eq!(world.answer_of(1, 7), Answered::OutOfTurn);
    assert_eq!(world.answer_of(1, 1), Answered::Outcome);
    assert_eq!(world.answer_of(1, 1), Answered::OutOfTurn);
    assert_eq!(world.answer_of(9, 1), Answered::Stale);
}

#[test]
fn a_cancelled_worker_that_answers_another_job_is_out_of_turn() {
    let mut world = with(plain());
    world.cancel(1);
    assert_eq!(world.answer_of(1, 2), Answered::OutOfTurn);
}

#[test]
fn an_answer_over_the_limit_ends_its_job_and_the_worker_is_told() {
    let mut world = with(plain());
    assert_eq!(world.over_limit(1), Answered::Outcome);
    assert_eq!(world.news(), ["tell 1 cancel 1"]);
    assert_eq!(world.over_limit(1), Answered::Stale);
    assert_eq!(world.answer(1), Answered::Stale);
    assert_eq!(world.pool.worker_state(1), Some(WorkerAt::Idle));
    assert_eq!(world.outcomes[&1], Outcome::TooLarge);
}

#[test]
fn a_retried_job_keeps_its_turn_and_goes_to_another_worker() {
    let mut world = with(retried(1));
    world.submit(plain());
    world.gone(1);
    world.ready(2);
    assert_eq!(world.workers[&2].job, Some(1));
    world.gone(2);
    let (worker, attempts) = (2, 2);
    assert_eq!(world.none(1), Some(NoAnswer::Lost { worker, attempts }));
}

#[test]
fn a_job_that_has_lost_three_workers_is_poisoned() {
    let mut world = with(retried(9));
    for worker in 1..=3 {
        assert_eq!(world.none(1), None);
        world.gone(worker);
        world.quiesce_starts();
    }
    assert_eq!(world.none(1), Some(NoAnswer::Poisoned { attempts: 3 }));
}

#[test]
fn a_retried_job_may_expire_while_it_waits_again() {
    let mut job = expiring(secs(5));
    job.retries = 2;
    let mut world = with(job.clone());
    world.to(secs(1));
    world.gone(1);
    world.pass(secs(4));
    assert_eq!(world.none(1), Some(NoAnswer::Expired));
    // Where its time was over before, it is lost: that is what became of it.
    let mut world = with(job);
    world.to(secs(6));
    world.gone(1);
    let (worker, attempts) = (1, 1);
    assert_eq!(world.none(1), Some(NoAnswer::Lost { worker, attempts }));
}

#[test]
fn a_lost_session_is_not_tried_again() {
    let mut world = World::new(terms(1, 1));
    world.ready(1);
    let job = world.checkout(retried(2));
    world.gone(1);
    let (worker, attempts) = (1, 1);
    assert_eq!(world.none(job), Some(NoAnswer::Lost { worker, attempts }));
    world.check_in(1, true);
}

#[test]
fn a_cancelled_session_is_stopped() {
    let mut world = World::new(terms(1, 1));
    world.ready(1);
    let job = world.checkout(plain());
    world.news();
    world.cancel(job);
    assert_eq!(world.news(), ["1 Cancelled", "stop 1 Ladder"]);
    world.check_in(1, true);
    let stopping = WorkerAt::Stopping(StopWorker::Ladder);
    assert_eq!(world.pool.worker_state(1), Some(stopping));
}

#[test]
fn a_worker_that_dies_idle_again_and_again_is_replaced_ever_more_slowly() {
    let mut world = World::new(terms(1, 1));
    world.ready(1);
    world.news();
    for (n, delay) in [(1, 1), (2, 2), (3, 4)] {
        world.gone(n);
        world.pass(secs(delay) - ms(1));
        assert_eq!(world.news(), [""; 0]);
        world.pass(ms(1));
        assert_eq!(world.news(), [format!("start {}", n + 1)]);
        world.ready(n + 1);
    }
    // Not when a job waits, nor when it has worked.
    world.gone(4);
    world.submit(plain());
    assert_eq!(world.news(), ["start 5"]);
    world.ready(5);
    world.answer(5);
    world.gone(5);
    world.news();
    world.pass(secs(1));
    assert_eq!(world.news(), ["start 6"]);
}

#[test]
fn those_that_die_together_count_once() {
    let mut world = World::new(terms(4, 16));
    (1..=4).for_each(|worker| world.ready(worker));
    (1..=4).for_each(|worker| world.gone(worker));
    world.news();
    world.pass(secs(1));
    assert_eq!(world.news().len(), 4);
}
