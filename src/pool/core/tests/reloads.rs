//! A change of the command.

use super::super::WorkerAt;
use super::ahead::with_short_jobs;
use super::world::World;
use super::{light, ms, one_shot, plain, secs, terms};

fn all_ready(min: usize, max: usize) -> World {
    let mut world = World::new(terms(min, max));
    world.quiesce_starts();
    world.news();
    world
}

#[test]
fn the_new_worker_is_ready_before_an_old_one_goes() {
    let mut world = all_ready(2, 4);
    world.reload(7);
    assert_eq!(world.news(), ["start 3 of 7"]);
    world.ready(3);
    assert_eq!(world.news(), ["recycled 1 Reload", "stop 1 Retire"]);
    world.gone(1);
    assert_eq!(
        world.news(),
        ["recycled 2 Reload", "stop 2 Retire", "start 4 of 7"]
    );
    world.ready(4);
    assert_eq!(world.reloads[&7], None);
    world.gone(2);
    assert_eq!(world.reloads[&7], Some(true));
}

#[test]
fn old_workers_finish_their_jobs() {
    let mut world = all_ready(2, 4);
    world.submit(plain());
    world.submit(plain());
    world.reload(7);
    world.ready(3);
    world.news();
    world.submit(plain());
    assert_eq!(world.news(), ["send 3 to 3"]);
    world.answer(2);
    assert_eq!(world.news(), ["recycled 2 Reload", "stop 2 Retire"]);
    // Work that waits goes to an old one while its turn to be replaced has not come.
    world.submit(plain());
    world.answer(1);
    assert_eq!(world.workers[&1].job, Some(4));
    world.quiesce();
    assert_eq!(world.outcomes.len(), 4);
    assert_eq!(world.reloads[&7], Some(true));
}

#[test]
fn with_all_places_taken_one_idle_worker_makes_room() {
    let mut world = all_ready(2, 2);
    world.reload(7);
    assert_eq!(world.news(), ["recycled 1 Reload", "stop 1 Retire"]);
    world.gone(1);
    assert_eq!(world.news(), ["start 3 of 7"]);
    world.ready(3);
    world.gone(2);
    world.quiesce();
    assert_eq!(world.reloads[&7], Some(true));
    assert_eq!(world.pool.size(), 2);
}

#[test]
fn with_all_workers_busy_the_first_to_be_idle_makes_room_even_if_work_waits() {
    let mut world = all_ready(2, 2);
    for _ in 0..3 {
        world.submit(plain());
    }
    world.reload(7);
    world.news();
    world.answer(2);
    assert_eq!(world.news(), ["recycled 2 Reload", "stop 2 Retire"]);
    world.gone(2);
    world.ready(3);
    assert_eq!(world.news(), ["start 3 of 7", "send 3 to 3"]);
}

#[test]
fn the_first_new_worker_that_cannot_become_ready_ends_the_reload_and_the_old_ones_stay() {
    for how in 0..3 {
        let mut world = all_ready(2, 2);
        world.reload(7);
        world.gone(1);
        world.news();
        match how {
            0 => world.start_failed(3),
            1 => world.gone(3),
            _ => {
                world.pass(secs(10));
                world.gone(3);
            }
        }
        let log = world.news();
        assert!(
            log.contains(&"ReloadFailed { spec: 7 }".to_owned()),
            "{log:#?}"
        );
        // The room is filled again by the old command, and nothing has failed.
        assert_eq!(log.last().unwrap(), "start 4");
        assert_eq!(world.pool.counts().failures, 0);
        assert_eq!(world.pool.worker_state(2), Some(WorkerAt::Idle));
        world.quiesce();
        assert!(world.workers.values().all(|made| made.spec == 0));
        assert_eq!(world.reloads[&7], Some(false));
    }
}

#[test]
fn starts_that_fail_once_the_command_is_proven_back_off() {
    let mut world = all_ready(2, 4);
    world.reload(7);
    world.ready(3);
    world.gone(1);
    world.start_failed(4);
    assert_eq!(world.pool.counts().failures, 1);
    world.news();
    world.pass(secs(1));
    assert_eq!(world.news(), ["start 5 of 7"]);
    world.quiesce();
    assert_eq!(world.reloads[&7], Some(true));
}

#[test]
fn a_second_reload_takes_the_place_of_the_first() {
    let mut world = all_ready(1, 4);
    world.reload(7);
    world.news();
    world.reload(8);
    assert_eq!(world.reloads[&7], Some(false));
    assert_eq!(world.pool.counts().failures, 0);
    assert_eq!(
        world.news(),
        ["stop 2 Ladder", "ReloadFailed { spec: 7 }", "start 3 of 8"]
    );
    world.quiesce();
    assert_eq!(world.reloads[&8], Some(true));
    assert!(world.workers.values().all(|made| made.spec == 8));
}

#[test]
fn a_second_reload_that_fails_leaves_the_command_that_was_proven() {
    let mut world = all_ready(2, 4);
    world.reload(7);
    world.ready(3);
    world.reload(8);
    let first = world.pool.last_worker;
    world.start_failed(first);
    assert_eq!(world.reloads[&8], Some(false));
    world.quiesce();
    assert!(world.workers.values().all(|made| made.spec == 7));
}

