//! A worker for oneself: `PoolHandle::checkout`.

use std::time::Duration;

use actix_process::pool::{Framing, Job, JobError, Pool, PoolHandle, Session, SessionFrame};
use actix_process::{Bytes, Command};
use futures::StreamExt;

use crate::common::{block_on_thread, eventually, in_time, run};

/// One worker of this kind.
fn python(script: &str) -> Pool {
    let command = Command::new("python3").args(["-c", script]);
    Pool::new(command).framing(Framing::JsonLines)
}

const ECHO: &str = "import sys, json
for line in sys.stdin:
    job = json.loads(line)
    if job['job'] == 'die': sys.exit(7)
    if job['job'] == 'twice': print(json.dumps({'id': job['id'], 'ok': 1}), flush=True)
    if job['job'] == 'parts':
        for n in range(3): print(json.dumps({'id': job['id'], 'chunk': n}), flush=True)
    kind = 'error' if job['job'] == 'fail' else 'ok'
    print(json.dumps({'id': job['id'], kind: job['job']}), flush=True)";

fn frames() -> PoolHandle {
    let pool = Pool::new(crate::worker_py()).workers(1..=1);
    pool.start().unwrap()
}

fn lines() -> PoolHandle {
    python(ECHO).workers(1..=1).start().unwrap()
}

async fn out(pool: &PoolHandle) -> Session {
    in_time(pool.checkout()).await.unwrap()
}

async fn ended(pool: PoolHandle) {
    let report = in_time(pool.drain(Duration::from_secs(20))).await;
    assert_eq!((report.killed, report.unkillable), (0, 0), "{report:?}");
}

fn end(body: &'static str) -> Option<Result<SessionFrame, JobError>> {
    Some(Ok(SessionFrame::End(Bytes::from_static(body.as_bytes()))))
}

fn chunk(body: &'static str) -> Option<Result<SessionFrame, JobError>> {
    Some(Ok(SessionFrame::Chunk(Bytes::from_static(body.as_bytes()))))
}

#[test]
fn a_session_asks_one_worker_again_and_again() {
    run(async {
        for (pool, hello) in [(frames(), "echo 1"), (lines(), "1")] {
            let mut session = out(&pool).await;
            for _ in 0..10 {
                assert_eq!(in_time(session.ask(hello)).await.unwrap(), "1");
            }
            assert!(std::path::Path::new(&format!("/proc/{}", session.pid())).exists());
            let stats = pool.stats().await.unwrap();
            assert_eq!(
                (stats.checked_out, stats.running, stats.outcomes.answered),
                (1, 1, 0),
                "{stats:?}"
            );
            drop(session);
            ended(pool).await;
        }
    });
}

#[test]
fn what_is_sent_is_answered_in_order_with_its_parts() {
    run(async {
        let pool = lines();
        let mut session = out(&pool).await;
        for job in ["\"parts\"", "2", "\"fail\""] {
            in_time(session.send(job)).await.unwrap();
        }
        for part in ["0", "1", "2"] {
            assert_eq!(in_time(session.next()).await, chunk(part));
        }
        assert_eq!(in_time(session.next()).await, end("\"parts\""));
        // An earlier answer is unread.
        let early = in_time(session.ask("3")).await.unwrap_err();
        assert!(matches!(early, JobError::Protocol { .. }), "{early:?}");
        assert_eq!(in_time(session.next()).await, end("2"));
        let failed = Some(Ok(SessionFrame::Error("\"fail\"".into())));
        assert_eq!(in_time(session.next()).await, failed);
        assert_eq!(in_time(session.ask("3")).await.unwrap(), "3");
        let remote = JobError::Remote("\"fail\"".into());
        assert_eq!(in_time(session.ask("\"fail\"")).await, Err(remote));
        // Nothing was sent of what is no JSON.
        let bad = in_time(session.send("{")).await.unwrap_err();
        assert!(matches!(bad, JobError::Protocol { .. }), "{bad:?}");
        assert_eq!(in_time(session.ask("4")).await.unwrap(), "4");
        drop(session);
        ended(pool).await;
    });
}

