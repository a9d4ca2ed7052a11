//! Another command for the workers, while jobs go on.

use std::cell::Cell;
use std::collections::HashSet;
use std::time::Duration;

use actix_process::Command;
use actix_process::pool::{Job, Pool, PoolError, PoolEventKind, PoolHandle};
use futures::future::{join, join_all};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use crate::common::{in_time, run};
use crate::told_worker::{Folder, ask, ended, event, events_until_now, stats_when, worker};

fn two() -> PoolHandle {
    let pool = Pool::new(worker(["tag", "a"]));
    pool.workers(2..=2).start().unwrap()
}

/// What the workers answer while `until` goes on. No job fails.
async fn tags_during<T>(pool: &PoolHandle, until: impl Future<Output = T>) -> (T, HashSet<String>) {
    let over = Cell::new(false);
    let clients = (0..4).map(|_| async {
        let mut tags = HashSet::new();
        while !over.get() {
            tags.insert(ask(pool, "tag").await);
        }
        tags
    });
    let until = async {
        let done = in_time(until).await;
        over.set(true);
        done
    };
    let (done, tags) = join(until, join_all(clients)).await;
    (done, tags.into_iter().flatten().collect())
}

#[test]
fn under_load_all_workers_are_of_the_new_command_when_it_is_over() {
    run(async {
        let pool = two();
        let mut events = pool.events();
        assert_eq!(ask(&pool, "tag").await, "a");
        let (reloaded, _) = tags_during(&pool, pool.reload(worker(["tag", "b"]))).await;
        reloaded.unwrap();
        let (_, tags) = tags_during(&pool, jobs(&pool, 20)).await;
        assert_eq!(tags, HashSet::from(["b".to_owned()]));
        let stats = pool.stats().await.unwrap();
        assert_eq!(stats.recycled.reload, 2, "{stats:?}");
        event(&mut events, |what| {
            matches!(what, PoolEventKind::Reloaded).then_some(())
        })
        .await;
        ended(pool).await;
    });
}

async fn jobs(pool: &PoolHandle, jobs: usize) {
    for _ in 0..jobs {
        ask(pool, "pid").await;
    }
}

