//! How jobs that were sent ahead could be stuck, pass others, or begin too late: each was so once.

use super::super::{NoAnswer, WorkerAt};
use super::ahead::with_short_jobs;
use super::world::World;
use super::{JobTerms, ahead, keyed, light, ms, secs, urgent};

/// A take-back was tried once until the worker went on: what was sent ahead after it was never asked for.
#[test]
fn what_is_sent_ahead_after_a_take_back_is_taken_back_too() {
    let mut world = with_short_jobs(4, 2);
    for _ in 0..4 {
        world.submit(light());
    }
    // 3 to one, 4 to the other, 5 and 6 behind them. Both are within `short`.
    let slow = 1;
    let quick = 2;
    world.answer(quick);
    world.answer(quick);
    // Asked back now; more comes while both are within their short time.
    world.submit(light());
    world.submit(light());
    world.submit(light());
    world.submit(light());
    world.pass(secs(1));
    for _ in 0..20 {
        if matches!(world.pool.worker_state(quick), Some(WorkerAt::Busy(_))) {
            world.answer(quick);
        }
    }
    assert_eq!(world.pool.worker_state(quick), Some(WorkerAt::Idle));
    assert_eq!(
        world.workers[&slow].ahead.len(),
        0,
        "stuck behind a long one, and {quick} is idle"
    );
}

/// The same after one urgent job, which may go ahead itself or not.
#[test]
fn an_urgent_job_does_not_leave_the_others_stuck() {
    for is_light in [false, true] {
        let mut world = with_short_jobs(4, 2);
        for _ in 0..4 {
            world.submit(light());
        }
        world.submit(JobTerms {
            light: is_light,
            ..urgent()
        });
        world.pass(secs(1));
        for _ in 0..20 {
            if matches!(world.pool.worker_state(2), Some(WorkerAt::Busy(_))) {
                world.answer(2);
            }
        }
        assert_eq!(world.pool.worker_state(2), Some(WorkerAt::Idle));
        assert_eq!(world.workers[&1].ahead.len(), 0, "stuck");
    }
}

/// While jobs come, no worker is ever idle: those behind a long one waited for ever.
#[test]
fn those_behind_a_long_job_go_before_those_that_came_later() {
    let mut world = with_short_jobs(2, 2);
    for _ in 0..6 {
        world.submit(light());
    }
    let stuck: Vec<_> = world.workers[&1].ahead.iter().copied().collect();
    assert!(!stuck.is_empty());
    for _ in 0..1000 {
        world.submit(light());
        world.submit(light());
        world.pass(ms(10));
        world.answer(2);
    }
    let last = world.outcomes.keys().last().copied();
    let still: Vec<_> = stuck
        .iter()
        .filter(|job| world.open.contains_key(job))
        .collect();
    assert!(
        still.is_empty(),
        "{still:?} wait for 10 s; {last:?} is done"
    );
}

/// A job of a key waits for its worker, and one that came later is sent there ahead.
#[test]
fn none_is_sent_ahead_past_a_job_that_waits_for_this_worker() {
    let mut world = World::new(ahead(4, 1, 1));
    world.quiesce_starts();
    world.submit(keyed("k"));
    world.answer(1);
    world.submit(light());
    let bound = world.submit(keyed("k"));
    let later = world.submit(light());
    world.answer(1);
    assert_eq!(
        world.pool.worker_state(1),
        Some(WorkerAt::Busy(bound)),
        "{later} went before"
    );
}

/// What waits while the pool is down ends with that at once: P5.
#[test]
fn what_was_sent_ahead_ends_when_the_pool_goes_down() {
    let mut world = World::new(ahead(3, 1, 2));
    world.quiesce_starts();
    world.submit(light());
    world.answer(1);
    for _ in 0..3 {
        world.submit(light());
    }
    for worker in 2..=6 {
        world.start_failed(worker);
        world.pass(secs(20));
    }
    assert!(world.pool.is_down());
    // The first of them runs.
    assert_eq!(world.open.len(), 1);
    assert_eq!((world.pool.sent_ahead, world.pool.counts().waiting), (0, 0));
    for job in 3..=4 {
        assert_eq!(world.none(job), Some(NoAnswer::Down));
    }
    assert!(world.workers[&1].ahead.is_empty(), "none of them begins");
}

