//! What a pool is, checked before anything is spawned.

use std::sync::Arc;
use std::time::Duration;

use super::core::{AheadTerms, PoolTerms};
use super::framing::{Framing, Noise};
use crate::Command;
use crate::Fd;
use crate::Ladder;
use crate::OnLeftovers;
use crate::OnOrphaned;
use crate::Signal;
use crate::StoppedBy;
use crate::monitor::Backoff;
use crate::monitor::SpecError;
use crate::monitor::spec_error::SpecProblem;

/// A process takes its time to die of SIGKILL.
const LEAST_KILL: Duration = Duration::from_millis(100);

/// A job that has lost so many workers is poisoned.
const POISON: u32 = 3;

/// So many starts that fail in a row make the pool say that it is down.
const DOWN_AFTER: u32 = 5;

/// So many jobs a worker is sent ahead at most, unless set. Its pipe takes 16 packets (pipe(7)).
pub(super) const AHEAD: usize = 7;

/// Jobs are sent ahead to a worker whose last ones took no longer, each, and were so many. What is saved is two waits of a process for another one, 10 to
/// 60 us on two CPUs (`pool_jobs` with and without): of such a job that is a tenth at most, of a shorter one more.
const SHORT: Duration = Duration::from_micros(500);
const SHORT_ONES: u32 = 8;

/// The descriptors of [`Framing::Frames`], as the worker sees them.
pub(super) const JOBS: i32 = 3;
pub(super) const ANSWERS: i32 = 4;

/// After the worker's death a process that has left its group may hold its output open for so long.
pub(super) const DRAIN: Duration = Duration::from_millis(500);

/// How a pool works.
#[derive(Debug, Clone)]
pub(super) struct PoolSettings {
    pub(super) name: Arc<str>,
    pub(super) command: Command,
    pub(super) framing: Framing,
    pub(super) noise: Noise,
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) queue: usize,
    pub(super) spare: usize,
    pub(super) ready_within: Duration,
    pub(super) job_timeout: Option<Duration>,
    pub(super) idle_timeout: Duration,
    pub(super) soft: Duration,
    pub(super) ladder: Ladder,
    pub(super) max_jobs: Option<u32>,
    pub(super) max_age: Option<Duration>,
    pub(super) max_rss: Option<u64>,
    pub(super) max_rss_hard: Option<u64>,
    pub(super) backoff: Backoff,
    pub(super) max_frame: usize,
    pub(super) max_answer: usize,
    pub(super) window: usize,
    pub(super) success_codes: Vec<i32>,
    pub(super) ahead: usize,
}

impl PoolSettings {
    /// A pool of this command with what holds unless it is set.
    pub(super) fn new(command: Command, framing: Framing) -> Self {
        Self {
            name: "pool".into(),
            command,
            framing,
            noise: Noise::Error,
            min: 1,
            max: std::thread::available_parallelism().map_or(1, usize::from),
            queue: 1024,
            spare: 0,
            ready_within: Duration::from_secs(30),
            job_timeout: None,
            idle_timeout: Duration::from_secs(60),
            soft: Duration::from_secs(1),
            ladder: Ladder::new().term(Duration::from_secs(1)).kill(),
            max_jobs: None,
            max_age: None,
            max_rss: None,
            max_rss_hard: None,
            backoff: Backoff::new(),
            max_frame: 8 << 20,
            max_answer: 64 << 20,
            window: 16,
            success_codes: vec![0],
            ahead: AHEAD,
        }
    }

    /// How many jobs may be in the pool: those that wait, and one for each worker that there may be.
    pub(super) const fn places(&self) -> usize {
        self.queue.saturating_add(self.max)
    }

    /// What the scheduler is told.
    pub(super) fn terms(&self) -> PoolTerms {
        let one_shot = self.framing == Framing::OneShot;
        PoolTerms {
            min: if one_shot { self.spare } else { self.min },
            max: self.max,
            one_shot,
            ready_within: self.ready_within,
            job_timeout: self.job_timeout,
            idle_timeout: self.idle_timeout,
            soft: (self.framing == Framing::Frames).then_some(self.soft),
            max_jobs: self.max_jobs,
            max_age: self.max_age,
            poison: POISON,
            down_after: DOWN_AFTER,
            backoff: self.backoff,
            ahead: AheadTerms {
                most: if self.framing == Framing::Frames {
                    self.ahead
                } else {
                    0
                },
                short: SHORT,
                after: SHORT_ONES,
            },
        }
    }

    /// The same with another command.
    pub(super) fn with_command(&self, command: Command) -> Self {
        Self {
            command,
            ..self.clone()
        }
    }

    /// What is wrong with it, as an error of this pool.
    pub(super) fn checked(&self) -> Result<(), SpecError> {
        self.check()
            .map_err(|problem| problem.of_a("pool", &self.name))
    }