#[test]
fn an_unharmed_worker_goes_back_to_the_pool() {
    run(async {
        let pool = frames();
        let mut session = out(&pool).await;
        let worker = session.worker();
        // Answered, and read only in part.
        in_time(session.send("chunks 2")).await.unwrap();
        assert_eq!(in_time(session.next()).await, chunk("1"));
        assert_eq!(in_time(session.next()).await, chunk("2"));
        assert_eq!(in_time(session.next()).await, end(""));
        drop(session);
        assert_eq!(in_time(pool.submit(Job::new("echo x"))).await.unwrap(), "x");
        assert_eq!(out(&pool).await.worker(), worker);
        let stats = pool.stats().await.unwrap();
        assert_eq!(stats.outcomes.cancelled, 0, "{stats:?}");
        ended(pool).await;
    });
}

#[test]
fn a_worker_that_has_not_answered_all_is_replaced() {
    run(async {
        let pool = frames();
        let mut session = out(&pool).await;
        let (worker, pid) = (session.worker(), session.pid());
        in_time(session.send("slow")).await.unwrap();
        assert_eq!(in_time(session.next()).await, chunk("tick"));
        drop(session);
        let next = out(&pool).await;
        assert_ne!(next.worker(), worker);
        let there = std::path::PathBuf::from(format!("/proc/{pid}"));
        eventually(
            "its end",
            || (!there.exists()).then_some(()),
            || pid.to_string(),
        )
        .await;
        let stats = pool.stats().await.unwrap();
        assert_eq!(stats.outcomes.cancelled, 1, "{stats:?}");
        drop(next);
        ended(pool).await;
    });
}

#[test]
fn a_lost_worker_is_the_last_item() {
    run(async {
        let pool = lines();
        let mut session = out(&pool).await;
        in_time(session.send("1")).await.unwrap();
        in_time(session.send("\"die\"")).await.unwrap();
        in_time(session.send("2")).await.unwrap();
        assert_eq!(in_time(session.next()).await, end("1"));
        let lost = in_time(session.next()).await;
        let Some(Err(JobError::WorkerLost { status, .. })) = &lost else {
            panic!("{lost:?}")
        };
        assert_eq!(status.unwrap().code(), Some(7));
        assert_eq!(in_time(session.next()).await, None);
        let again = in_time(session.send("3")).await;
        assert!(
            matches!(again, Err(JobError::WorkerLost { .. })),
            "{again:?}"
        );
        let again = in_time(session.ask("3")).await;
        assert!(
            matches!(
                again,
                Err(JobError::WorkerLost { .. }) | Err(JobError::Protocol { .. })
            ),
            "{again:?}"
        );
        drop(session);
        // The pool goes on.
        assert_eq!(in_time(out(&pool).await.ask("1")).await.unwrap(), "1");
        ended(pool).await;
    });
}

#[test]
fn an_answer_out_of_turn_ends_the_session_and_the_worker() {
    run(async {
        let pool = lines();
        let mut session = out(&pool).await;
        in_time(session.send("\"twice\"")).await.unwrap();
        assert_eq!(in_time(session.next()).await, end("1"));
        let wrong = in_time(session.next()).await;
        assert!(
            matches!(wrong, Some(Err(JobError::Protocol { .. }))),
            "{wrong:?}"
        );
        assert_eq!(in_time(session.next()).await, None);
        let worker = session.worker();
        drop(session);
        assert_ne!(out(&pool).await.worker(), worker);
        ended(pool).await;
    });
}

