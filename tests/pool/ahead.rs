//! Jobs that are sent to a busy worker whose last ones were short: to which worker, and how they come back.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use actix_process::Bytes;
use actix_process::pool::{Answer, Job, JobError, Pool, PoolHandle};
use futures::future::join_all;
use futures::{FutureExt, StreamExt, stream};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::common::census::children;
use crate::common::helper::helper;
use crate::common::isolated::isolated;
use crate::common::{DEADLINE, amount, eventually, in_time, run};
use crate::told_worker;
use crate::workers::{LONG, ahead_workers, answer, ended, submit, workers};

/// How many bytes wait behind the job that a worker does, when a second one was submitted with it.
async fn behind(pool: &PoolHandle) -> String {
    for _ in 0..10 {
        answer(pool, "echo").await;
    }
    let (behind, echo) = (submit(pool, "behind"), submit(pool, "echo"));
    let answers = in_time(join_all([behind, echo])).await;
    let behind = answers.into_iter().next().unwrap().unwrap();
    String::from_utf8(behind.to_vec()).unwrap()
}

/// Jobs that wait behind one that a worker holds, or two of them at two workers.
pub(crate) struct Held {
    folder: TempDir,
    pub(crate) holding: Vec<Answer>,
    /// The workers.
    pids: Vec<i32>,
    pub(crate) behind: Vec<Answer>,
}

