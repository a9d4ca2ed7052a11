//! What comes while a job runs: cancels, pings, another job, the end of the pool.

use std::collections::BTreeSet;

use super::super::turns::PATIENCE;
use super::*;

/// Waits for a cancel without a call that sends.
fn until_cancelled(job: &WorkerJob) {
    let begun = Instant::now();
    while !job.is_cancelled() {
        assert!(begun.elapsed() < DEADLINE, "no cancel came");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_cancel_is_seen_while_the_function_runs_and_the_next_job_is_not_cancelled() {
    let host = Host::of(
        |worker| worker,
        |job| match text(job).as_str() {
            "wait" => {
                until_cancelled(job);
                assert_eq!(job.chunk("nobody's"), Err(Cancelled));
                Err("cancelled")
            }
            text => {
                assert!(!job.is_cancelled());
                Ok(text.to_owned())
            }
        },
    );
    for id in (10..50).step_by(2) {
        host.send(FrameKind::Job, id, "wait");
        // Of one that was answered, and of one that was never sent.
        host.send(FrameKind::Cancel, id - 1, "");
        host.send(FrameKind::Cancel, 1000, "");
        host.send(FrameKind::Cancel, id, "");
        host.expect(FrameKind::Error, id, "cancelled");
        host.send(FrameKind::Cancel, id, "");
        host.send(FrameKind::Job, id + 1, "next");
        host.expect(FrameKind::End, id + 1, "next");
    }
    host.end().unwrap();
}

#[test]
fn a_cancel_of_another_job_is_ignored() {
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let host = Host::of(
        |worker| worker,
        move |job| {
            may_go_on.recv_timeout(DEADLINE).expect("no word came");
            Ok::<_, Infallible>(format!("{}", job.is_cancelled()))
        },
    );
    host.send(FrameKind::Cancel, 1, "");
    for id in 1..10 {
        host.send(FrameKind::Job, id, "");
        host.send(FrameKind::Cancel, id + 1, "");
        // The watcher has read what came before.
        host.send(FrameKind::Ping, 0, "");
        host.expect(FrameKind::Pong, 0, "");
        go_on.send(()).unwrap();
        host.expect(FrameKind::End, id, "false");
    }
    host.end().unwrap();
}

#[test]
fn a_ping_is_answered_between_jobs_and_while_a_job_runs() {
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let host = Host::of(
        |worker| worker,
        move |_| {
            may_go_on.recv_timeout(DEADLINE).expect("no word came");
            Ok::<_, Infallible>("done")
        },
    );
    host.send(FrameKind::Ping, 3, "between");
    host.expect(FrameKind::Pong, 3, "between");
    for id in 1..20 {
        host.send(FrameKind::Job, id, "");
        host.send(FrameKind::Ping, id, "during");
        host.send(FrameKind::Pong, id, "nobody asked");
        host.send(FrameKind::Ping, 0, "once more");
        host.expect(FrameKind::Pong, id, "during");
        host.expect(FrameKind::Pong, 0, "once more");
        go_on.send(()).unwrap();
        host.expect(FrameKind::End, id, "done");
    }
    host.end().unwrap();
}

#[test]
fn the_end_of_the_pool_cancels_the_job_that_runs() {
    let host = Host::of(
        |worker| worker,
        |job| {
            job.chunk("begun")?;
            until_cancelled(job);
            Ok::<_, Cancelled>("")
        },
    );
    host.send(FrameKind::Job, 1, "");
    host.expect(FrameKind::Chunk, 1, "begun");
    let Host {
        jobs,
        answers,
        served,
    } = host;
    drop(jobs);
    let last = answers.recv_timeout(DEADLINE).unwrap();
    assert_eq!(last.kind, FrameKind::End);
    end_of(&served).unwrap();
}

#[test]
fn a_job_that_comes_while_another_one_takes_long_is_given_back_before_the_answer_to_that() {
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let host = Host::of(
        |worker| worker,
        move |_| {
            may_go_on.recv_timeout(DEADLINE).expect("no word came");
            Ok::<_, Infallible>("")
        },
    );
    host.send(FrameKind::Job, 1, "");
    host.send(FrameKind::Job, 2, "");
    host.send(FrameKind::Cancel, 2, "");
    host.send(FrameKind::Job, 3, "");
    host.expect(FrameKind::Back, 2, "");
    host.expect(FrameKind::Back, 3, "");
    go_on.send(()).unwrap();
    host.expect(FrameKind::End, 1, "");
    // It may come again.
    host.send(FrameKind::Job, 2, "");
    go_on.send(()).unwrap();
    host.expect(FrameKind::End, 2, "");
    host.end().unwrap();
}

#[test]
fn each_of_a_flood_of_jobs_is_answered_or_given_back() {
    const JOBS: u64 = 1000;
    let host = Host::of(
        |worker| worker,
        |job| {
            // Each hundredth takes long enough for the watcher to read.
            if job.frame.id % 100 == 0 {
                thread::sleep(PATIENCE * 4);
            }
            Ok::<_, Infallible>("")
        },
    );
    for id in 1..=JOBS {
        host.send(FrameKind::Job, id, "");
    }
    let (mut left, mut ended): (BTreeSet<u64>, u64) = ((1..=JOBS).collect(), 0);
    while !left.is_empty() {
        let frame = host.next();
        match frame.kind {
            FrameKind::End => {
                assert!(frame.id > ended, "{} after {ended}", frame.id);
                ended = frame.id;
            }
            kind => assert_eq!(kind, FrameKind::Back),
        }
        assert!(left.remove(&frame.id), "{frame:?} came twice");
    }
    host.end().unwrap();
}

#[test]
fn a_job_after_many_short_ones_hears_of_its_cancel_as_soon_as_it_asks() {
    let (tell, told) = mpsc::channel();
    let host = Host::of(
        |worker| worker,
        move |job| {
            if text(job) != "wait" {
                return Ok("");
            }
            until_cancelled(job);
            let _ = tell.send(job.begun.elapsed());
            Err("cancelled")
        },
    );
    let mut id = 0;
    // The watcher looks at its rarest then: without the question a job waits for two looks, at least a quarter of a second. The machine may be busy once.
    let mut waits = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(800) {
            id += 1;
            host.send(FrameKind::Job, id, "");
            host.expect(FrameKind::End, id, "");
        }
        id += 1;
        host.send(FrameKind::Job, id, "wait");
        host.send(FrameKind::Cancel, id, "");
        host.expect(FrameKind::Error, id, "cancelled");
        waits.push(told.recv_timeout(DEADLINE).unwrap());
    }
    let least = waits.iter().min().unwrap();
    assert!(*least < Duration::from_millis(200), "{waits:?}");
    host.end().unwrap();
}