#[test]
fn sends_wait_when_a_window_of_them_is_unanswered() {
    run(async {
        let pool = Pool::new(crate::worker_py()).workers(1..=1).window(2);
        let pool = pool.start().unwrap();
        let mut session = out(&pool).await;
        in_time(session.send("chunks 100")).await.unwrap();
        in_time(session.send("echo a")).await.unwrap();
        // The worker has the first one. Its parts wait for their reader, so neither is answered.
        assert_eq!(in_time(session.next()).await, chunk("1"));
        {
            let third = std::pin::pin!(session.send("echo b"));
            assert!(futures::poll!(third).is_pending());
        }
        let mut ends = 0;
        while ends < 1 {
            let frame = in_time(session.next()).await.unwrap().unwrap();
            ends += usize::from(matches!(frame, SessionFrame::End(_)));
        }
        in_time(session.send("echo b")).await.unwrap();
        assert_eq!(in_time(session.next()).await, end("a"));
        assert_eq!(in_time(session.next()).await, end("b"));
        drop(session);
        ended(pool).await;
    });
}

#[test]
fn a_slow_reader_holds_up_its_worker_only() {
    run(async {
        let pool = Pool::new(crate::worker_py()).workers(2..=2).window(1);
        let pool = pool.start().unwrap();
        let mut session = out(&pool).await;
        in_time(session.send("chunks 20000")).await.unwrap();
        assert_eq!(in_time(session.next()).await, chunk("1"));
        for _ in 0..20 {
            assert_eq!(in_time(pool.submit(Job::new("echo y"))).await.unwrap(), "y");
        }
        let mut last = in_time(session.next()).await;
        let mut parts = 1;
        while let Some(Ok(SessionFrame::Chunk(_))) = last {
            parts += 1;
            last = in_time(session.next()).await;
        }
        assert_eq!((parts, last), (20_000, end("")));
        drop(session);
        ended(pool).await;
    });
}

#[test]
fn a_session_has_no_job_timeout() {
    run(async {
        let pool = Pool::new(crate::worker_py()).workers(1..=1);
        let pool = pool.job_timeout(Duration::from_millis(50)).start().unwrap();
        let mut session = out(&pool).await;
        in_time(session.send("slow")).await.unwrap();
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(300) {
            assert_eq!(in_time(session.next()).await, chunk("tick"));
        }
        drop(session);
        ended(pool).await;
    });
}

#[test]
fn a_checkout_holds_a_place_while_it_waits_and_while_it_is_out() {
    run(async {
        let pool = Pool::new(crate::worker_py()).workers(1..=1).queue(1);
        let pool = pool.start().unwrap();
        let first = out(&pool).await;
        let mut second = Box::pin(pool.checkout());
        assert!(futures::poll!(second.as_mut()).is_pending());
        let full = in_time(pool.checkout()).await.unwrap_err();
        assert!(
            matches!(full, JobError::QueueFull { limit: 1, .. }),
            "{full:?}"
        );
        let worker = first.worker();
        drop(first);
        let second = in_time(second).await.unwrap();
        assert_eq!(second.worker(), worker);
        drop(second);
        ended(pool).await;
    });
}

#[test]
fn a_checkout_that_is_dropped_while_it_waits_takes_nothing() {
    run(async {
        let pool = frames();
        let mut session = out(&pool).await;
        let mut waiting = Box::pin(pool.checkout());
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop(waiting);
        assert_eq!(in_time(session.ask("echo z")).await.unwrap(), "z");
        let worker = session.worker();
        drop(session);
        assert_eq!(out(&pool).await.worker(), worker);
        let stats = pool.stats().await.unwrap();
        assert_eq!(stats.outcomes.cancelled, 1, "{stats:?}");
        ended(pool).await;
    });
}

/// At whatever moment: the worker is still there, and unharmed.
#[test]
fn a_checkout_that_is_dropped_at_any_moment_leaves_the_worker_unharmed() {
    run(async {
        let pool = frames();
        let worker = out(&pool).await.worker();
        for turns in 0..200 {
            let mut waiting = Box::pin(pool.checkout());
            for _ in 0..turns % 20 {
                if futures::poll!(waiting.as_mut()).is_ready() {
                    break;
                }
                std::thread::yield_now();
            }
            drop(waiting);
        }
        assert_eq!(out(&pool).await.worker(), worker);
        ended(pool).await;
    });
}

