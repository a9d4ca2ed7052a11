//! Jobs that are sent ahead: to whom, and how they come back.

use super::super::{Answered, NoAnswer, WorkerAt};
use super::world::{Outcome, World};
use super::{ahead, keyed, light, ms, plain, secs, urgent};

/// Workers that have done a short job each, and are ready for the next.
pub(super) fn with_short_jobs(most: usize, workers: usize) -> World {
    let mut world = World::new(ahead(most, workers, workers));
    world.quiesce_starts();
    for _ in 0..workers {
        world.submit(light());
    }
    world.quiesce();
    assert_eq!(world.outcomes.len(), workers);
    world.news();
    world
}

#[test]
fn a_worker_with_short_jobs_is_sent_so_many_ahead_and_begins_each_when_it_has_answered_the_one_before()
 {
    let mut world = with_short_jobs(2, 1);
    for _ in 0..4 {
        world.submit(light());
    }
    assert_eq!(
        world.news(),
        ["send 2 to 1", "send 3 ahead to 1", "send 4 ahead to 1"]
    );
    assert_eq!(world.pool.counts().waiting, 3);
    assert_eq!(world.answer(1), Answered::Outcome);
    assert_eq!(world.news(), ["1 begins 3", "send 5 ahead to 1"]);
    assert_eq!(world.answer_of(1, 4), Answered::OutOfTurn);
    world.quiesce();
    assert!(world.open.is_empty());
}

#[test]
fn none_is_sent_ahead_before_enough_jobs_were_short_or_behind_one_that_takes_long() {
    let mut world = World::new(ahead(2, 1, 1));
    world.quiesce_starts();
    world.submit(light());
    world.submit(light());
    assert_eq!(world.pool.sent_ahead, 0);
    world.pass(ms(2));
    world.answer(1);
    world.submit(light());
    assert_eq!(world.pool.sent_ahead, 0, "the first one was long");
    world.answer(1);
    world.submit(light());
    assert_eq!(world.pool.sent_ahead, 1);
    world.pass(ms(2));
    world.submit(light());
    assert_eq!(world.pool.sent_ahead, 0, "this one takes long");
    world.quiesce();
    assert!(world.open.is_empty());
}

#[test]
fn jobs_with_a_key_or_that_are_not_light_wait_for_an_idle_worker_and_so_does_what_is_behind_them() {
    for heavy in [keyed("k"), plain()] {
        let mut world = with_short_jobs(2, 1);
        world.submit(light());
        world.submit(heavy);
        world.submit(light());
        assert_eq!(world.pool.sent_ahead, 0);
        world.quiesce();
        assert!(world.open.is_empty());
    }
}

#[test]
fn an_idle_worker_gets_what_another_one_was_sent_ahead_and_has_not_read() {
    let mut world = with_short_jobs(4, 2);
    for _ in 0..5 {
        world.submit(light());
    }
    let ahead = |world: &World, worker| world.workers[&worker].ahead.len();
    assert_eq!((ahead(&world, 1), ahead(&world, 2)), (2, 1));
    // The first is stuck.
    world.news();
    world.pass(secs(1));
    world.answer(2);
    world.answer(2);
    assert!(world.news().contains(&"take back from 1".to_owned()));
    assert_eq!(ahead(&world, 1), 0);
    world.answer(2);
    world.answer(2);
    assert_eq!(world.open.len(), 1);
}

#[test]
fn what_was_read_already_stays_with_its_worker_and_is_asked_for_once() {
    let mut world = with_short_jobs(4, 2);
    for _ in 0..5 {
        world.submit(light());
    }
    world.unread = 0;
    world.answer(2);
    world.answer(2);
    let asked = |log: &[String]| {
        log.iter()
            .filter(|what| what.starts_with("take back"))
            .count()
    };
    assert_eq!(asked(&world.news()), 1);
    assert_eq!(world.workers[&1].ahead.len(), 2);
    world.submit(light());
    world.answer(2);
    assert_eq!(asked(&world.news()), 0);
    world.answer(1);
    world.quiesce();
    assert!(world.open.is_empty());
}

#[test]
fn a_lost_worker_takes_one_job_with_it_and_the_others_go_to_the_next() {
    let mut world = with_short_jobs(3, 1);
    for _ in 0..4 {
        world.submit(light());
    }
    world.dying(1);
    let lost = world.none(2);
    assert!(
        matches!(lost, Some(NoAnswer::Lost { attempts: 1, .. })),
        "{lost:?}"
    );
    assert_eq!(world.pool.sent_ahead, 0);
    world.quiesce();
    assert_eq!(world.outcomes.len(), 5);
    for job in 3..=5 {
        assert_eq!(world.outcomes[&job], Outcome::Answer(2));
    }
}

