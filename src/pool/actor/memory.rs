//! How much memory the workers have, in a pool that limits it: looked at after jobs, and every few seconds while jobs run.
//!
//! A look reads a file of each process of the machine, so it is made on another thread, and there is one at a time.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

use super::PoolEngine;
use crate::monitor::Usage;
use crate::monitor::sampling::sample;
use crate::pool::core::{WorkerAt, WorkerId};
use crate::pool::settings::PoolSettings;

/// The looks after jobs are so far apart at least: many short jobs do not make one thread look all the time.
const REST: Duration = Duration::from_millis(100);

/// The looks while jobs run.
const EVERY: Duration = Duration::from_secs(5);

/// The limits of a pool, and what is known of the looks.
pub(super) struct MemoryWatch {
    /// A worker with more after a job is recycled.
    soft: Option<u64>,
    /// A worker with more is stopped at once.
    hard: Option<u64>,
    /// Workers that have ended a job since the last look.
    after_a_job: HashSet<WorkerId>,
    /// No look after a job before.
    not_before: Instant,
    /// The time for a look while jobs run has come.
    wanted: bool,
    looks: bool,
    soft_timer: bool,
    hard_timer: bool,
}

impl MemoryWatch {
    pub(super) fn new(settings: &PoolSettings) -> Self {
        Self {
            soft: settings.max_rss,
            hard: settings.max_rss_hard,
            after_a_job: HashSet::new(),
            not_before: Instant::now(),
            wanted: false,
            looks: false,
            soft_timer: false,
            hard_timer: false,
        }
    }

    /// This worker has ended a job.
    pub(super) fn ended_a_job(&mut self, worker: WorkerId) {
        if self.soft.is_some() {
            self.after_a_job.insert(worker);
        }
    }
}

impl PoolEngine {
    /// Begins the look that is due, or arms the timer for it. Without a limit, and without jobs, there is neither.
    pub(super) fn watch_memory(&mut self) {
        let runs = self.memory.hard.is_some() && self.scheduler.counts().running > 0;
        let memory = &mut self.memory;
        if runs && !std::mem::replace(&mut memory.hard_timer, true) {
            self.myself.later(EVERY, |engine| {
                engine.memory.hard_timer = false;
                engine.memory.wanted = engine.scheduler.counts().running > 0;
            });
        }
        let after_jobs = !memory.after_a_job.is_empty();
        if memory.looks || !memory.wanted && !after_jobs {
            return;
        }
        let rest = memory.not_before.saturating_duration_since(self.now);
        if memory.wanted || after_jobs && rest.is_zero() {
            self.look_at_memory();
        } else if after_jobs && !std::mem::replace(&mut memory.soft_timer, true) {
            self.myself
                .later(rest, |engine| engine.memory.soft_timer = false);
        }
    }

    fn look_at_memory(&mut self) {
        self.memory.looks = true;
        self.memory.wanted = false;
        let after_a_job = std::mem::take(&mut self.memory.after_a_job);
        let workers = self.workers.iter();
        let workers: Vec<(WorkerId, i32)> = workers
            .filter_map(|(worker, place)| Some((*worker, place.pid()?)))
            .collect();
        let groups: Vec<i32> = workers.iter().map(|(_, group)| *group).collect();
        let look = actix_rt::task::spawn_blocking(move || sample(&groups));
        let engine = self.myself.clone();
        actix_rt::spawn(async move {
            let found = look.await;
            let found = found.unwrap_or_else(|error| Err(io::Error::other(error)));
            engine.with(|engine| {
                engine.tick();
                engine.looked(&workers, &after_a_job, found);
            });
        });
    }

    fn looked(
        &mut self,
        workers: &[(WorkerId, i32)],
        after_a_job: &HashSet<WorkerId>,
        found: io::Result<HashMap<i32, Usage>>,
    ) {
        self.memory.looks = false;
        self.memory.not_before = self.now + REST;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let name = &self.settings.name;
                return log::warn!("pool {name}: nothing is known of its memory: {error}");
            }
        };
        for (worker, group) in workers {
            let rss = found.get(group).map_or(0, |usage| usage.rss);
            let is_above = |limit: Option<u64>| limit.is_some_and(|limit| rss > limit);
            if is_above(self.memory.hard) && self.has_a_job(*worker) {
                if let Some(place) = self.workers.get_mut(worker) {
                    place.over_max_rss = true;
                }
                let name = &self.settings.name;
                log::warn!(
                    "pool {name}: worker {worker} has {rss} bytes of memory, and is stopped"
                );
                self.scheduler.too_large(*worker, true);
            } else if is_above(self.memory.soft) && after_a_job.contains(worker) {
                self.scheduler.too_large(*worker, false);
            }
        }
    }

    fn has_a_job(&self, worker: WorkerId) -> bool {
        matches!(
            self.scheduler.worker_state(worker),
            Some(WorkerAt::Busy(_) | WorkerAt::CheckedOut(_) | WorkerAt::Cancelling(_))
        )
    }
}
