//! Small pools, and every sequence of what may happen up to a length. What [`World`] holds is true after each step, and each sequence
//! comes to its end.

use super::super::{Answered, PoolTerms, WorkerAt, WorkerId};
use super::world::World;
use super::{keyed, one_shot, own_args, plain, retried, secs, terms};

#[derive(Debug, Clone, Copy)]
enum Step {
    Submit,
    SubmitKeyed,
    SubmitRetried,
    SubmitOwnArgs,
    Checkout,
    CancelFirst,
    Ready,
    StartFailed,
    AnswerFirst,
    AnswerLast,
    WrongAnswer,
    CheckIn,
    Dying,
    GoneFirst,
    GoneLast,
    TooLarge,
    Reload,
    Second,
    Minute,
    Drain,
    ShutDown,
}

const STEPS: [Step; 21] = [
    Step::Submit,
    Step::SubmitKeyed,
    Step::SubmitRetried,
    Step::SubmitOwnArgs,
    Step::Checkout,
    Step::CancelFirst,
    Step::Ready,
    Step::StartFailed,
    Step::AnswerFirst,
    Step::AnswerLast,
    Step::WrongAnswer,
    Step::CheckIn,
    Step::Dying,
    Step::GoneFirst,
    Step::GoneLast,
    Step::TooLarge,
    Step::Reload,
    Step::Second,
    Step::Minute,
    Step::Drain,
    Step::ShutDown,
];

/// Does the step, if the world is such that it can be.
fn step(world: &mut World, step: Step, closing: &mut bool) -> bool {
    let first = world.workers.keys().next().copied();
    let last = world.workers.keys().next_back().copied();
    let mut answerers = world
        .workers
        .iter()
        .filter(|(_, made)| made.ready && made.job.is_some() && !made.checked_out);
    let (answers_first, answers_last) = (
        answerers.next().map(|(worker, _)| *worker),
        answerers.next_back().map(|(worker, _)| *worker),
    );
    let starts = |(_, made): &(&WorkerId, &super::world::Made)| !made.ready && !made.dying;
    let starts = world.workers.iter().find(starts).map(|(worker, _)| *worker);
    let on = |worker: Option<WorkerId>, world: &mut World, act: fn(&mut World, WorkerId)| {
        let Some(worker) = worker else { return false };
        act(world, worker);
        true
    };
    let submits = |world: &mut World, terms| {
        !*closing && {
            let _ = world.try_submit(terms, super::super::SubmitKind::Job);
            true
        }
    };
    match step {
        Step::Submit => submits(world, plain()),
        Step::SubmitKeyed => submits(world, keyed("a")),
        Step::SubmitRetried => submits(world, retried(1)),
        Step::SubmitOwnArgs => world.terms.one_shot && submits(world, own_args()),
        Step::Checkout => {
            let possible = !*closing && !world.terms.one_shot && !world.pool.is_down();
            possible && {
                world.checkout(plain());
                true
            }
        }
        Step::CancelFirst => {
            let job = world.open.keys().next().copied();
            job.is_some_and(|job| {
                world.cancel(job);
                true
            })
        }
        Step::Ready => on(starts, world, World::ready),
        Step::StartFailed => on(starts, world, World::start_failed),
        Step::AnswerFirst => on(answers_first, world, |world, worker| {
            world.answer(worker);
        }),
        Step::AnswerLast => on(answers_last, world, |world, worker| {
            world.answer(worker);
        }),
        Step::WrongAnswer => on(first, world, |world, worker| {
            if world.answer_of(worker, 99) == Answered::OutOfTurn {
                world.input(|pool| pool.broken(worker));
            }
        }),
        Step::CheckIn => {
            let had = world.workers.iter().find(|(_, made)| made.checked_out);
            let had = had.map(|(worker, _)| *worker);
            on(had, world, |world, worker| world.check_in(worker, true))
        }
        Step::Dying => on(first, world, World::dying),
        Step::GoneFirst => on(first, world, World::gone),
        Step::GoneLast => first != last && on(last, world, World::gone),
        Step::TooLarge => on(first, world, |world, worker| {
            world.input(|pool| pool.too_large(worker, true));
        }),
        Step::Reload => {
            let spec = world.reloads.len() as u64 + 1;
            world.reload(spec);
            true
        }
        Step::Second => {
            world.pass(secs(1));
            true
        }
        Step::Minute => {
            world.pass(secs(60));
            true
        }
        Step::Drain => {
            *closing = true;
            world.drain();
            true
        }
        Step::ShutDown => {
            *closing = true;
            world.shut_down();
            true
        }
    }
}

/// All that waits has its outcome in the end, and the pool has the size that it is to have.
fn comes_to_its_end(mut world: World, closing: bool) {
    for _ in 0..20 {
        world.quiesce();
        match world.pool.deadline() {
            Some(at) if at < world.now + secs(200) => world.to(at),
            _ => break,
        }
    }
    world.quiesce();
    let log = &world.log;
    assert!(world.open.is_empty(), "{log:#?}");
    assert!(world.reloads.values().all(Option::is_some), "{log:#?}");
    assert_eq!(world.drained, closing, "{log:#?}");
    if !closing {
        assert_eq!(world.pool.size(), world.terms.min, "{log:#?}");
        let idle = |worker: &WorkerId| world.pool.worker_state(*worker) == Some(WorkerAt::Idle);
        assert!(world.workers.keys().all(idle), "{log:#?}");
    }
}

/// From the beginning, and from where workers have jobs and more wait.
fn every_order(terms: PoolTerms, steps: usize) {
    let mut busy = World::new(terms.clone());
    for _ in 0..3 {
        busy.submit(retried(1));
    }
    busy.submit(keyed("a"));
    busy.quiesce_starts();
    let mut worlds = vec![(World::new(terms), false, steps), (busy, false, steps)];
    let mut ends = 0;
    while let Some((world, closing, left)) = worlds.pop() {
        if left == 0 {
            comes_to_its_end(world, closing);
            ends += 1;
            continue;
        }
        for each in STEPS {
            let (mut world, mut closing) = (world.clone(), closing);
            if step(&mut world, each, &mut closing) {
                worlds.push((world, closing, left - 1));
            }
        }
    }
    assert!(ends > 500, "{ends}");
}

#[test]
fn every_order_with_one_worker_on_demand() {
    every_order(terms(0, 1), 3);
}

#[test]
fn every_order_with_one_worker_that_is_kept_and_takes_one_job() {
    let terms = PoolTerms {
        max_jobs: Some(1),
        down_after: 2,
        ..terms(1, 1)
    };
    every_order(terms, 3);
}

#[test]
fn every_order_with_two_workers() {
    every_order(terms(1, 2), 3);
}

#[test]
fn every_order_with_a_process_for_each_job() {
    every_order(one_shot(0, 2), 3);
}

#[test]
fn every_order_with_a_spare() {
    let terms = PoolTerms {
        down_after: 2,
        ..one_shot(1, 2)
    };
    every_order(terms, 3);
}