#[test]
fn a_reload_of_a_pool_without_workers_starts_one() {
    let mut world = all_ready(0, 1);
    world.reload(7);
    assert_eq!(world.news(), ["start 1 of 7"]);
    world.ready(1);
    assert_eq!(world.reloads[&7], Some(true));
}

#[test]
fn a_reload_to_a_command_that_works_brings_a_pool_up_at_once() {
    let mut world = World::new(terms(1, 1));
    for worker in 1..=5 {
        world.start_failed(worker);
        world.pass(secs(1 << (worker - 1)) - secs(u64::from(worker == 5)));
    }
    assert!(world.pool.is_down());
    world.news();
    world.reload(7);
    assert_eq!(world.news(), ["start 6 of 7"]);
    world.ready(6);
    assert_eq!(world.news(), ["CameUp", "Reloaded { spec: 7 }"]);
}

#[test]
fn a_pool_that_ends_is_not_reloaded() {
    let mut world = all_ready(1, 4);
    world.submit(plain());
    world.reload(7);
    world.news();
    world.drain();
    assert_eq!(world.news(), ["stop 2 Ladder", "ReloadFailed { spec: 7 }"]);
    world.reload(8);
    assert_eq!(world.news(), ["ReloadFailed { spec: 8 }"]);
    world.quiesce();
    assert!(world.drained);
}

#[test]
fn a_one_shot_pool_without_spares_takes_the_new_command_at_once() {
    let mut world = World::new(one_shot(0, 2));
    world.submit(plain());
    world.reload(7);
    assert_eq!(world.reloads[&7], Some(true));
    world.submit(plain());
    assert_eq!(
        world.news(),
        [
            "start 1 for 1",
            "Reloaded { spec: 7 }",
            "start 2 of 7 for 2"
        ]
    );
}

#[test]
fn spares_are_replaced_and_processes_with_a_job_finish() {
    let mut world = World::new(one_shot(2, 8));
    world.quiesce_starts();
    world.submit(plain());
    world.quiesce_starts();
    world.news();
    world.reload(7);
    assert_eq!(world.news(), ["start 4 of 7"]);
    world.ready(4);
    world.quiesce_spares();
    assert_eq!(world.reloads[&7], Some(true));
    assert_eq!(world.outcomes.len(), 0);
    let spares = world.workers.values().filter(|made| made.job.is_none());
    assert!(spares.clone().all(|made| made.spec == 7));
    assert_eq!(spares.count(), 2);
}

/// No worker was ever idle, as each had its next job already.
#[test]
fn a_reload_comes_to_its_end_while_jobs_are_sent_ahead() {
    for (most, workers) in [(0, 1), (2, 1), (2, 3)] {
        let mut world = with_short_jobs(most, workers);
        for _ in 0..4 * workers {
            world.submit(light());
        }
        world.reload(1);
        for _ in 0..1000 {
            world.quiesce_spares();
            world.submit(light());
            world.pass(ms(1));
            let has = |worker: &u64| world.workers[worker].job.is_some();
            // Each of them in its turn.
            if let Some(worker) = world
                .workers
                .keys()
                .copied()
                .filter(has)
                .min_by_key(|worker| world.workers[worker].job)
            {
                world.answer(worker);
            }
        }
        let news = world.news();
        let tail = &news[news.len() - 20..];
        assert_eq!(world.reloads[&1], Some(true), "{most} ahead: {tail:#?}");
        world.quiesce();
        assert!(world.open.is_empty());
    }
}

/// The worker that is to make room does not, as its job takes long: another one does.
#[test]
fn a_reload_does_not_wait_for_a_long_job_while_others_are_short() {
    let mut world = with_short_jobs(2, 2);
    for _ in 0..6 {
        world.submit(light());
    }
    world.reload(1);
    let chosen = [1, 2]
        .into_iter()
        .find(|worker| world.workers[worker].ahead.is_empty());
    let quick = 3 - chosen.unwrap();
    for _ in 0..100 {
        world.submit(light());
        world.pass(ms(1));
        if world
            .workers
            .get(&quick)
            .is_some_and(|made| made.job.is_some())
        {
            world.answer(quick);
        }
        world.quiesce_spares();
    }
    assert!(!world.workers.contains_key(&quick), "{:#?}", world.workers);
    assert!(
        world.workers.values().any(|made| made.spec == 1),
        "{:#?}",
        world.workers
    );
    world.quiesce();
    assert_eq!(world.reloads[&1], Some(true));
}

/// Nobody makes room any more, and jobs are sent ahead as before.
#[test]
fn jobs_are_sent_ahead_again_when_a_reload_has_failed() {
    let mut world = with_short_jobs(2, 2);
    for _ in 0..6 {
        world.submit(light());
    }
    world.reload(1);
    assert_eq!(world.pool.sent_ahead, 2);
    world.drain();
    assert_eq!(world.reloads[&1], Some(false));
    assert_eq!(world.pool.sent_ahead, 4);
    world.quiesce();
    assert!(world.drained);
}