#[test]
fn what_a_worker_was_sent_ahead_is_taken_back_before_the_worker_is_stopped() {
    let mut world = with_short_jobs(3, 1);
    for _ in 0..3 {
        world.submit(light());
    }
    world.news();
    // It is too large.
    world.input(|pool| pool.too_large(1, true));
    let news = world.news();
    let place = |what: &str| news.iter().position(|said| said == what);
    let (taken, stopped) = (place("take back from 1"), place("stop 1 Ladder"));
    assert!(taken.is_some() && taken < stopped, "{news:#?}");
    assert!(world.workers[&1].ahead.is_empty());
}

#[test]
fn a_job_ahead_that_is_cancelled_is_not_begun_if_it_was_not_read() {
    let mut world = with_short_jobs(3, 1);
    for _ in 0..3 {
        world.submit(light());
    }
    world.cancel(3);
    assert_eq!(world.none(3), Some(NoAnswer::Cancelled));
    assert_eq!(world.workers[&1].ahead, [4]);
    world.answer(1);
    assert_eq!(world.pool.worker_state(1), Some(WorkerAt::Busy(4)));
}

#[test]
fn a_job_ahead_that_was_read_is_cancelled_when_it_begins() {
    let mut world = with_short_jobs(3, 1);
    for _ in 0..3 {
        world.submit(light());
    }
    world.unread = 0;
    world.cancel(3);
    assert_eq!(world.none(3), Some(NoAnswer::Cancelled));
    world.news();
    world.answer(1);
    assert!(world.news().contains(&"tell 1 cancel 3".to_owned()));
    assert_eq!(world.answer(1), Answered::Stale);
    assert_eq!(world.pool.worker_state(1), Some(WorkerAt::Busy(4)));
}

#[test]
fn a_job_ahead_can_be_withdrawn_unless_it_was_read() {
    let mut world = with_short_jobs(3, 1);
    for _ in 0..3 {
        world.submit(light());
    }
    world.withdraw(4);
    assert_eq!(world.none(4), Some(NoAnswer::Cancelled));
    world.unread = 0;
    world.withdraw(3);
    assert!(world.open.contains_key(&3));
    world.quiesce();
    assert!(world.open.is_empty());
}

#[test]
fn what_waits_behind_a_job_that_is_cancelled_or_too_late_is_taken_back() {
    let mut world = with_short_jobs(3, 1);
    for _ in 0..3 {
        world.submit(light());
    }
    world.cancel(2);
    assert_eq!(world.pool.sent_ahead, 0);
    world.pass(secs(1));
    assert!(matches!(
        world.pool.worker_state(1),
        Some(WorkerAt::Stopping(_))
    ));
    world.quiesce();
    for job in 3..=4 {
        assert_eq!(world.outcomes[&job], Outcome::Answer(2));
    }
}

#[test]
fn a_worker_gives_back_what_it_cannot_begin_with_and_is_sent_no_more_behind_that_job() {
    let mut world = with_short_jobs(3, 1);
    for _ in 0..3 {
        world.submit(light());
    }
    world.give_back(1);
    world.give_back(1);
    assert_eq!((world.pool.sent_ahead, world.pool.counts().waiting), (0, 2));
    world.input(|pool| assert_eq!(pool.given_back(1, 3), Answered::OutOfTurn));
    world.input(|pool| assert_eq!(pool.given_back(1, 2), Answered::OutOfTurn));
    world.quiesce();
    assert!(world.open.is_empty());
}

#[test]
fn an_urgent_job_goes_before_those_that_were_sent_ahead() {
    let mut world = with_short_jobs(3, 1);
    for _ in 0..3 {
        world.submit(light());
    }
    let hurry = world.submit(urgent());
    world.answer(1);
    assert_eq!(world.pool.worker_state(1), Some(WorkerAt::Busy(hurry)));
    world.quiesce();
    assert!(world.open.is_empty());
}

#[test]
fn jobs_that_were_sent_ahead_have_more_workers_started() {
    let mut world = World::new(ahead(3, 1, 2));
    world.quiesce_starts();
    world.submit(light());
    world.answer(1);
    world.submit(light());
    world.submit(light());
    assert_eq!(world.pool.sent_ahead, 1);
    assert_eq!(world.pool.size(), 2);
    world.ready(2);
    assert_eq!(world.pool.worker_state(2), Some(WorkerAt::Busy(3)));
}

#[test]
fn no_more_are_sent_ahead_than_a_worker_may_do() {
    let mut terms = ahead(3, 1, 1);
    terms.max_jobs = Some(3);
    let mut world = World::new(terms);
    world.quiesce_starts();
    world.submit(light());
    world.answer(1);
    for _ in 0..4 {
        world.submit(light());
    }
    assert_eq!(world.pool.sent_ahead, 1);
    world.answer(1);
    world.answer(1);
    assert_ne!(world.pool.worker_state(1), Some(WorkerAt::Idle));
    world.quiesce();
    assert!(world.open.is_empty());
}
