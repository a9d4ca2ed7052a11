//! Among thousands of jobs, whatever becomes of the workers, each job has its one right outcome, and nothing is left behind.

use std::time::Duration;

use actix::System;
use actix_process::Bytes;
use actix_process::monitor::ExitKind;
use actix_process::pool::{Job, JobError, Pool, PoolHandle};
use futures::{StreamExt, stream};

use crate::common::census::{Census, children, has_watch, open_fds, threads};
use crate::common::heap::{heap, isolated_for_heap};
use crate::common::{amount, eventually, start_all_threads};
use crate::workers::{ahead_workers, ended, stats, workers};

const WORKERS: usize = 8;

/// What the job of this number does. Neighbours do not alike. `twice`: some are answered twice.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Killed,
    Exits,
    Hangs,
    Garbles,
    Twice,
    Other,
    Noisy,
    Plain,
}

fn fate(number: usize, twice: bool) -> Fate {
    match number * 37 % 100 {
        0..2 => Fate::Killed,
        2..5 => Fate::Exits,
        5 => Fate::Hangs,
        6 => Fate::Garbles,
        7 if twice => Fate::Twice,
        8 => Fate::Other,
        9..11 => Fate::Noisy,
        _ => Fate::Plain,
    }
}

fn job(number: usize, fate: Fate) -> Job {
    let job = |word: &str| Job::new(format!("{word} {number}"));
    match fate {
        Fate::Killed => Job::new("raise 9"),
        Fate::Exits => Job::new(format!("exit {}", number % 7)),
        Fate::Hangs => job("hang").timeout(Duration::from_millis(200)),
        Fate::Garbles => job("garble"),
        Fate::Twice => job("twice"),
        Fate::Other => job("other"),
        Fate::Noisy => job("noisy"),
        Fate::Plain => job("echo"),
    }
}

/// Fails if this is not the outcome of the job of this number. Whether it was lost with the one before: a worker that was sent jobs ahead, and is out of step,
/// may have begun with the next one.
fn check(number: usize, fate: Fate, outcome: Result<Bytes, JobError>, ahead: bool) -> bool {
    let right = match (&outcome, fate) {
        (
            Err(JobError::WorkerLost {
                status: None,
                kind: ExitKind::Unhealthy,
                attempts: 1,
                ..
            }),
            _,
        ) if ahead => return true,
        (Ok(answer), Fate::Twice | Fate::Noisy | Fate::Plain) => *answer == number.to_string(),
        (Err(JobError::Timeout { ran, .. }), Fate::Hangs) => *ran >= Duration::from_millis(200),
        (Err(JobError::Protocol { .. }), Fate::Garbles | Fate::Other) => true,
        (
            Err(JobError::WorkerLost {
                status,
                kind,
                attempts: 1,
                ..
            }),
            Fate::Killed | Fate::Exits,
        ) => match (status, kind) {
            (Some(status), ExitKind::Signal) => {
                fate == Fate::Killed && status.signal().is_some_and(|signal| signal.number() == 9)
            }
            (Some(status), ExitKind::Code | ExitKind::Ok) => {
                fate == Fate::Exits && status.code() == i32::try_from(number % 7).ok()
            }
            _ => false,
        },
        _ => false,
    };
    assert!(right, "job {number}, which {fate:?}: {outcome:?}");
    false
}