    /// What is wrong with it.
    fn check(&self) -> Result<(), SpecProblem> {
        let problem = |field, text: &str| Err(SpecProblem::new(field, text));
        if self.max == 0 {
            return problem("workers", "there is to be no worker");
        }
        if self.min > self.max {
            let text = format!("at least {} and at most {}", self.min, self.max);
            return problem("workers", &text);
        }
        if self.places() > tokio::sync::Semaphore::MAX_PERMITS {
            return problem("queue", "is too large");
        }
        if self.spare > 0 && self.framing != Framing::OneShot {
            return problem("spare", "is for pools of one-shot processes");
        }
        if self.spare > self.max {
            let text = format!("{} are more than the {} workers", self.spare, self.max);
            return problem("spare", &text);
        }
        let times = [
            ("ready_within", Some(self.ready_within)),
            ("job_timeout", self.job_timeout),
            ("idle_timeout", Some(self.idle_timeout)),
            ("soft", Some(self.soft)),
            ("max_age", self.max_age),
        ];
        for (field, time) in times {
            if time == Some(Duration::ZERO) {
                return problem(field, "is zero");
            }
        }
        if self.max_jobs == Some(0) {
            return problem("max_jobs", "is zero");
        }
        for (field, size) in [
            ("max_rss", self.max_rss),
            ("max_rss_hard", self.max_rss_hard),
        ] {
            if size == Some(0) {
                return problem(field, "is zero");
            }
        }
        if self.framing == Framing::OneShot {
            let set = [
                ("max_jobs", self.max_jobs.is_some()),
                ("max_rss", self.max_rss.is_some()),
            ];
            if let Some((field, _)) = set.iter().find(|(_, set)| *set) {
                return problem(field, "a one-shot process has one job and ends");
            }
        }
        if self.max_frame == 0 {
            return problem("max_frame", "is zero");
        }
        if u32::try_from(self.max_frame.saturating_add(9)).is_err() {
            return problem(
                "max_frame",
                "does not fit into the 32 bits of a frame's length",
            );
        }
        if self.max_answer == 0 {
            return problem("max_answer", "is zero");
        }
        if self.window == 0 {
            return problem("window", "is zero");
        }
        if self.window > tokio::sync::Semaphore::MAX_PERMITS {
            return problem("window", "is too large");
        }
        self.backoff
            .check()
            .map_err(|text| SpecProblem::new("backoff", text))?;
        self.check_ladder()?;
        self.check_descriptors()?;
        let command = self.framed(self.command.clone());
        let checked = command
            .check()
            .and_then(|()| command.check_limits_of_the_host());
        checked.map_err(|error| SpecProblem::new("command", error.to_string()))
    }

    fn check_ladder(&self) -> Result<(), SpecProblem> {
        let problem = |text: String| Err(SpecProblem::new("stop", text));
        if self.ladder.last() != Some(StoppedBy::Signal(Signal::KILL)) {
            return problem(
                "its last step is not SIGKILL, so a stop could leave the worker running".to_owned(),
            );
        }
        if self.ladder.last_wait().is_none_or(|wait| wait < LEAST_KILL) {
            return problem(format!(
                "its last step, SIGKILL, has less than {LEAST_KILL:?}"
            ));
        }
        Ok(())
    }

    /// The command must leave the descriptors of the framing to the pool.
    fn check_descriptors(&self) -> Result<(), SpecProblem> {
        let map = self.command.fd_map();
        let refused = |text: String| Err(SpecProblem::new("framing", text));
        if map.iter().any(|(_, fd)| fd.is_terminal()) {
            return refused("the command is on a terminal".to_owned());
        }
        if self.framing == Framing::Frames {
            return match map.iter().find(|(n, _)| matches!(*n, JOBS | ANSWERS)) {
                Some((n, _)) => {
                    refused(format!("the command maps descriptor {n} to something else"))
                }
                None => Ok(()),
            };
        }
        let piped = |n: i32, is: fn(&Fd) -> bool| map.get(n).is_some_and(is);
        if !piped(0, Fd::is_write) || !piped(1, |fd| fd.is_read() || fd.is_stream()) {
            return refused(
                "the standard input or output of the command is no pipe of this program".to_owned(),
            );
        }
        Ok(())
    }

    /// The command with the descriptors of the framing.
    pub(super) fn framed(&self, command: Command) -> Command {
        match self.framing {
            Framing::Frames => {
                // Nobody would write to its standard input.
                let is_ours = command.fd_map().get(0).is_some_and(Fd::is_write);
                let command = match is_ours {
                    true => command.stdin(Fd::null()),
                    false => command,
                };
                command.fd(JOBS, Fd::write()).fd(ANSWERS, Fd::stream())
            }
            Framing::JsonLines | Framing::OneShot => command,
        }
    }

    /// A command as the pool needs it, for all the workers that it starts by it.
    pub(super) fn worker_command(&self, command: Command) -> Command {
        let mut command = self.framed(command);
        for fd in [1, 2] {
            let is_read = |fd: &Fd| fd.is_read() || fd.is_lines();
            if command.fd_map().get(fd).is_some_and(is_read) {
                command = command.fd(fd, Fd::stream());
            }
        }
        if command.get_process_group().is_none() {
            command = command.process_group(0);
        }
        command
            .ended_timeout(DRAIN)
            .parent_death_signal(Signal::KILL)
            // The stop at its exit deals with them.
            .on_leftovers(OnLeftovers::Hold)
            .on_orphaned(OnOrphaned::Kill)
            .orphaned_quietly()
    }
}
