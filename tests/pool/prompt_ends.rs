//! Who waits for a worker that is lost or stopped hears of that at once, and is not killed by it.

use std::time::Duration;

use actix_process::pool::{Framing, Job, JobError, Pool, PoolEventKind};
use actix_process::{Command, Ladder};
use futures::StreamExt;
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;

use crate::common::isolated::isolated;
use crate::common::{eventually, in_time, run};
use crate::told_worker::{Folder, event};
use crate::workers::{LONG, answer, ended, gone, pid, pids, stats, submit, workers};

#[test]
fn a_stream_hears_of_its_timeout_while_its_worker_lives_on() {
    run(async {
        // It says its pid, and does not go at SIGTERM.
        let script = r#"trap '' TERM; read -r job; id=${job#*:}; echo "{\"id\":${id%%,*},\"chunk\":$$}"; while :; do sleep 600; done"#;
        let pool = Pool::new(Command::new("sh").args(["-c", script]))
            .framing(Framing::JsonLines)
            .workers(1..=1)
            .stop(Ladder::new().term(LONG).kill());
        let pool = pool.start().unwrap();
        let job = Job::new("1").timeout(Duration::from_secs(2));
        let mut stream = in_time(pool.stream(job)).await.unwrap();
        let pid = in_time(stream.next()).await.unwrap().unwrap();
        let pid: i32 = str::from_utf8(&pid).unwrap().parse().unwrap();
        let error = in_time(stream.next()).await.unwrap().unwrap_err();
        assert!(matches!(error, JobError::Timeout { .. }), "{error:?}");
        kill(Pid::from_raw(pid), None).unwrap();
        let report = in_time(pool.shutdown(Duration::ZERO)).await;
        assert_eq!(report.killed, 1, "{report:?}");
    });
}

#[test]
fn a_job_for_a_worker_that_has_closed_its_input_raises_no_sigpipe() {
    isolated(|| {
        // SAFETY: installs no handler; std had it ignored, so one that is raised now kills.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
        run(async {
            let pool = workers().workers(1..=1).start().unwrap();
            for _ in 0..5 {
                let before = pid(&pool).await;
                // The next job goes to the worker by its answer, and comes back.
                let (first, next) = (submit(&pool, "first 3"), submit(&pool, "echo x"));
                let (first, next) = in_time(futures::future::join(first, next)).await;
                assert_eq!((first.unwrap(), next.unwrap()), ("".into(), "x".into()));
                gone(before).await;
            }
            // What the pipe has no room for is written later: to nobody.
            let before = pid(&pool).await;
            kill(Pid::from_raw(before), Signal::SIGSTOP).unwrap();
            let large = pool.submit(Job::new(vec![b'x'; 4 << 20]));
            stats(&pool, "the job to run", |stats| stats.busy == 1).await;
            kill(Pid::from_raw(before), Signal::SIGKILL).unwrap();
            let lost = in_time(large).await.unwrap_err();
            assert!(matches!(lost, JobError::WorkerLost { .. }), "{lost:?}");
            assert_eq!(answer(&pool, "echo on").await, "on");
            ended(pool).await;
        });
    });
}

#[test]
fn a_worker_that_has_not_read_all_when_it_retires_gets_the_rest_and_goes_by_itself() {
    run(async {
        let pool = workers().workers(1..=1).start().unwrap();
        let folder = Folder::new();
        // More than a pipe has room for.
        let job = folder.job("pinged 40", "reads");
        in_time(pool.submit(Job::new(job))).await.unwrap();
        let mut events = pool.events();
        let mut drain = Box::pin(pool.drain(LONG));
        assert!(futures::poll!(drain.as_mut()).is_pending());
        stats(&pool, "the worker to retire", |stats| stats.stopping == 1).await;
        folder.make("reads");
        in_time(drain).await;
        let status = event(&mut events, |what| match what {
            PoolEventKind::Ended { exit, .. } => exit.status,
            _ => None,
        });
        // By the end of its input, and no signal.
        let status = status.await;
        assert!(status.success(), "{status:?}");
    });
}

#[test]
fn a_checkout_that_a_lost_worker_never_had_goes_to_the_next_one() {
    isolated(|| {
        run(async {
            let pool = workers().workers(1..=1).start().unwrap();
            for _ in 0..3 {
                let before = pid(&pool).await;
                assert_eq!(answer(&pool, "last 4").await, "");
                // The pool has heard of it soon, and waits half a second for a status.
                let path = format!("/proc/{before}/fd/4");
                let closed = || (!std::path::Path::new(&path).exists()).then_some(());
                eventually("its end", closed, || path.clone()).await;
                for _ in 0..3 {
                    pool.stats().await.unwrap();
                }
                actix_rt::time::sleep(Duration::from_millis(50)).await;
                let mut session = in_time(pool.checkout()).await.unwrap();
                assert_eq!(in_time(session.ask("echo x")).await.unwrap(), "x");
                assert_ne!(session.pid(), before);
                drop(session);
                gone(before).await;
            }
            assert_eq!(pids().len(), 1);
            ended(pool).await;
        });
    });
}
