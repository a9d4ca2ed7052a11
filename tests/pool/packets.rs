//! What is in the pipe of a worker that jobs are sent ahead to: each job whole, and once, whatever is taken back from among them.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::time::{Duration, Instant};

use actix_process::pool::{Answer, Job, JobError, Pool, PoolHandle};
use actix_process::{Bytes, Command};
use actix_rt::Arbiter;
use futures::future::join_all;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, geteuid, setresuid};

use crate::common::isolated::{isolated, skipped};
use crate::common::refuse::{Call, refuse};
use crate::common::{DEADLINE, amount, eventually, in_time, run};
use crate::told_worker;
use crate::workers::{ended, stats};

fn strict(args: &[&str]) -> Command {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pool/strict_worker.py");
    Command::new("python3").arg(path).args(args)
}

/// On this thread: nothing happens in the pool while a test does not wait.
fn here(command: Command, workers: usize) -> PoolHandle {
    let pool = Pool::new(command).workers(workers..=workers);
    pool.on(&Arbiter::current()).start().unwrap()
}

async fn all(jobs: Vec<Answer>) -> Vec<Result<Bytes, JobError>> {
    in_time(join_all(jobs)).await
}

/// Jobs that are sent ahead after these.
async fn short_ones(pool: &PoolHandle, workers: usize) {
    let jobs = (0..20 * workers).map(|_| pool.submit(Job::new("echo x")));
    assert!(all(jobs.collect()).await.iter().all(Result::is_ok));
}

/// Blocks this thread, and so the pool.
fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "waited for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

fn is_text(answer: &Result<Bytes, JobError>, text: &str) -> bool {
    answer
        .as_ref()
        .is_ok_and(|answer| answer == text.as_bytes())
}

/// These jobs, by number, are answered with their texts.
async fn each_is_whole(jobs: Vec<(u32, Answer)>, text: impl Fn(u32) -> String) {
    for (number, job) in jobs {
        let answer = in_time(job).await;
        let text = text(number);
        assert!(is_text(&answer, &text), "{answer:?}, and not {text}");
    }
}

#[test]
fn two_cancels_cost_no_other_job() {
    run(async {
        let pool = here(told_worker::worker([]), 1);
        for round in 0..amount(3000, 300) {
            short_ones(&pool, 1).await;
            let text = |number: u32| format!("{round}.{number} ").repeat(1000)[..1500].to_owned();
            let job = |n: u32| pool.submit(Job::new(format!("echo {}", text(n))));
            let mut jobs: Vec<_> = (0..7).map(|n| (n, job(n))).collect();
            for _ in 0..2 {
                drop(jobs.pop());
                // The pool hears of it.
                pool.stats().await.unwrap();
            }
            each_is_whole(jobs, text).await;
        }
        ended(pool).await;
    });
}

#[test]
fn a_worker_that_reads_4096_bytes_gets_each_job_whole_whatever_is_taken_back() {
    run(async {
        let pool = here(strict(&["4096"]), 1);
        for round in 0..amount(400, 100) {
            short_ones(&pool, 1).await;
            let text = |number: u32| format!("{round}.{number} ").repeat(1000)[..3000].to_owned();
            let mut jobs: Vec<_> = (0..6)
                .map(|n| (n, pool.submit(Job::new(text(n)))))
                .collect();
            drop(jobs.remove(3));
            each_is_whole(jobs, text).await;
        }
        ended(pool).await;
    });
}

/// The only worker of the pool.
async fn pid(pool: &PoolHandle) -> Pid {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pid");
    let note = pool.submit(Job::new(format!("note {}", path.display())));
    in_time(note).await.unwrap();
    let pid = fs::read_to_string(path).unwrap();
    Pid::from_raw(pid.trim().parse().unwrap())
}

/// A read would come from the end of the long one to the short one, which it has no room for. Two things prevent that: the scheduler sends nothing ahead behind a
/// long job, and the pipe takes no packet behind a stream.
#[test]
fn short_jobs_are_whole_behind_a_long_one_that_is_unread() {
    run(async {
        for (room, long) in [("4096", 5000), ("65536", 64_000)] {
            let pool = here(strict(&[room]), 1);
            let worker = pid(&pool).await;
            for round in 0..amount(20, 5) {
                short_ones(&pool, 1).await;
                let text = |number: u32| {
                    let length = if number == 0 { long } else { 3900 };
                    format!("{round}.{number} ").repeat(20_000)[..length].to_owned()
                };
                kill(worker, Signal::SIGSTOP).unwrap();
                let jobs = (0..4).map(|number| (number, pool.submit(Job::new(text(number)))));
                let jobs = jobs.collect();
                // The pool has sent what it sends.
                pool.stats().await.unwrap();
                kill(worker, Signal::SIGCONT).unwrap();
                each_is_whole(jobs, text).await;
            }
            ended(pool).await;
        }
    });
}

/// A job that its worker never ends, and three behind it.
async fn deaf_and_three(pool: PoolHandle, what: &str) {
    let folder = tempfile::tempdir().unwrap();
    short_ones(&pool, 1).await;
    let path = folder.path().join("deaf");
    let deaf = Job::new(format!("deaf {}", path.display())).timeout(Duration::from_millis(300));
    let deaf = pool.submit(deaf);
    let behind = (0..3).map(|_| pool.submit(Job::new("b"))).collect();
    until("the job to be read", || lines(&path) == 1);
    let timeout = in_time(deaf).await;
    assert!(
        matches!(timeout, Err(JobError::Timeout { .. })),
        "{timeout:?}"
    );
    let behind = all(behind).await;
    assert!(behind.iter().all(Result::is_ok), "{what}: {behind:?}");
    ended(pool).await;
}

