//! Workers that are replaced as planned.

use super::super::{NoAnswer, PoolTerms, WorkerAt};
use super::world::World;
use super::{ms, plain, retried, secs, terms};

fn all_ready(terms: PoolTerms) -> World {
    let mut world = World::new(terms);
    world.quiesce_starts();
    world.news();
    world
}

#[test]
fn a_worker_that_has_done_its_jobs_is_replaced_also_with_max_1() {
    let mut world = all_ready(PoolTerms {
        max_jobs: Some(2),
        ..terms(1, 1)
    });
    for _ in 0..3 {
        world.submit(plain());
    }
    world.answer(1);
    world.answer(1);
    let log = world.news();
    assert_eq!(log[2..], ["recycled 1 Jobs", "stop 1 Retire"]);
    world.gone(1);
    world.ready(2);
    assert_eq!(world.news(), ["start 2", "send 3 to 2"]);
    assert_eq!(world.outcomes.len(), 2);
}

#[test]
fn no_worker_does_more_than_its_jobs_and_a_quarter_is_replaced_at_once() {
    let mut world = all_ready(PoolTerms {
        max_jobs: Some(1),
        ..terms(4, 4)
    });
    for _ in 0..8 {
        world.submit(plain());
    }
    for worker in 1..=4 {
        world.answer(worker);
    }
    let counts = world.pool.counts().workers;
    assert_eq!((counts.stopping, counts.spent), (1, 3));
    assert_eq!(world.outcomes.len(), 4);
    world.news();
    world.gone(1);
    assert_eq!(
        world.news(),
        ["recycled 2 Jobs", "stop 2 Retire", "start 5"]
    );
    world.quiesce();
    assert_eq!(world.outcomes.len(), 8);
}

#[test]
fn the_number_of_jobs_is_spread_by_a_tenth() {
    for (random, jobs) in [(0.0, 9), (0.5, 10), (1.0, 11)] {
        let mut world = World::new(PoolTerms {
            max_jobs: Some(10),
            ..terms(0, 1)
        });
        world.random = random;
        for _ in 0..20 {
            world.submit(plain());
        }
        world.ready(1);
        while world.workers[&1].job.is_some() {
            world.answer(1);
        }
        assert_eq!(world.outcomes.len(), jobs);
    }
}

#[test]
fn an_old_worker_is_replaced_after_its_job() {
    for (random, age) in [(0.0, 90), (1.0, 110)] {
        let mut world = World::new(PoolTerms {
            max_age: Some(secs(100)),
            idle_timeout: secs(1_000),
            ..terms(1, 1)
        });
        world.random = random;
        world.to(secs(5));
        world.ready(1);
        world.submit(plain());
        world.news();
        world.pass(secs(age));
        assert_eq!(world.news(), [""; 0]);
        world.answer(1);
        assert_eq!(world.news(), ["recycled 1 Age", "stop 1 Retire"]);
    }
}

#[test]
fn an_idle_worker_is_not_old_too_early() {
    let mut world = World::new(PoolTerms {
        max_age: Some(secs(100)),
        ..terms(1, 1)
    });
    world.ready(1);
    world.news();
    world.pass(ms(99_999));
    assert_eq!(world.news(), [""; 0]);
    world.pass(ms(1));
    assert_eq!(world.news(), ["recycled 1 Age", "stop 1 Retire"]);
}

#[test]
fn those_that_wait_to_be_replaced_go_on_and_one_goes_when_the_last_replacement_is_ready() {
    let mut world = all_ready(PoolTerms {
        max_age: Some(secs(100)),
        idle_timeout: secs(1_000),
        ..terms(4, 4)
    });
    world.pass(secs(100));
    assert_eq!(world.news(), ["recycled 1 Age", "stop 1 Retire"]);
    for _ in 0..3 {
        world.submit(plain());
    }
    assert_eq!(world.news().len(), 3);
    world.answer(3);
    world.gone(1);
    assert_eq!(world.news(), ["start 5"]);
    world.ready(5);
    assert_eq!(world.news(), ["recycled 3 Age", "stop 3 Retire"]);
}

#[test]
fn none_is_replaced_for_its_age_before_a_reload_is_proven() {
    let mut world = all_ready(PoolTerms {
        max_age: Some(secs(100)),
        idle_timeout: secs(1_000),
        ..terms(2, 8)
    });
    world.pass(secs(95));
    world.reload(1);
    world.pass(secs(9));
    assert_eq!(world.news(), ["start 3 of 1"]);
    world.ready(3);
    assert_eq!(world.news()[0], "recycled 1 Age");
}

#[test]
fn none_is_replaced_while_starts_fail() {
    let mut world = all_ready(PoolTerms {
        max_age: Some(secs(100)),
        idle_timeout: secs(1_000),
        ..terms(2, 2)
    });
    world.pass(secs(100));
    world.gone(1);
    world.start_failed(3);
    world.news();
    world.pass(secs(1));
    assert_eq!(world.news(), ["start 4"]);
    world.start_failed(4);
    world.pass(secs(2));
    world.ready(5);
    assert_eq!(world.news(), ["start 5", "recycled 2 Age", "stop 2 Retire"]);
}

#[test]
fn a_worker_above_its_soft_bound_of_memory_finishes_its_job() {
    let mut world = all_ready(terms(1, 1));
    world.submit(plain());
    world.input(|pool| pool.too_large(1, false));
    world.input(|pool| pool.too_large(1, false));
    world.news();
    world.answer(1);
    assert_eq!(world.news(), ["recycled 1 Memory", "stop 1 Retire"]);
}

#[test]
fn a_worker_above_its_hard_bound_is_stopped_at_once_and_its_job_is_lost() {
    let mut world = all_ready(terms(1, 1));
    world.submit(plain());
    world.submit(retried(1));
    world.news();
    world.input(|pool| pool.too_large(1, true));
    let log = [
        "recycled 1 Memory",
        "stop 1 Ladder",
        "1 Lost { worker: 1, attempts: 1 }",
    ];
    assert_eq!(world.news(), log);
    world.gone(1);
    world.ready(2);
    assert_eq!(world.workers[&2].job, Some(2));
    world.input(|pool| pool.too_large(2, true));
    world.gone(2);
    world.ready(3);
    assert_eq!(world.workers[&3].job, Some(2));
    assert_eq!(
        world.none(1),
        Some(NoAnswer::Lost {
            worker: 1,
            attempts: 1
        })
    );
}

#[test]
fn a_planned_recycling_is_no_loss_and_no_failure() {
    let mut world = all_ready(PoolTerms {
        max_jobs: Some(1),
        ..terms(1, 1)
    });
    for _ in 0..10 {
        world.submit(plain());
    }
    world.quiesce();
    assert_eq!(world.outcomes.len(), 10);
    let counts = world.pool.counts();
    assert_eq!((counts.failures, world.pool.idle_deaths), (0, 0));
    assert_eq!(world.pool.worker_state(11), Some(WorkerAt::Idle));
}
