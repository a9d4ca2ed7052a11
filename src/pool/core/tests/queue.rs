//! The order of jobs, the workers that they go to, and how many workers there are for them.

use super::super::{Answered, NoAnswer, PoolEffect, Refused, Scheduler, SubmitKind};
use super::world::{Outcome, World};
use super::{expiring, ms, plain, secs, terms, timed, urgent};

#[test]
fn min_are_started_and_kept() {
    let mut world = World::new(terms(2, 8));
    assert_eq!(world.news(), ["start 1", "start 2"]);
    world.ready(1);
    world.gone(2);
    // A start that fails backs off.
    assert_eq!(world.news(), [""; 0]);
    world.pass(secs(1));
    assert_eq!(world.news(), ["start 3"]);
}

#[test]
fn jobs_go_in_order_the_urgent_ones_first() {
    let mut world = World::new(terms(0, 1));
    for job in [plain(), plain(), urgent(), plain(), urgent()] {
        world.submit(job);
    }
    assert_eq!(world.news(), ["start 1"]);
    world.ready(1);
    for _ in 0..5 {
        world.answer(1);
    }
    let order = [3, 5, 1, 2, 4].map(|job| format!("send {job} to 1"));
    assert_eq!(world.news(), order);
    assert_eq!(world.outcomes.len(), 5);
}

#[test]
fn a_job_goes_to_the_most_recently_idle_worker() {
    let mut world = World::new(terms(3, 12));
    for worker in [2, 1, 3] {
        world.ready(worker);
    }
    world.submit(plain());
    world.submit(plain());
    world.answer(1);
    world.news();
    world.submit(plain());
    assert_eq!(world.news(), ["send 3 to 1"]);
}

#[test]
fn a_quarter_of_max_starts_at_once() {
    let mut world = World::new(terms(0, 8));
    for _ in 0..20 {
        world.submit(plain());
    }
    assert_eq!(world.news(), ["start 1", "start 2"]);
    world.ready(1);
    assert_eq!(world.news(), ["send 1 to 1", "start 3"]);
    world.quiesce_starts();
    assert_eq!(world.pool.size(), 8);
    world.quiesce();
    assert_eq!(world.outcomes.len(), 20);
}

#[test]
fn no_more_are_started_than_jobs_wait() {
    let mut world = World::new(terms(0, 16));
    world.submit(plain());
    world.submit(plain());
    assert_eq!(world.news(), ["start 1", "start 2"]);
    world.submit(plain());
    world.cancel(3);
    world.ready(1);
    world.ready(2);
    world.ready(3);
    assert_eq!(world.pool.size(), 3);
    world.answer(1);
    world.submit(plain());
    assert_eq!(world.pool.size(), 3);
}

#[test]
fn idle_ones_above_min_stop_the_least_recently_used_first() {
    let mut world = World::new(terms(1, 12));
    world.ready(1);
    for _ in 0..3 {
        world.submit(plain());
    }
    world.ready(2);
    world.ready(3);
    world.answer(2);
    world.to(secs(10));
    world.answer(1);
    world.to(secs(20));
    world.answer(3);
    world.news();
    world.to(ms(59_999));
    assert_eq!(world.news(), [""; 0]);
    world.to(secs(60));
    assert_eq!(world.news(), ["recycled 2 Idle", "stop 2 Retire"]);
    world.pass(secs(10));
    assert_eq!(world.news(), ["recycled 1 Idle", "stop 1 Retire"]);
    world.pass(secs(1000));
    assert_eq!(world.news(), [""; 0]);
    world.gone(1);
    world.gone(2);
    assert_eq!(world.pool.size(), 1);
}

#[test]
fn those_that_are_idle_for_long_together_stop_together() {
    let mut world = World::new(terms(0, 12));
    world.submit(plain());
    world.submit(plain());
    world.ready(1);
    world.ready(2);
    world.answer(2);
    world.answer(1);
    world.pass(secs(60));
    assert_eq!(world.pool.counts().workers.stopping, 2);
}

#[test]
fn a_job_expires_in_the_queue_only() {
    let mut world = World::new(terms(0, 1));
    let first = world.submit(expiring(secs(5)));
    let second = world.submit(expiring(secs(5)));
    world.ready(1);
    world.pass(secs(6));
    assert_eq!(world.none(second), Some(NoAnswer::Expired));
    assert_eq!(world.answer_of(1, first), Answered::Outcome);
}