impl Held {
    /// Tries until all of them are sent ahead.
    pub(crate) async fn new(
        pool: &PoolHandle,
        hold: &str,
        workers: usize,
        behind: &[&str],
    ) -> Self {
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE {
            let folder = tempfile::tempdir().unwrap();
            let short = (0..10 * workers).map(|_| submit(pool, "echo"));
            in_time(join_all(short)).await;
            let go = folder.path().join("go");
            let holds = Job::new(format!("{hold} {}", go.display()));
            let mut holding: Vec<_> = (0..workers).map(|_| pool.submit(holds.clone())).collect();
            let behind = behind.iter().map(|job| {
                let job = job.replace("FOLDER", &folder.path().display().to_string());
                pool.submit(Job::new(job))
            });
            let behind: Vec<_> = behind.collect();
            let held = PathBuf::from(format!("{}.held", go.display()));
            let pids = || {
                let text = fs::read_to_string(&held).unwrap_or_default();
                text.lines()
                    .map(|pid| pid.parse().unwrap())
                    .collect::<Vec<i32>>()
            };
            while pids().len() < workers && begun.elapsed() < DEADLINE {
                tokio::time::sleep(Duration::from_millis(1)).await;
                // One that nothing waits behind answers soon.
                let answered = holding
                    .iter_mut()
                    .position(|job| job.now_or_never().is_some());
                if let Some(place) = answered {
                    drop(holding.remove(place));
                    break;
                }
            }
            if pids().len() == workers {
                return Self {
                    pids: pids(),
                    folder,
                    holding,
                    behind,
                };
            }
            fs::write(&go, "").unwrap();
            in_time(join_all(holding)).await;
            in_time(join_all(behind)).await;
        }
        panic!("no job was sent ahead");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn go(&self) {
        fs::write(self.path("go"), "").unwrap();
    }
}

pub(crate) async fn answers(jobs: Vec<Answer>) -> Vec<String> {
    let answers = in_time(join_all(jobs)).await;
    let text = |answer: Result<Bytes, JobError>| String::from_utf8(answer.unwrap().to_vec());
    answers
        .into_iter()
        .map(|answer| text(answer).unwrap())
        .collect()
}

fn one(pool: Pool) -> PoolHandle {
    pool.workers(1..=1).start().unwrap()
}

#[test]
fn a_worker_with_short_jobs_is_sent_the_next_one_ahead() {
    run(async {
        let pool = one(ahead_workers());
        let begun = Instant::now();
        while behind(&pool).await.is_empty() {
            assert!(begun.elapsed() < DEADLINE, "none was sent ahead");
        }
        ended(pool).await;
    });
}

#[test]
fn none_is_sent_ahead_to_a_worker_that_does_not_say_that_it_takes_them_or_to_a_pool_that_is_set_so()
{
    run(async {
        for pool in [one(workers()), one(ahead_workers().ahead(0))] {
            for _ in 0..5 {
                assert_eq!(behind(&pool).await, "");
            }
            ended(pool).await;
        }
    });
}

#[test]
fn an_idle_worker_does_what_one_that_is_held_was_sent_ahead() {
    run(async {
        let pool = ahead_workers().workers(2..=2).start().unwrap();
        let mut held = Held::new(&pool, "hold", 2, &["echo a", "echo b", "echo c", "echo d"]).await;
        // One is stopped, the other one goes on.
        let stopped = Pid::from_raw(held.pids[0]);
        kill(stopped, Signal::SIGSTOP).unwrap();
        held.go();
        assert_eq!(
            answers(std::mem::take(&mut held.behind)).await,
            ["a", "b", "c", "d"]
        );
        kill(stopped, Signal::SIGCONT).unwrap();
        assert_eq!(answers(std::mem::take(&mut held.holding)).await.len(), 2);
        ended(pool).await;
    });
}

#[test]
fn a_worker_that_dies_loses_the_job_that_it_has_begun_and_no_other() {
    run(async {
        let pool = one(ahead_workers());
        let mut held = Held::new(&pool, "hold", 1, &["echo a", "echo b", "echo c"]).await;
        kill(Pid::from_raw(held.pids[0]), Signal::SIGKILL).unwrap();
        let lost = in_time(held.holding.remove(0)).await.unwrap_err();
        assert!(
            matches!(lost, JobError::WorkerLost { attempts: 1, .. }),
            "{lost:?}"
        );
        assert_eq!(
            answers(std::mem::take(&mut held.behind)).await,
            ["a", "b", "c"]
        );
        ended(pool).await;
    });
}

#[test]
fn a_worker_that_goes_after_an_answer_loses_none_of_those_that_it_has_not_read() {
    run(async {
        let pool = one(ahead_workers());
        for _ in 0..amount(20, 3) {
            let mut held = Held::new(&pool, "leaves", 1, &["echo a", "echo b"]).await;
            held.go();
            assert_eq!(
                answers(std::mem::take(&mut held.holding)).await,
                [held.pids[0].to_string()]
            );
            assert_eq!(answers(std::mem::take(&mut held.behind)).await, ["a", "b"]);
        }
        ended(pool).await;
    });
}

#[test]
fn a_job_ahead_that_is_cancelled_is_not_begun() {
    run(async {
        let pool = one(ahead_workers());
        let mut held = Held::new(
            &pool,
            "hold",
            1,
            &["note FOLDER/first", "note FOLDER/second"],
        )
        .await;
        drop(held.behind.remove(0));
        // The pool has heard of it.
        let cancelled = || async { pool.stats().await.unwrap().outcomes.cancelled };
        let begun = Instant::now();
        while cancelled().await == 0 {
            assert!(begun.elapsed() < DEADLINE);
        }
        held.go();
        answers(std::mem::take(&mut held.behind)).await;
        assert!(Path::exists(&held.path("second")));
        assert!(!Path::exists(&held.path("first")));
        ended(pool).await;
    });
}

#[test]
fn an_urgent_job_goes_before_those_that_were_sent_ahead() {
    run(async {
        let pool = one(ahead_workers());
        let mut held = Held::new(&pool, "hold", 1, &["count", "count"]).await;
        let urgent = pool.submit(Job::new("count").urgent());
        pool.stats().await.unwrap();
        held.go();
        let (urgent, others) = (
            answers(vec![urgent]).await,
            answers(std::mem::take(&mut held.behind)).await,
        );
        let number = |text: &String| text.parse::<usize>().unwrap();
        assert!(
            number(&urgent[0]) < number(&others[0]),
            "{urgent:?}, {others:?}"
        );
        ended(pool).await;
    });
}

/// How many bytes wait in the pipes of the jobs of the told workers.
fn unread() -> i32 {
    let mut all = 0;
    for (pid, _) in children() {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let is_worker = line.windows(12).any(|part| part == b"@pool-worker");
        if is_worker && let Ok(pipe) = fs::File::open(format!("/proc/{pid}/fd/3")) {
            let mut bytes = 0;
            // SAFETY: the pointer is to a live integer, the descriptor is open.
            let asked = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
            assert_eq!(asked, 0);
            all += bytes;
        }
    }
    all
}

#[test]
fn a_worker_in_rust_gives_back_what_waits_behind_a_long_job() {
    isolated(|| {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            let pool = Pool::new(told_worker::worker([]))
                .workers(2..=2)
                .start()
                .unwrap();
            for round in 0..amount(20, 3) {
                let short = (0..200).map(|number| pool.submit(Job::new(format!("echo {number}"))));
                in_time(join_all(short)).await;
                let path = |name: &str| folder.path().join(format!("{name}{round}"));
                let gate = |name: &str| Job::new(format!("gate {}", path(name).display()));
                let (first, second) = (pool.submit(gate("first")), pool.submit(gate("second")));
                let behind: Vec<_> = (0..6)
                    .map(|number| pool.submit(Job::new(format!("echo {number}"))))
                    .collect();
                // The pool has sent what it sends.
                pool.stats().await.unwrap();
                let read = || (unread() == 0).then_some(());
                eventually("the workers to read", read, || unread().to_string()).await;
                fs::write(path("first"), "").unwrap();
                let numbers: Vec<_> = (0..6).map(|number| number.to_string()).collect();
                assert_eq!(answers(behind).await, numbers);
                fs::write(path("second"), "").unwrap();
                answers(vec![first, second]).await;
            }
            ended(pool).await;
        });
    });
}