/// The problem of a reload that failed.
fn problem(reloaded: Result<(), PoolError>) -> String {
    match reloaded {
        Err(PoolError::Reload { problem, .. }) => problem.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn to_a_command_that_cannot_start_the_old_workers_stay() {
    run(async {
        let pool = two();
        let mut events = pool.events();
        jobs(&pool, 1).await;
        let closes = Command::new("sh").args(["-c", "exec 4>&-; exec sleep 600"]);
        let bad = [
            (Command::new("/no/such/program"), "/no/such/program"),
            (worker(["needs", "/no/such/flag"]), "before it was ready"),
            (closes, "it closed its channel"),
        ];
        for (command, why) in bad {
            let (reloaded, tags) = tags_during(&pool, pool.reload(command)).await;
            let problem = problem(reloaded);
            assert!(problem.contains(why), "{problem}");
            assert_eq!(tags, HashSet::from(["a".to_owned()]));
            event(&mut events, |what| {
                matches!(what, PoolEventKind::ReloadFailed).then_some(())
            })
            .await;
        }
        let (_, tags) = tags_during(&pool, jobs(&pool, 20)).await;
        assert_eq!(tags, HashSet::from(["a".to_owned()]));
        let stats = stats_when(&pool, "two of them", |stats| {
            stats.idle == 2 && stats.starting + stats.stopping == 0
        });
        assert!(!stats.await.down);
        ended(pool).await;
    });
}

#[test]
fn to_a_command_that_is_never_ready() {
    run(async {
        let pool = Pool::new(worker(["tag", "a"]))
            .workers(2..=2)
            .ready_within(Duration::from_secs(2))
            .start()
            .unwrap();
        stats_when(&pool, "two of them", |stats| stats.idle == 2).await;
        let (reloaded, tags) = tags_during(&pool, pool.reload(worker(["unready"]))).await;
        assert_eq!(problem(reloaded), "it was not ready within 2s");
        assert_eq!(tags, HashSet::from(["a".to_owned()]));
        ended(pool).await;
    });
}

#[test]
fn another_one_takes_its_place() {
    run(async {
        let pool = two();
        let mut events = pool.events();
        jobs(&pool, 1).await;
        let first = pool.reload(worker(["slow", "600000", "tag", "b"]));
        let second = async {
            stats_when(&pool, "the first one's worker", |stats| stats.starting == 1).await;
            pool.reload(worker(["tag", "c"])).await
        };
        let ((first, second), _) = tags_during(&pool, join(first, second)).await;
        assert!(matches!(first, Err(PoolError::Overtaken)), "{first:?}");
        second.unwrap();
        let (_, tags) = tags_during(&pool, jobs(&pool, 20)).await;
        assert_eq!(tags, HashSet::from(["c".to_owned()]));
        let events = events_until_now(&mut events);
        let failed = |what: &PoolEventKind| matches!(what, PoolEventKind::StartFailed { .. });
        assert!(!events.iter().any(failed), "{events:?}");
        ended(pool).await;
    });
}

#[test]
fn a_long_job_is_done_by_the_old_worker() {
    run(async {
        let folder = Folder::new();
        let pool = two();
        stats_when(&pool, "two of them", |stats| stats.idle == 2).await;
        // The one that is idle last has the next job.
        let old = ask(&pool, "pid").await;
        let job = pool.submit(Job::new(folder.job("gate", "gate")));
        stats_when(&pool, "its begin", |stats| stats.running == 1).await;
        let (reloaded, answer) = in_time(join(pool.reload(worker(["tag", "b"])), async {
            in_time(async { while ask(&pool, "tag").await != "b" {} }).await;
            folder.make("gate");
            job.await.unwrap()
        }))
        .await;
        reloaded.unwrap();
        assert_eq!(answer, old);
        ended(pool).await;
    });
}

fn says(text: &str) -> Command {
    Command::new("sh").args(["-c", "cat > /dev/null; echo $0", text])
}

#[test]
fn the_spares_of_a_one_shot_pool_are_replaced() {
    run(async {
        let pool = Pool::one_shot(says("a")).workers(1..=4).spare(2);
        let pool = pool.start().unwrap();
        stats_when(&pool, "the spares", |stats| stats.idle == 2).await;
        assert_eq!(ask(&pool, "x").await, "a\n");
        in_time(pool.reload(says("b"))).await.unwrap();
        for _ in 0..5 {
            assert_eq!(ask(&pool, "x").await, "b\n");
        }
        let reloaded = in_time(pool.reload(Command::new("/no/such/program"))).await;
        assert!(problem(reloaded).contains("/no/such/program"));
        assert_eq!(ask(&pool, "x").await, "b\n");
        // A shell that is stopped while it starts may leave its child for a moment.
        stats_when(&pool, "the spares", |stats| stats.idle == 2).await;
        ended(pool).await;
    });
}

#[test]
fn a_one_shot_pool_without_spares_takes_the_command_for_what_follows() {
    run(async {
        let pool = Pool::one_shot(says("a")).start().unwrap();
        assert_eq!(ask(&pool, "x").await, "a\n");
        in_time(pool.reload(says("b"))).await.unwrap();
        assert_eq!(ask(&pool, "x").await, "b\n");
        ended(pool).await;
    });
}

#[test]
fn to_a_command_that_is_not_acceptable_nothing_is_spawned() {
    run(async {
        let pool = two();
        stats_when(&pool, "two of them", |stats| stats.idle == 2).await;
        let mut events = pool.events();
        let commands = [
            Command::new("/no/\0such"),
            worker([]).fd(4, actix_process::Fd::null()),
        ];
        for command in commands {
            let error = in_time(pool.reload(command)).await.unwrap_err();
            assert!(matches!(error, PoolError::Spec(_)), "{error:?}");
        }
        jobs(&pool, 1).await;
        assert!(events_until_now(&mut events).is_empty());
        ended(pool).await;
    });
}

/// The command of the first one is that of the pool: it was thrown away with the reload.
#[test]
fn a_pool_starts_workers_after_a_reload_that_was_overtaken() {
    run(async {
        let folder = Folder::new();
        let pool = Pool::new(worker(["tag", "old"])).workers(1..=2);
        let pool = pool.start().unwrap();
        let gate = pool.submit(Job::new(folder.job("gate", "go")));
        stats_when(&pool, "the gate", |stats| stats.running == 1).await;
        // Its first worker is ready, and the old one is busy.
        let mut first = Box::pin(pool.reload(worker(["tag", "first"])));
        assert!(first.as_mut().now_or_never().is_none());
        in_time(async { while ask(&pool, "tag").await != "first" {} }).await;
        let second = pool.reload(worker(["needs", "/no/such/flag"]));
        let second = problem(in_time(second).await);
        assert!(second.contains("before it was ready"), "{second}");
        let first = in_time(first).await;
        assert!(matches!(first, Err(PoolError::Overtaken)), "{first:?}");
        folder.make("go");
        in_time(gate).await.unwrap();
        // The first one's worker has made room for that of the second, and the old one is replaced now.
        assert_eq!(ask(&pool, "tag").await, "first");
        // Two at once: one more is started.
        let two = ["go0", "go1"].map(|gate| pool.submit(Job::new(folder.job("gate", gate))));
        stats_when(&pool, "both", |stats| stats.running == 2).await;
        folder.make("go0");
        folder.make("go1");
        in_time(join_all(two)).await;
        ended(pool).await;
    });
}

/// The start of its process waits for the guard, and is of a command that no other one is of any more: it was forgotten.
#[test]
fn a_job_of_before_a_reload_is_done_though_its_process_was_not_started_yet() {
    run(async {
        for _ in 0..5 {
            let pool = Pool::one_shot(says("a")).start().unwrap();
            let job = pool.submit(Job::new("x"));
            stats_when(&pool, "the job's start", |stats| stats.running == 1).await;
            in_time(pool.reload(says("b"))).await.unwrap();
            assert_eq!(in_time(job).await.unwrap(), "a\n");
            ended(pool).await;
        }
    });
}

/// No worker was idle for thousands of jobs: each had its next job already.
#[test]
fn a_reload_comes_to_its_end_in_a_pool_that_is_busy() {
    for ahead in [0, 7] {
        run(async {
            let pool = Pool::new(worker(["tag", "a"])).workers(1..=1).ahead(ahead);
            let pool = pool.start().unwrap();
            let echo = || pool.submit(Job::new("echo x"));
            let mut jobs: FuturesUnordered<_> = (0..512).map(|_| echo()).collect();
            for _ in 0..5_000 {
                in_time(jobs.next()).await.unwrap().unwrap();
                jobs.push(echo());
            }
            let mut reload = Box::pin(pool.reload(worker(["tag", "b"])));
            let mut done = 0;
            loop {
                in_time(jobs.next()).await.unwrap().unwrap();
                done += 1;
                jobs.push(echo());
                if let Some(result) = reload.as_mut().now_or_never() {
                    break result.unwrap();
                }
                assert!(done < 1_500, "{ahead} ahead: no reload after {done} jobs");
            }
            drop((jobs, reload));
            assert_eq!(ask(&pool, "tag").await, "b");
            ended(pool).await;
        });
    }
}
