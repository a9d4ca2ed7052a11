//! Jobs of all kinds, cancels, reloads, and workers that are killed, stopped and replaced, all at once: each job that is awaited has one outcome, and none runs
//! more often than it may.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use actix_process::monitor::Backoff;
use actix_process::pool::{Job, JobError, Pool, PoolHandle};
use fastrand::Rng;
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::census::children;
use crate::common::isolated::isolated;
use crate::common::{amount, in_time, run};
use crate::told_worker::worker;

/// So many jobs wait for their outcomes at most.
const MOST: usize = 300;

/// The number of a job, and how it ended.
type Ended = (u64, Result<(), JobError>);

/// What becomes of the jobs of one seed.
struct Chaos {
    rng: Rng,
    pool: PoolHandle,
    /// Where a job notes that it runs.
    notes: String,
    submitted: u64,
    /// Those that may run twice.
    retried: Vec<u64>,
    awaited: FuturesUnordered<LocalBoxFuture<'static, Ended>>,
    outcomes: HashMap<u64, Result<(), JobError>>,
}

impl Chaos {
    fn one_in(&mut self, count: u32) -> bool {
        self.rng.u32(..count) == 0
    }

    fn millis(&mut self, below: u64) -> Duration {
        Duration::from_millis(self.rng.u64(..below))
    }

    /// Mostly a short one that notes its number; others hold up their worker, kill it, or answer much.
    fn job(&mut self, number: u64) -> Job {
        let (notes, some) = (&self.notes, self.rng.u64(..200_000));
        let other = match self.rng.u32(..200) {
            0 => Some("deaf".to_owned()),
            1 => Some("wait".to_owned()),
            2 => Some(format!("sleep {}", some % 4)),
            3 => Some("chunks 5 100".to_owned()),
            4 => Some("chunks 50 9000".to_owned()),
            5 => Some(format!("die {notes}.dead")),
            6 => Some(format!("size {some}")),
            7 => Some(format!("gate {notes}.never")),
            _ => None,
        };
        let is_other = other.is_some();
        let padding = match self.rng.u32(..4) {
            0 => "p".repeat(self.rng.usize(..5000)),
            _ => String::new(),
        };
        let job = other.unwrap_or_else(|| format!("note {notes} {number} {padding}"));
        let mut job = Job::new(job);
        if is_other || self.one_in(10) {
            job = job.timeout(Duration::from_millis(1) + self.millis(20));
        }
        if self.one_in(10) {
            job = job.urgent();
        }
        if self.one_in(20) {
            job = job.key(self.rng.u32(..3).to_string());
        }
        if self.one_in(20) {
            job = job.expires(self.millis(20));
        }
        if self.one_in(20) {
            self.retried.push(number);
            job = job.retry_on_loss(1);
        }
        job
    }

    fn submit(&mut self) {
        self.submitted += 1;
        let number = self.submitted;
        let job = self.job(number);
        if self.one_in(50) {
            let (pool, is_dropped) = (self.pool.clone(), self.one_in(2));
            return self.awaited.push(Box::pin(async move {
                let mut stream = match pool.stream(job).await {
                    Ok(stream) => stream,
                    Err(error) => return (number, Err(error)),
                };
                while let Some(part) = stream.next().await {
                    match part {
                        Err(error) => return (number, Err(error)),
                        Ok(_) if is_dropped => return (number, Err(JobError::Cancelled)),
                        Ok(_) => {}
                    }
                }
                (number, Ok(()))
            }));
        }
        let answer = self.pool.submit(job);
        match self.rng.u32(..30) {
            0 | 1 => return drop(answer),
            2 => answer.withdraw(),
            _ => {}
        }
        let cut = self
            .one_in(12)
            .then(|| Duration::from_micros(self.rng.u64(..3000)));
        self.awaited.push(Box::pin(async move {
            let Some(cut) = cut else {
                return (number, answer.await.map(drop));
            };
            let answer = actix_rt::time::timeout(cut, answer).await;
            let outcome = answer.unwrap_or(Err(JobError::Cancelled));
            (number, outcome.map(drop))
        }));
    }