#[test]
fn what_is_withdrawn_is_gone_if_it_waits_and_goes_on_if_it_runs() {
    let mut world = World::new(terms(1, 1));
    world.ready(1);
    world.submit(plain());
    world.submit(plain());
    world.news();
    world.withdraw(1);
    world.withdraw(2);
    assert_eq!(world.news(), ["2 Cancelled"]);
    world.answer(1);
    assert_eq!(world.outcomes.len(), 2);
    // It has its outcome.
    world.withdraw(1);
    assert_eq!(world.news(), [""; 0]);
}

#[test]
fn what_is_cancelled_while_it_waits_is_gone_at_once() {
    let mut world = World::new(terms(0, 1));
    let job = world.submit(plain());
    world.cancel(job);
    world.cancel(job);
    assert_eq!(world.none(job), Some(NoAnswer::Cancelled));
    world.ready(1);
    assert_eq!(world.pool.counts().workers.idle, 1);
}

#[test]
fn the_time_of_a_job_runs_from_its_dispatch() {
    let mut world = World::new(terms(0, 1));
    world.terms.job_timeout = Some(secs(3));
    let own = world.submit(timed(secs(5)));
    world.to(secs(4));
    world.ready(1);
    world.pass(ms(4_999));
    assert_eq!(world.none(own), None);
    world.pass(ms(1));
    let ran = secs(5);
    assert_eq!(world.none(own), Some(NoAnswer::Timeout { ran }));
}

#[test]
fn the_time_of_a_job_is_the_pools_if_it_has_none() {
    let mut terms = terms(0, 1);
    terms.job_timeout = Some(secs(3));
    let mut world = World::new(terms);
    let job = world.submit(plain());
    world.ready(1);
    world.pass(secs(3));
    let ran = secs(3);
    assert_eq!(world.none(job), Some(NoAnswer::Timeout { ran }));
}

#[test]
fn a_worker_that_is_checked_out_is_for_one_until_it_is_checked_in() {
    let mut terms = terms(0, 1);
    terms.job_timeout = Some(secs(3));
    let mut world = World::new(terms);
    let session = world.checkout(plain());
    let job = world.submit(plain());
    world.ready(1);
    // The pool's time is for jobs.
    world.pass(secs(100));
    assert_eq!(world.outcomes.len(), 0);
    assert_eq!(world.answer_of(1, session), Answered::OutOfTurn);
    world.check_in(1, true);
    assert_eq!(world.answer(1), Answered::Outcome);
    assert_eq!(world.outcomes[&job], Outcome::Answer(1));
    world.checkout(plain());
    world.news();
    world.check_in(1, false);
    assert_eq!(world.news(), ["stop 1 Ladder"]);
}

#[test]
fn a_machine_that_ends_takes_no_jobs() {
    let mut world = World::new(terms(0, 1));
    world.drain();
    let refused = world.try_submit(plain(), SubmitKind::Job);
    assert_eq!(refused, Err(Refused::ShuttingDown));
}

/// In this machine alone, a debug build included: the bench of the whole pool measures the rest.
#[test]
fn a_hundred_thousand_jobs_wait_in_few_bytes_each() {
    // Of a hash map of 2^17 places and a control byte each, and a B-tree whose leaves are half full, as they are after inserts in order.
    let job = size_of::<(u64, super::super::job::QueuedJob)>() + 1;
    let turn = size_of::<(u64, u64)>() * 2 + 8;
    assert!(job * 131_072 / 100_000 + turn < 150, "{job} + {turn}");
    let mut pool = Scheduler::new(terms(0, 1));
    for job in 0..100_000 {
        pool.submit(job, plain(), SubmitKind::Job).unwrap();
        pool.follows();
    }
    pool.worker_ready(1, false);
    let mut expected = 0;
    loop {
        let effects = pool.follows();
        let [PoolEffect::Send { worker: 1, job }] = effects[..] else {
            break;
        };
        assert_eq!(job, expected);
        expected += 1;
        assert_eq!(pool.answered(1, job), Answered::Outcome);
    }
    assert_eq!(expected, 100_000);
}

#[test]
fn a_job_that_expires_in_the_queue_has_the_pool_called_for_it() {
    let mut world = World::new(terms(0, 1));
    world.submit(plain());
    world.ready(1);
    let waits = world.submit(expiring(secs(3)));
    assert_eq!(world.pool.deadline(), Some(secs(3)));
    world.pass(secs(3));
    assert_eq!(world.none(waits), Some(NoAnswer::Expired));
}