#[test]
fn a_drain_waits_for_a_session() {
    run(async {
        let pool = frames();
        let mut session = out(&pool).await;
        let mut drain = Box::pin(pool.drain(Duration::from_secs(30)));
        assert!(futures::poll!(drain.as_mut()).is_pending());
        in_time(pool.closing()).await;
        assert_eq!(in_time(session.ask("echo on")).await.unwrap(), "on");
        assert!(futures::poll!(drain.as_mut()).is_pending());
        drop(session);
        let report = in_time(drain).await;
        assert_eq!(
            (report.finished, report.ended, report.clean),
            (1, 0, 1),
            "{report:?}"
        );
    });
}

#[test]
fn a_drain_ends_a_session_at_its_deadline() {
    run(async {
        let pool = frames();
        let mut session = out(&pool).await;
        let report = in_time(pool.drain(Duration::from_millis(50))).await;
        assert_eq!((report.finished, report.ended), (0, 1), "{report:?}");
        assert_eq!(
            in_time(session.next()).await,
            Some(Err(JobError::ShuttingDown))
        );
        assert_eq!(in_time(session.next()).await, None);
    });
}

#[test]
fn a_shutdown_ends_sessions_and_those_who_wait_for_one() {
    run(async {
        let pool = frames();
        let mut session = out(&pool).await;
        let mut waiting = Box::pin(pool.checkout());
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        let report = in_time(pool.shutdown(Duration::from_secs(20))).await;
        assert_eq!(report.ended, 2, "{report:?}");
        assert_eq!(in_time(waiting).await.unwrap_err(), JobError::ShuttingDown);
        let rest: Vec<_> = in_time((&mut session).collect()).await;
        assert_eq!(rest, [Err(JobError::ShuttingDown)]);
        assert_eq!(
            in_time(session.send("echo")).await,
            Err(JobError::ShuttingDown)
        );
        assert_eq!(
            in_time(pool.checkout()).await.unwrap_err(),
            JobError::ShuttingDown
        );
    });
}

#[test]
fn a_pool_of_one_shot_processes_refuses_a_checkout() {
    run(async {
        let pool = Pool::one_shot(Command::new("cat")).start().unwrap();
        let error = in_time(pool.checkout()).await.unwrap_err();
        assert!(matches!(error, JobError::Protocol { .. }), "{error:?}");
        ended(pool).await;
    });
}

/// Without any runtime, and with no handle besides.
#[test]
fn a_session_keeps_the_pool_running() {
    let pool = frames();
    let mut session = block_on_thread(pool.checkout()).unwrap();
    let closed = pool.closed();
    drop(pool);
    assert_eq!(block_on_thread(session.ask("echo alone")).unwrap(), "alone");
    drop(session);
    block_on_thread(closed);
}

#[test]
fn a_whole_answer_of_a_session_that_is_too_large_is_refused() {
    run(async {
        let pool = Pool::new(crate::worker_py()).workers(1..=1).max_answer(8);
        let pool = pool.max_frame(100).start().unwrap();
        let mut session = out(&pool).await;
        let large = in_time(session.ask("echo 123456789")).await;
        assert!(
            matches!(large, Err(JobError::TooLarge { limit: 8, .. })),
            "{large:?}"
        );
        let large = in_time(session.ask("chunks 9")).await;
        assert!(
            matches!(large, Err(JobError::TooLarge { limit: 8, .. })),
            "{large:?}"
        );
        assert_eq!(in_time(session.ask("chunks 8")).await.unwrap(), "12345678");
        let large = in_time(session.send(vec![b' '; 101])).await;
        assert!(
            matches!(large, Err(JobError::TooLarge { limit: 100, .. })),
            "{large:?}"
        );
        assert_eq!(in_time(session.ask("echo ok")).await.unwrap(), "ok");
        drop(session);
        ended(pool).await;
    });
}