    /// One of the workers.
    fn worker(&mut self) -> Option<Pid> {
        let is_worker = |pid: &i32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words
                .split(|byte| *byte == 0)
                .any(|word| word == b"@pool-worker")
        };
        let pids: Vec<i32> = children()
            .into_iter()
            .map(|(pid, _)| pid)
            .filter(is_worker)
            .collect();
        let pid = self.rng.choice(&pids)?;
        Some(Pid::from_raw(*pid))
    }

    async fn disturb(&mut self) {
        let signal = match self.rng.u32(..40) {
            0 => Signal::SIGKILL,
            1 => Signal::SIGTERM,
            2 => Signal::SIGSTOP,
            3 => {
                let (pool, tag) = (self.pool.clone(), self.submitted.to_string());
                actix_rt::spawn(async move {
                    // One that comes after it ends it.
                    let _ = pool.reload(worker(["tag", &tag])).await;
                });
                return;
            }
            _ => return,
        };
        let Some(pid) = self.worker() else { return };
        // It may be gone.
        let _ = kill(pid, signal);
        if signal == Signal::SIGSTOP {
            for _ in 0..self.rng.u32(..20) {
                self.submit();
                self.pool.stats().await.unwrap();
            }
            let _ = kill(pid, Signal::SIGCONT);
        }
    }

    async fn one_ends(&mut self) {
        if let Some((number, outcome)) = in_time(self.awaited.next()).await {
            assert!(self.outcomes.insert(number, outcome).is_none());
        }
    }

    async fn all_end(mut self) {
        while !self.awaited.is_empty() {
            self.one_ends().await;
        }
        let stats = self.pool.stats().await.unwrap();
        assert_eq!(stats.waiting + stats.running, 0, "{stats:?}");
        let report = in_time(self.pool.drain(Duration::from_secs(20))).await;
        assert_eq!((report.killed, report.unkillable, report.ended), (0, 0, 0));
        let notes = fs::read_to_string(&self.notes).unwrap_or_default();
        let mut ran = HashMap::<u64, usize>::new();
        for number in notes.lines() {
            *ran.entry(number.parse().unwrap()).or_default() += 1;
        }
        for (number, times) in &ran {
            let most = 1 + usize::from(self.retried.contains(number));
            let outcome = self.outcomes.get(number);
            assert!(
                *times <= most,
                "job {number} ran {times} times: {outcome:?}"
            );
        }
        // No worker says nonsense, or gets any.
        for (number, outcome) in &self.outcomes {
            let is_wrong = matches!(
                outcome,
                Err(JobError::Protocol { .. } | JobError::Remote { .. })
            );
            assert!(!is_wrong, "job {number}: {outcome:?}");
        }
    }
}

async fn chaos(seed: u64, jobs: u64) {
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let pool = Pool::new(worker([]))
        .workers(1..=3)
        .queue(400)
        .max_jobs(300)
        .max_age(Duration::from_millis(700))
        .soft(Duration::from_millis(30))
        .idle_timeout(Duration::from_millis(50))
        .backoff(Backoff::new().first(Duration::from_millis(1)));
    let mut chaos = Chaos {
        rng: Rng::with_seed(seed),
        pool: pool.start().unwrap(),
        notes: folder.path().join("notes").display().to_string(),
        submitted: 0,
        retried: Vec::new(),
        awaited: FuturesUnordered::new(),
        outcomes: HashMap::new(),
    };
    while chaos.submitted < jobs {
        for _ in 0..chaos.rng.u32(..40) {
            chaos.submit();
        }
        chaos.disturb().await;
        let left = chaos.rng.usize(..MOST);
        while chaos.awaited.len() > left {
            chaos.one_ends().await;
        }
    }
    chaos.all_end().await;
}

#[test]
fn each_job_has_one_outcome_and_runs_no_more_often_than_it_may() {
    isolated(|| {
        for seed in 0..amount(8, 2) as u64 {
            run(chaos(seed, 4000));
        }
    });
}
