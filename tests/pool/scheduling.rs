//! Which job goes to which worker, and how many workers there are.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake};
use std::time::Duration;

use actix::Arbiter;
use actix_process::pool::{Answer, Job, JobError, Pool, PoolEventKind, PoolHandle, Recycling};
use futures::future::join_all;
use tokio::sync::oneshot;

use crate::common::{in_time, run};
use crate::told_worker::{Folder, ask, ended, event, refused, stats_when, worker};

fn workers(least: usize, most: usize) -> Pool {
    Pool::new(worker([])).workers(least..=most)
}

#[test]
fn jobs_go_in_their_order_and_urgent_ones_first() {
    run(async {
        let folder = Folder::new();
        let pool = workers(1, 1).start().unwrap();
        let held = pool.submit(Job::new(folder.job("gate", "gate")));
        stats_when(&pool, "its begin", |stats| stats.running == 1).await;
        let note = |text: &str| Job::new(format!("{} {text}", folder.job("note", "notes")));
        let jobs = [
            pool.submit(note("a")),
            pool.submit(note("b")),
            pool.submit(note("c").urgent()),
            pool.submit(note("d")),
            pool.submit(note("e").urgent()),
        ];
        stats_when(&pool, "a queue", |stats| stats.waiting == 5).await;
        folder.make("gate");
        in_time(held).await.unwrap();
        in_time(join_all(jobs)).await;
        assert_eq!(folder.lines("notes"), ["c", "e", "a", "b", "d"]);
        ended(pool).await;
    });
}

#[test]
fn a_job_goes_to_the_worker_that_was_idle_last() {
    run(async {
        let pool = workers(3, 3).start().unwrap();
        stats_when(&pool, "idle workers", |stats| stats.idle == 3).await;
        let mut pids = HashSet::new();
        for _ in 0..20 {
            pids.insert(ask(&pool, "pid").await);
        }
        assert_eq!(pids.len(), 1);
        ended(pool).await;
    });
}

#[test]
fn jobs_of_one_key_go_in_order_one_at_a_time_to_one_worker() {
    run(async {
        let folder = Folder::new();
        let pool = workers(3, 3).start().unwrap();
        stats_when(&pool, "idle workers", |stats| stats.idle == 3).await;
        let keys = ["a", "b", "c", "d", "e"];
        let jobs = (0..8).flat_map(|number| keys.map(|key| (key, number)));
        let jobs = jobs.map(|(key, number)| {
            let job = Job::new(format!("{} {number}", folder.job("slowly", key))).key(key);
            // The order of a key holds for urgent ones as well.
            let job = if number % 3 == 2 { job.urgent() } else { job };
            let answer = pool.submit(job);
            async move { (key, answer.await.unwrap()) }
        });
        let answers = in_time(join_all(jobs)).await;
        for key in keys {
            let lines =
                (0..8).flat_map(|number| [format!("begin {number}"), format!("end {number}")]);
            assert_eq!(folder.lines(key), lines.collect::<Vec<_>>(), "{key}");
            let of_key = answers.iter().filter(|(of, _)| *of == key);
            let pids: HashSet<_> = of_key.map(|(_, pid)| pid).collect();
            assert_eq!(pids.len(), 1, "{key}");
        }
        let pids: HashSet<_> = answers.iter().map(|(_, pid)| pid).collect();
        assert_eq!(pids.len(), 3);
        ended(pool).await;
    });
}

#[test]
fn a_key_outlives_its_worker() {
    run(async {
        let folder = Folder::new();
        let pool = workers(2, 2).start().unwrap();
        let died = pool.submit(Job::new(folder.job("die", "tries")).key("k"));
        let next = pool.submit(Job::new("pid").key("k"));
        let error = in_time(died).await.unwrap_err();
        assert!(matches!(error, JobError::WorkerLost { .. }), "{error:?}");
        assert_ne!(in_time(next).await.unwrap(), folder.lines("tries")[0]);
        ended(pool).await;
    });
}