#[test]
fn what_waits_behind_a_deaf_job_is_not_lost_with_it() {
    run(deaf_and_three_of(&["65536"]));
}

#[test]
fn what_waits_in_a_pipe_that_the_worker_has_enlarged_is_not_lost() {
    run(deaf_and_three_of(&["65536", "grow"]));
}

async fn deaf_and_three_of(args: &[&str]) {
    deaf_and_three(here(strict(args), 1), &format!("{args:?}")).await;
}

#[test]
fn in_a_sandbox_without_splice_nothing_is_sent_ahead_and_lost() {
    isolated(|| {
        refuse(Call::Any(libc::SYS_splice), libc::ENOSYS);
        run(deaf_and_three_of(&["65536"]));
    });
}

#[test]
fn what_was_taken_back_and_put_into_the_pipe_again_is_still_not_lost_with_a_deaf_job() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let pool = here(strict(&["65536"]), 1);
        for round in 0..amount(20, 5) {
            let worker = pid(&pool).await;
            short_ones(&pool, 1).await;
            let path = folder.path().join(format!("deaf{round}"));
            let deaf =
                Job::new(format!("deaf {}", path.display())).timeout(Duration::from_millis(50));
            kill(worker, Signal::SIGSTOP).unwrap();
            let deaf = pool.submit(deaf);
            let mut behind: Vec<_> = (0..4).map(|_| pool.submit(Job::new("b"))).collect();
            drop(behind.remove(1));
            pool.stats().await.unwrap();
            kill(worker, Signal::SIGCONT).unwrap();
            let timeout = in_time(deaf).await;
            assert!(
                matches!(timeout, Err(JobError::Timeout { .. })),
                "{timeout:?}"
            );
            let behind = all(behind).await;
            assert!(
                behind.iter().all(Result::is_ok),
                "round {round}: {behind:?}"
            );
        }
        ended(pool).await;
    });
}

/// Of a user who is not root: what is beyond a limit is two pages large.
#[test]
fn what_waits_behind_a_long_job_comes_back_also_where_there_are_many_pipes() {
    if !geteuid().is_root() {
        return skipped("this is not root");
    }
    isolated(|| {
        let folder = tempfile::tempdir().unwrap();
        chown(folder.path(), Some(65534), Some(65534)).unwrap();
        let nobody = Uid::from_raw(65534);
        setresuid(nobody, nobody, nobody).unwrap();
        run(async {
            let pool = here(strict(&["65536"]), 2);
            stats(&pool, "two idle ones", |stats| stats.idle == 2).await;
            short_ones(&pool, 2).await;
            let mut pipes = Vec::new();
            while pipes.len() < 80 {
                let (reader, writer) = std::io::pipe().unwrap();
                let _ = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(1 << 20));
                pipes.push((reader, writer));
            }
            for round in 0..10 {
                short_ones(&pool, 2).await;
                let go = |n| folder.path().join(format!("{round}.{n}"));
                let long =
                    (0..2).map(|n| pool.submit(Job::new(format!("until {}", go(n).display()))));
                let long = long.collect();
                let behind: Vec<_> = (0..7).map(|_| pool.submit(Job::new("b"))).collect();
                let held = |n| go(n).with_extension(format!("{n}.held")).exists();
                let both = || (held(0) && held(1)).then_some(());
                eventually("both long jobs", both, || format!("round {round}")).await;
                fs::write(go(0), "").unwrap();
                // All of them, by the worker that goes on.
                let behind = all(behind).await;
                assert!(behind.iter().all(Result::is_ok), "{behind:?}");
                fs::write(go(1), "").unwrap();
                all(long).await;
            }
            ended(pool).await;
        });
    });
}

#[test]
fn a_job_ahead_that_was_done_by_a_worker_out_of_step_is_not_done_again() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let pool = here(strict(&["65536"]), 1);
        for (round, first) in ["twice", "last"].into_iter().cycle().take(10).enumerate() {
            let begun = Instant::now();
            let path = loop {
                assert!(
                    begun.elapsed() < DEADLINE,
                    "none was sent ahead behind `{first}`"
                );
                short_ones(&pool, 1).await;
                let path = folder
                    .path()
                    .join(format!("{round}-{}", begun.elapsed().as_nanos()));
                // One that waits for the next job, and is sent none, is stopped.
                let bad = Job::new(first).timeout(Duration::from_secs(1));
                let bad = pool.submit(bad);
                let next = pool.submit(Job::new(format!("note {}", path.display())));
                // This thread does nothing meanwhile, and the pool reads no answer.
                let looked = Instant::now();
                while lines(&path) == 0 && looked.elapsed() < Duration::from_millis(300) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let was_ahead = lines(&path) == 1;
                all(vec![bad, next]).await;
                if was_ahead {
                    break path;
                }
            };
            assert_eq!(lines(&path), 1, "`{first}`: how often it ran");
        }
        ended(pool).await;
    });
}