/// Jobs of these numbers, 64 at a time; how many had an answer.
async fn storm(pool: &PoolHandle, count: usize, twice: bool) {
    let before = pool.stats().await.unwrap().outcomes;
    let jobs = stream::iter(0..count).map(async |number| {
        let fate = fate(number, twice);
        let outcome = pool.submit_wait(job(number, fate)).await;
        check(number, fate, outcome, !twice).then_some(fate)
    });
    let lost: Vec<_> = jobs.buffer_unordered(64).collect().await;
    let lost_along = |fates: &[Fate]| {
        let lost = lost.iter().flatten();
        lost.filter(|fate| fates.contains(fate)).count() as u64
    };
    let after = pool.stats().await.unwrap().outcomes;
    let how_many = |fates: &[Fate]| {
        let numbers = (0..count).filter(|number| fates.contains(&fate(*number, twice)));
        numbers.count() as u64
    };
    let counted = [
        after.answered - before.answered,
        after.timeout - before.timeout,
        after.worker_lost - before.worker_lost,
        after.protocol - before.protocol,
    ];
    let answered = [Fate::Twice, Fate::Noisy, Fate::Plain];
    let (lost_themselves, out_of_step) =
        ([Fate::Killed, Fate::Exits], [Fate::Garbles, Fate::Other]);
    let along = lost.iter().flatten().count() as u64;
    let expected = [
        how_many(&answered) - lost_along(&answered),
        how_many(&[Fate::Hangs]) - lost_along(&[Fate::Hangs]),
        how_many(&lost_themselves) - lost_along(&lost_themselves) + along,
        how_many(&out_of_step) - lost_along(&out_of_step),
    ];
    assert_eq!(counted, expected, "{after:?}");
    // Each costs one other job at most.
    assert!(
        along <= how_many(&out_of_step),
        "{along} were lost with others"
    );
    assert_eq!(counted.iter().sum::<u64>(), count as u64);
}

/// Waits until the pool is at its size, with nothing to do; gives what this process has then.
async fn at_rest(pool: &PoolHandle) -> (usize, usize, usize) {
    stats(pool, "the pool at its size", |stats| {
        let others = stats.starting + stats.busy + stats.cancelling + stats.stopping;
        (stats.idle, others, stats.waiting, stats.running) == (WORKERS, 0, 0, 0)
    })
    .await;
    // The guard is a child as well, and all of them live.
    let rests =
        || children().len() == WORKERS + 1 && children().iter().all(|(_, state)| *state != 'Z');
    let look = || {
        let spawners = threads()
            .iter()
            .filter(|name| crate::common::census::is_spawner(name))
            .count();
        (
            open_fds().len(),
            children().len(),
            threads().len() - spawners,
        )
    };
    eventually(
        "the workers and the guard",
        || rests().then(look),
        || format!("{:?}", children()),
    )
    .await
}

/// Among workers that are sent jobs ahead or not. One that is, and answers twice, has begun with the next job by then, which it was sent: that is no case
/// of which a test knows the outcome.
fn each_job_has_its_one_right_outcome(workers: impl Fn() -> Pool + Send + 'static, twice: bool) {
    isolated_for_heap(move || {
        // Without the deadline of other tests: all are more than they take.
        System::new().block_on(async {
            let first = start_all_threads().await;
            let pool = workers()
                .workers(WORKERS..=WORKERS)
                .queue(16)
                .soft(Duration::from_millis(20))
                .start()
                .unwrap();
            // What is made once is there then.
            storm(&pool, 300, twice).await;
            let (rested, used) = (at_rest(&pool).await, heap());
            let count = amount(100_000, 3_000);
            storm(&pool, count, twice).await;
            let settled = eventually(
                "as many descriptors, children and threads as before",
                || {
                    let now = (open_fds().len(), children().len(), rested.2);
                    (now == rested).then_some(now)
                },
                || format!("{:?}, before {rested:?}", open_fds()),
            );
            at_rest(&pool).await;
            settled.await;
            assert_eq!(at_rest(&pool).await, rested);
            // Less than 7 bytes for each of all the jobs.
            let grown = heap().saturating_sub(used);
            assert!(grown < 640 * 1024, "{grown} bytes more than {used}");
            ended(pool).await;
            Census::quiet().await;
            assert!(!has_watch());
            first.assert_restored_but_spawners().await;
        });
    });
}

#[test]
fn each_job_has_its_one_right_outcome_whatever_becomes_of_the_workers() {
    each_job_has_its_one_right_outcome(workers, true);
}

#[test]
fn each_job_has_its_one_right_outcome_whatever_becomes_of_workers_that_are_sent_jobs_ahead() {
    each_job_has_its_one_right_outcome(ahead_workers, false);
}
