//! Streamed answers and their readers, and how large jobs and answers may be.

use std::time::Duration;

use actix_process::Command;
use actix_process::pool::{Job, JobError, Pool};
use futures::StreamExt;

use crate::common::isolated::isolated;
use crate::common::{amount, in_time, peak_memory, run};
use crate::told_worker::{ask, ended, refused, stats_when, worker};

/// The size of a part.
const PIECE: usize = 64 * 1024;

fn one() -> Pool {
    Pool::new(worker([])).workers(1..=1)
}

#[test]
fn a_reader_that_stops_holds_up_its_worker_only_and_memory_is_bounded() {
    isolated(|| {
        run(async {
            let pool = Pool::new(worker([])).workers(2..=2).window(4);
            let pool = pool.start().unwrap();
            stats_when(&pool, "two workers", |stats| stats.idle == 2).await;
            let before = peak_memory();
            let parts = amount(16 * 1024, 3 * 1024);
            let job = Job::new(format!("chunks {parts} {PIECE}"));
            let mut stream = in_time(pool.stream(job)).await.unwrap();
            let mut read = in_time(stream.next()).await.unwrap().unwrap().len();
            for number in 0..200 {
                let echo = format!("echo {number}");
                assert_eq!(ask(&pool, echo).await, number.to_string());
            }
            // It would be in memory by now.
            actix_rt::time::sleep(Duration::from_millis(300)).await;
            let stats = pool.stats().await.unwrap();
            assert_eq!((stats.running, stats.busy), (1, 1), "{stats:?}");
            while let Some(part) = in_time(stream.next()).await {
                read += part.unwrap().len();
            }
            assert_eq!(read, parts * PIECE);
            let grown = peak_memory() - before;
            assert!(grown < 24 << 20, "{grown} bytes more");
            ended(pool).await;
        });
    });
}

#[test]
fn dropping_a_stream_that_holds_its_worker_up_cancels_the_job() {
    run(async {
        let pool = one().window(1).start().unwrap();
        let before = ask(&pool, "pid").await;
        let job = Job::new(format!("chunks 1000000000 {PIECE}"));
        let mut stream = in_time(pool.stream(job)).await.unwrap();
        in_time(stream.next()).await.unwrap().unwrap();
        actix_rt::time::sleep(Duration::from_millis(100)).await;
        drop(stream);
        assert_eq!(ask(&pool, "pid").await, before);
        let stats = pool.stats().await.unwrap();
        assert_eq!(stats.outcomes.cancelled, 1, "{stats:?}");
        ended(pool).await;
    });
}

#[test]
fn an_error_after_parts_is_the_last_item() {
    run(async {
        let pool = one().start().unwrap();
        let stream = in_time(pool.stream(Job::new("chunk-error"))).await.unwrap();
        let items: Vec<_> = in_time(stream.collect()).await;
        let [Ok(part), Err(JobError::Remote(error))] = &items[..] else {
            panic!("{items:?}")
        };
        assert_eq!((&part[..], &error[..]), (&b"part"[..], &b"and no more"[..]));
        ended(pool).await;
    });
}

#[test]
fn an_error_without_parts_is_that_of_the_call() {
    run(async {
        let pool = one().start().unwrap();
        let job = Job::new("wait").timeout(Duration::from_millis(50));
        let error = in_time(pool.stream(job)).await.unwrap_err();
        assert!(matches!(error, JobError::Timeout { .. }), "{error:?}");
        ended(pool).await;
    });
}

#[test]
fn a_one_shot_answer_is_streamed_and_its_status_decides_at_the_end() {
    run(async {
        let script = "head -c 1000000 /dev/zero; exit $(cat)";
        let pool = Pool::one_shot(Command::new("sh").args(["-c", script]));
        let pool = pool.start().unwrap();
        for code in ["0", "7"] {
            let mut stream = in_time(pool.stream(Job::new(code))).await.unwrap();
            let mut read = 0;
            let mut last = None;
            while let Some(item) = in_time(stream.next()).await {
                match item {
                    Ok(part) => read += part.len(),
                    Err(error) => last = Some(error),
                }
            }
            assert_eq!(read, 1_000_000);
            let failed = matches!(last, Some(JobError::Failed { .. }));
            assert_eq!(failed, code == "7", "{last:?}");
        }
        ended(pool).await;
    });
}

fn assert_too_large(error: &JobError, most: usize) {
    assert!(
        matches!(error, JobError::TooLarge { limit, .. } if *limit == most),
        "{error:?}"
    );
}

#[test]
fn a_whole_answer_has_a_limit_and_its_worker_goes_on() {
    run(async {
        let pool = one().max_answer(10_000).start().unwrap();
        let before = ask(&pool, "pid").await;
        for job in ["chunks 1000 1000", "chunks 11 1000", "size 10001"] {
            assert_too_large(&refused(&pool, Job::new(job)).await, 10_000);
        }
        for job in ["chunks 10 1000", "size 10000"] {
            assert_eq!(ask(&pool, job).await.len(), 10_000);
        }
        assert_eq!(ask(&pool, "pid").await, before);
        // A streamed one has none.
        let stream = in_time(pool.stream(Job::new("chunks 20 1000"))).await;
        assert_eq!(in_time(stream.unwrap().count()).await, 20);
        let stats = pool.stats().await.unwrap();
        assert_eq!(stats.outcomes.too_large, 3, "{stats:?}");
        ended(pool).await;
    });
}

#[test]
fn a_whole_one_shot_answer_has_a_limit() {
    run(async {
        let command = Command::new("sh").args(["-c", "exec head -c $(cat) /dev/zero"]);
        let pool = Pool::one_shot(command).max_answer(100_000);
        let pool = pool.start().unwrap();
        assert_too_large(&refused(&pool, Job::new("100001")).await, 100_000);
        assert_eq!(ask(&pool, "100000").await.len(), 100_000);
        ended(pool).await;
    });
}

#[test]
fn a_frame_has_a_limit_both_ways() {
    run(async {
        let pool = one().max_frame(1000).start().unwrap();
        let echo = |size: usize| format!("echo {}", "x".repeat(size - 5));
        assert_too_large(&refused(&pool, Job::new(echo(1001))).await, 1000);
        let before = ask(&pool, "pid").await;
        assert_eq!(ask(&pool, echo(1000)).await.len(), 995);
        let error = refused(&pool, Job::new("size 1001")).await;
        assert!(matches!(error, JobError::Protocol { .. }), "{error:?}");
        assert_ne!(ask(&pool, "pid").await, before);
        ended(pool).await;
    });
}