#[test]
fn workers_are_as_many_as_the_jobs_need_and_idle_ones_go() {
    run(async {
        let folder = Folder::new();
        let pool = workers(1, 3)
            .idle_timeout(Duration::from_millis(200))
            .start()
            .unwrap();
        let mut events = pool.events();
        let stats = stats_when(&pool, "one", |stats| stats.idle == 1).await;
        assert_eq!(stats.starting, 0, "{stats:?}");
        let jobs = (0..4).map(|_| pool.submit(Job::new(folder.job("gate", "gate"))));
        let jobs: Vec<_> = jobs.collect();
        let stats = stats_when(&pool, "three at work", |stats| stats.busy == 3).await;
        assert_eq!((stats.waiting, stats.starting), (1, 0), "{stats:?}");
        folder.make("gate");
        in_time(join_all(jobs)).await;
        let stats = stats_when(&pool, "one again", |stats| {
            (stats.idle, stats.stopping) == (1, 0)
        });
        assert_eq!(stats.await.recycled.idle, 2);
        let told = event(&mut events, |what| match what {
            PoolEventKind::Recycled { why, .. } => Some(*why),
            _ => None,
        });
        assert_eq!(told.await, Recycling::Idle);
        // And that one stays.
        let kept = ask(&pool, "pid").await;
        actix_rt::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(ask(&pool, "pid").await, kept);
        ended(pool).await;
    });
}

#[test]
fn a_pool_may_be_without_workers_while_there_is_no_job() {
    run(async {
        let pool = workers(0, 2)
            .idle_timeout(Duration::from_millis(50))
            .start()
            .unwrap();
        for _ in 0..3 {
            assert_eq!(ask(&pool, "echo on").await, "on");
            stats_when(&pool, "none", |stats| {
                stats.starting + stats.idle + stats.busy + stats.stopping == 0
            })
            .await;
        }
        ended(pool).await;
    });
}

#[test]
fn one_job_more_than_the_queue_holds_is_refused_at_once() {
    run(async {
        let folder = Folder::new();
        let pool = workers(1, 1).queue(2).start().unwrap();
        let jobs = (0..3).map(|_| pool.submit(Job::new(folder.job("gate", "gate"))));
        let jobs: Vec<_> = jobs.collect();
        let error = refused(&pool, Job::new("pid")).await;
        assert_eq!(error.to_string(), "the queue is full: 2 jobs wait");
        let waits = pool.submit_wait(Job::new("echo waited"));
        folder.make("gate");
        assert_eq!(in_time(waits).await.unwrap(), "waited");
        in_time(join_all(jobs)).await;
        assert_eq!(pool.stats().await.unwrap().outcomes.queue_full, 1);
        ended(pool).await;
    });
}

#[test]
fn jobs_of_the_pools_own_thread_keep_their_order_whatever_else_is_asked_between_them() {
    run(async {
        let folder = Folder::new();
        let pool = workers(1, 1).on(&Arbiter::current()).start().unwrap();
        let held = pool.submit(Job::new(folder.job("gate", "gate")));
        stats_when(&pool, "its begin", |stats| stats.running == 1).await;
        let note = |text: &str| Job::new(format!("{} {text}", folder.job("note", "notes")));
        let at_once = pool.submit(note("a"));
        let other = pool.clone();
        let mut asked = Box::pin(async move { other.stats().await });
        assert!(futures::poll!(&mut asked).is_pending());
        let behind_a_request = [pool.submit(note("b")), pool.submit(note("c"))];
        in_time(asked).await.unwrap();
        let last = pool.submit(note("d"));
        stats_when(&pool, "a queue", |stats| stats.waiting == 4).await;
        folder.make("gate");
        in_time(held).await.unwrap();
        in_time(join_all(
            [at_once, last].into_iter().chain(behind_a_request),
        ))
        .await;
        assert_eq!(folder.lines("notes"), ["a", "b", "c", "d"]);
        ended(pool).await;
    });
}

/// Submits a job when it is woken.
struct SubmittingWaker {
    pool: PoolHandle,
    job: Job,
    tell: Mutex<Option<oneshot::Sender<Answer>>>,
}

impl Wake for SubmittingWaker {
    fn wake(self: Arc<Self>) {
        if let Some(tell) = self.tell.lock().unwrap().take() {
            tell.send(self.pool.submit(self.job.clone())).unwrap();
        }
    }
}

#[test]
fn a_job_that_is_submitted_while_the_pool_tells_an_outcome_has_an_outcome_of_its_own() {
    run(async {
        let folder = Folder::new();
        let pool = workers(1, 1).on(&Arbiter::current()).start().unwrap();
        let note = |text: &str| Job::new(format!("{} {text}", folder.job("note", "notes")));
        let (tell, told) = oneshot::channel();
        let waker = SubmittingWaker {
            pool: pool.clone(),
            job: note("b"),
            tell: Mutex::new(Some(tell)),
        };
        let mut first = pin!(pool.submit(note("a")));
        let waker = Arc::new(waker).into();
        let polled = first.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        let second = in_time(told).await.unwrap();
        in_time(first).await.unwrap();
        in_time(second).await.unwrap();
        assert_eq!(folder.lines("notes"), ["a", "b"]);
        drop(waker);
        ended(pool).await;
    });
}