/// One that is over its bound does no more than its job.
#[test]
fn a_worker_that_is_too_large_is_recycled_after_its_job() {
    let mut world = with_short_jobs(7, 2);
    for _ in 0..16 {
        world.submit(light());
    }
    let mut done = 0;
    world.input(|pool| pool.too_large(1, false));
    while matches!(world.pool.worker_state(1), Some(WorkerAt::Busy(_))) && done < 100 {
        world.answer(1);
        done += 1;
    }
    assert_eq!(done, 1, "{:#?}", world.news());
}

/// A job that is tried again is older than all that were sent ahead.
#[test]
fn an_urgent_job_that_is_tried_again_goes_before_those_that_were_sent_ahead() {
    let mut world = with_short_jobs(7, 2);
    let urgent = world.submit(JobTerms {
        urgent: true,
        retries: 1,
        ..light()
    });
    for _ in 0..16 {
        world.submit(light());
    }
    let (lost, other) = if world.workers[&1].job == Some(urgent) {
        (1, 2)
    } else {
        (2, 1)
    };
    world.dying(lost);
    let mut before = 0;
    while world.workers[&other].job != Some(urgent) {
        world.answer(other);
        before += 1;
    }
    assert_eq!(before, 1, "{:#?}", world.news());
}

/// It was withdrawn before any worker has begun with it, and none begins with it after that.
#[test]
fn a_job_that_is_withdrawn_and_given_back_does_not_begin() {
    let mut world = with_short_jobs(3, 1);
    for _ in 0..3 {
        world.submit(light());
    }
    world.unread = 0;
    let job = world.workers[&1].ahead[0];
    world.withdraw(job);
    world.give_back(1);
    world.quiesce();
    assert_eq!(world.none(job), Some(NoAnswer::Cancelled));
}

/// The later one was sent ahead in the same turn, before the older one was back.
#[test]
fn a_later_job_does_not_pass_one_that_comes_back() {
    let mut world = with_short_jobs(1, 2);
    // Two run, and two are behind them.
    for _ in 0..4 {
        world.submit(light());
    }
    let (slow, quick) = (1, 2);
    let older = world.workers[&slow].ahead[0];
    // The slow one is over its short time when one more comes; the quick one has just begun its next.
    world.pass(ms(1));
    world.answer(quick);
    world.now += ms(1) / 2;
    let later = world.submit(light());
    let begun = all_that_begin(&mut world, quick);
    let place = |job| begun.iter().position(|begun| *begun == job);
    assert!(place(older).is_some(), "{begun:?}");
    assert!(place(older) < place(later), "{begun:?}");
}

/// Which jobs this worker does, if it alone answers.
fn all_that_begin(world: &mut World, worker: u64) -> Vec<u64> {
    let mut begun = Vec::new();
    while let Some(job) = world.workers[&worker].job {
        begun.push(job);
        world.answer(worker);
    }
    begun
}

fn urgent_and_light() -> JobTerms {
    JobTerms {
        urgent: true,
        ..light()
    }
}

/// It waited behind all that the other one was sent ahead.
#[test]
fn an_urgent_job_that_is_given_back_goes_before_those_that_were_sent_ahead() {
    let mut world = with_short_jobs(7, 2);
    world.submit(light());
    world.submit(light());
    let hurry = world.submit(urgent_and_light());
    for _ in 0..13 {
        world.submit(light());
    }
    let slow = world.pool.is_ahead_at(hurry).unwrap();
    // It has read that one.
    world.give_back(slow);
    let begun = all_that_begin(&mut world, 3 - slow);
    assert_eq!(begun[1], hurry, "{begun:?}");
}

/// The worker that came to nothing was taken for an idle one, to which the job could go.
#[test]
fn an_urgent_job_that_its_worker_never_got_goes_before_those_that_were_sent_ahead() {
    let mut world = with_short_jobs(7, 2);
    let hurry = world.submit(urgent_and_light());
    for _ in 0..15 {
        world.submit(light());
    }
    let is_there = |worker: &u64| world.workers[worker].job == Some(hurry);
    let lost = [1, 2].into_iter().find(is_there).unwrap();
    assert_eq!(world.pool.never_got(lost, None), Some(hurry));
    world.workers.get_mut(&lost).unwrap().job = None;
    world.dying(lost);
    let begun = all_that_begin(&mut world, 3 - lost);
    assert_eq!(begun[1], hurry, "{begun:?}");
}
