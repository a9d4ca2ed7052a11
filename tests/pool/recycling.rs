//! Workers that are replaced as planned: after jobs, by age, for their memory. That is never a loss.

use std::collections::HashMap;
use std::time::Duration;

use actix_process::monitor::ExitKind;
use actix_process::pool::{Job, JobError, Pool, PoolEventKind, PoolEvents, PoolHandle, Recycling};
use futures::StreamExt;
use futures::stream;

use crate::common::{in_time, run};
use crate::told_worker::{ask, ended, event, refused, stats_when, worker};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Waits until the events tell of a worker that is recycled, and that this is why.
async fn assert_told(events: &mut PoolEvents, expected: Recycling) {
    let told = event(events, |what| match what {
        PoolEventKind::Recycled { why, .. } => Some(*why),
        _ => None,
    });
    assert_eq!(told.await, expected);
}

/// Does so many jobs, some at a time; gives how many each worker did.
async fn jobs_by_pid(pool: &PoolHandle, jobs: usize) -> HashMap<String, usize> {
    let mut done = HashMap::new();
    let mut answers = stream::iter(0..jobs)
        .map(|_| ask(pool, "pid"))
        .buffer_unordered(6);
    while let Some(pid) = answers.next().await {
        *done.entry(pid).or_default() += 1;
    }
    done
}

#[test]
fn after_about_so_many_jobs_and_none_is_lost() {
    run(async {
        let pool = Pool::new(worker([]))
            .workers(2..=2)
            .max_jobs(20)
            .start()
            .unwrap();
        let done = jobs_by_pid(&pool, 400).await;
        assert_eq!(done.values().sum::<usize>(), 400);
        assert!(done.values().all(|jobs| *jobs <= 22), "{done:?}");
        // The last ones are not done yet.
        let full = done.values().filter(|jobs| **jobs >= 18);
        let mut full: Vec<_> = full.collect();
        assert!(full.len() + 3 >= done.len(), "{done:?}");
        // Not all at once.
        full.sort_unstable();
        full.dedup();
        assert!(full.len() > 1, "{done:?}");
        let stats = pool.stats().await.unwrap();
        assert!(stats.recycled.jobs >= 17, "{stats:?}");
        assert_eq!(stats.outcomes.answered, 400, "{stats:?}");
        ended(pool).await;
    });
}

#[test]
fn the_only_worker_is_replaced_under_load() {
    run(async {
        let pool = Pool::new(worker([]))
            .workers(1..=1)
            .max_jobs(1)
            .start()
            .unwrap();
        let mut events = pool.events();
        let done = jobs_by_pid(&pool, 30).await;
        assert_eq!(done.len(), 30, "{done:?}");
        assert_told(&mut events, Recycling::Jobs).await;
        ended(pool).await;
    });
}

#[test]
fn by_age() {
    run(async {
        let pool = Pool::new(worker([]))
            .workers(1..=1)
            .max_age(millis(100))
            .start()
            .unwrap();
        let mut events = pool.events();
        in_time(async {
            while pool.stats().await.unwrap().recycled.age < 3 {
                ask(&pool, "sleep 5").await;
            }
        })
        .await;
        // And those without a job.
        let before = pool.stats().await.unwrap().recycled.age;
        stats_when(&pool, "another one", |stats| stats.recycled.age > before).await;
        assert_told(&mut events, Recycling::Age).await;
        ended(pool).await;
    });
}

#[test]
fn for_the_memory_that_is_left_after_a_job() {
    run(async {
        let pool = Pool::new(worker([]))
            .workers(1..=1)
            .max_rss(100 << 20)
            .start()
            .unwrap();
        let mut events = pool.events();
        let first = ask(&pool, "memory 40").await;
        assert_eq!(ask(&pool, "memory 10").await, first);
        ask(&pool, "memory 100").await;
        let stats = stats_when(&pool, "a recycling", |stats| stats.recycled.memory == 1).await;
        assert_eq!(stats.outcomes.worker_lost, 0, "{stats:?}");
        assert_ne!(ask(&pool, "pid").await, first);
        assert_told(&mut events, Recycling::Memory).await;
        ended(pool).await;
    });
}

#[test]
fn at_once_for_memory_above_the_hard_limit() {
    run(async {
        let pool = Pool::new(worker([]))
            .workers(1..=1)
            .max_rss_hard(100 << 20)
            .start()
            .unwrap();
        let mut events = pool.events();
        let before = ask(&pool, "pid").await;
        let error = refused(&pool, Job::new("memory-deaf 120")).await;
        let text = error.to_string();
        let JobError::WorkerLost {
            kind: ExitKind::Stopped,
            over_max_rss: true,
            ..
        } = error
        else {
            panic!("{error:?}")
        };
        assert!(text.contains("stopped for its memory"), "{text}");
        assert_ne!(ask(&pool, "pid").await, before);
        let stats = pool.stats().await.unwrap();
        let counts = (stats.recycled.memory, stats.outcomes.worker_lost);
        assert_eq!(counts, (1, 1), "{stats:?}");
        assert_told(&mut events, Recycling::Memory).await;
        ended(pool).await;
    });
}
