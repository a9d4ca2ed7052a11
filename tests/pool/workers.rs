//! Pools of workers that do as each job says, and what is asked of them.

use std::time::{Duration, Instant};

use actix_process::pool::{Answer, Job, JobError, Pool, PoolHandle, PoolReport, PoolStats};

use crate::common::census::{children, is_gone};
use crate::common::helper::helper;
use crate::common::{eventually, in_time};

/// Longer than anything takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Workers whose jobs are those of `common/helper/worker.rs`.
pub(crate) fn workers() -> Pool {
    Pool::new(helper(["worker"]))
}

/// The same, which are sent jobs ahead.
pub(crate) fn ahead_workers() -> Pool {
    Pool::new(helper(["worker", "ahead"]))
}

pub(crate) fn submit(pool: &PoolHandle, job: &'static str) -> Answer {
    pool.submit(Job::new(job))
}

pub(crate) async fn answer(pool: &PoolHandle, job: &'static str) -> String {
    let answer = in_time(submit(pool, job)).await.unwrap();
    String::from_utf8(answer.to_vec()).unwrap()
}

pub(crate) async fn error(pool: &PoolHandle, job: &'static str) -> JobError {
    in_time(submit(pool, job)).await.unwrap_err()
}

/// The workers of all pools of this process.
pub(crate) fn pids() -> Vec<i32> {
    let is_worker = |pid: &i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == b"worker")
    };
    let pids = children().into_iter().map(|(pid, _)| pid);
    pids.filter(is_worker).collect()
}

/// The pid of the worker that is the next to take a job.
pub(crate) async fn pid(pool: &PoolHandle) -> i32 {
    answer(pool, "pid").await.parse().unwrap()
}

pub(crate) async fn gone(pid: i32) {
    let gone = || is_gone(pid).then_some(());
    eventually("a process to be gone", gone, || pid.to_string()).await;
}

/// The first look at the pool of which this holds.
pub(crate) async fn stats(
    pool: &PoolHandle,
    what: &str,
    holds: impl Fn(&PoolStats) -> bool,
) -> PoolStats {
    let begun = Instant::now();
    loop {
        let stats = pool.stats().await.unwrap();
        if holds(&stats) {
            return stats;
        }
        assert!(begun.elapsed() < LONG, "waited for {what}; saw {stats:?}");
        // Some of those who ask have no runtime. The pool is on a thread of its own.
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Drains the pool, which has no jobs and whose workers are well.
pub(crate) async fn ended(pool: PoolHandle) -> PoolReport {
    let report = in_time(pool.drain(LONG)).await;
    let bad = (
        report.killed,
        report.unkillable,
        report.ended,
        report.leftovers,
    );
    assert_eq!(bad, (0, 0, 0, 0), "{report:?}");
    report
}