/// What is taken back and what is read at that moment keep their order.
#[test]
fn cancels_beside_a_worker_that_reads_cost_no_other_job() {
    run(async {
        let pool = one(Pool::new(told_worker::worker([])));
        for round in 0..amount(20_000, 1_000) {
            let job = |number: u32| pool.submit(Job::new(format!("echo {round}.{number}")));
            let mut jobs: Vec<_> = (0..8).map(|number| (number, job(number))).collect();
            // Not always in the same moment of the worker's.
            for _ in 0..round % 50 {
                std::hint::spin_loop();
            }
            drop(jobs.remove(4 + round % 4));
            for (number, job) in jobs {
                assert_eq!(in_time(job).await.unwrap(), format!("{round}.{number}"));
            }
        }
        ended(pool).await;
    });
}

#[test]
fn a_worker_that_is_stopped_begins_with_none_of_those_that_it_was_sent_ahead() {
    run(async {
        // It goes on until it is killed, a second later.
        let pool = one(Pool::new(helper(["ignore", "15", "worker", "ahead"])));
        let held = Held::new(
            &pool,
            "hold",
            1,
            &["note FOLDER/first", "note FOLDER/second"],
        )
        .await;
        let mut report = Box::pin(pool.shutdown(LONG));
        assert!(report.as_mut().now_or_never().is_none());
        // The pool has heard of it.
        let _ = pool.stats().await;
        held.go();
        assert_eq!(in_time(report).await.ended, 3);
        assert!(!Path::exists(&held.path("first")) && !Path::exists(&held.path("second")));
    });
}

#[test]
fn short_and_long_bodies_come_whole_in_any_order() {
    run(async {
        let pool = Pool::new(told_worker::worker([]))
            .workers(2..=2)
            .start()
            .unwrap();
        let text = |number: usize| {
            let size = match number % 5 {
                0 => 200_000,
                1 => 4_078,
                2 => 4_079,
                _ => 10,
            };
            format!("{number} ").repeat(size)[..size].to_owned()
        };
        let jobs = stream::iter(0..amount(20_000, 1_000)).map(|number| {
            let job = pool.submit_wait(Job::new(format!("echo {}", text(number))));
            async move { (number, job.await) }
        });
        let wrong = jobs
            .buffer_unordered(32)
            .filter_map(async |(number, answer)| {
                (answer.unwrap() != text(number).as_bytes()).then_some(number)
            });
        let wrong: Vec<_> = wrong.collect().await;
        assert_eq!(wrong, Vec::<usize>::new());
        ended(pool).await;
    });
}
