//! The same jobs by each framing, and what is one framing's own.

use std::time::Duration;

use actix_process::Command;
use actix_process::pool::{Framing, Job, JobError, Pool, PoolHandle};
use futures::StreamExt;

use crate::common::{in_time, run};

/// Workers that answer a job with itself.
fn echoes() -> [(&'static str, Pool); 3] {
    let lines = "import sys, json\nfor line in sys.stdin:\n job = json.loads(line)\n print(json.dumps({'id': job['id'], 'ok': job['job']}), flush=True)";
    [
        ("frames", Pool::new(crate::worker_py())),
        (
            "lines",
            Pool::new(Command::new("python3").args(["-c", lines])).framing(Framing::JsonLines),
        ),
        ("one shot", Pool::one_shot(Command::new("cat"))),
    ]
}

async fn ended(pool: PoolHandle) {
    let report = in_time(pool.drain(Duration::from_secs(20))).await;
    assert_eq!(
        (report.killed, report.unkillable, report.ended),
        (0, 0, 0),
        "{report:?}"
    );
}

#[test]
fn the_same_jobs_have_the_same_answers() {
    run(async {
        for (name, pool) in echoes() {
            let pool = pool.workers(1..=2).start().unwrap();
            let prefix = if name == "frames" { "echo " } else { "" };
            let jobs = (0..50).map(|number| pool.submit(Job::new(format!("{prefix}{number}"))));
            let answers = in_time(futures::future::join_all(jobs)).await;
            for (number, answer) in answers.into_iter().enumerate() {
                assert_eq!(answer.unwrap(), number.to_string(), "{name}");
            }
            ended(pool).await;
        }
    });
}

#[test]
fn the_standard_input_of_a_worker_that_speaks_frames_has_ended() {
    run(async {
        let pool = crate::workers::workers().workers(1..=1).start().unwrap();
        assert_eq!(crate::workers::answer(&pool, "input").await, "0");
        ended(pool).await;
    });
}

#[test]
fn an_answer_is_streamed_part_by_part() {
    run(async {
        let pool = Pool::new(crate::worker_py())
            .workers(1..=1)
            .start()
            .unwrap();
        let stream = in_time(pool.stream(Job::new("chunks 5"))).await.unwrap();
        let parts: Vec<_> = in_time(stream.collect()).await;
        let parts: Vec<_> = parts.into_iter().map(Result::unwrap).collect();
        assert_eq!(parts, ["1", "2", "3", "4", "5"]);
        ended(pool).await;
    });
}

#[test]
fn a_one_shot_process_that_fails_is_told_with_its_status_and_its_complaint() {
    run(async {
        let command = Command::new("sh").args(["-c", "echo oh >&2; exit 3"]);
        let pool = Pool::one_shot(command).start().unwrap();
        let error = in_time(pool.submit(Job::new("x"))).await.unwrap_err();
        let JobError::Failed { status, tail, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(status.code(), Some(3));
        assert_eq!(tail, "oh\n");
        ended(pool).await;
    });
}

#[test]
fn a_dropped_answer_cancels_and_the_worker_goes_on() {
    run(async {
        let pool = Pool::new(crate::worker_py())
            .workers(1..=1)
            .start()
            .unwrap();
        let stream = in_time(pool.stream(Job::new("slow"))).await.unwrap();
        drop(stream);
        assert_eq!(
            in_time(pool.submit(Job::new("echo on"))).await.unwrap(),
            "on"
        );
        let stats = pool.stats().await.unwrap();
        assert_eq!(
            (stats.outcomes.cancelled, stats.outcomes.answered),
            (1, 1),
            "{stats:?}"
        );
        ended(pool).await;
    });
}
