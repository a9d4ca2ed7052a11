//! What has one id is told apart: each job has its own result, whatever else a stream of results has.

use std::time::Instant;

use actix_process::nats::{Feed, JobRequest, JobStatus, Submitter};
use actix_process::pool::Job;
use serde_json::json;

use crate::common::DEADLINE;
use crate::tools::jetstream::{count, make_stream, messages};
use crate::tools::worker::workers;
use crate::tools::{LONG, feed, on_server, result, submitter, until_is};

/// Two minutes.
const WINDOW: u64 = 120_000_000_000;

/// A job of this id.
fn job(id: &str, words: String) -> JobRequest {
    JobRequest::new(Job::new(words)).id(id)
}

#[test]
fn jobs_of_one_id_and_two_kinds_have_a_result_each_in_one_stream() {
    on_server(async |server| {
        let client = server.client().await;
        let config =
            json!({ "name": "RESULTS", "subjects": ["results.>"], "duplicate_window": WINDOW });
        make_stream(&client, config).await;
        let pool = workers(1);
        let kinds = [("A", "convert"), ("B", "thumb")];
        let mut feeds = Vec::new();
        for (stream, kind) in kinds {
            let feed = Feed::new(client.clone(), stream, kind);
            feeds.push(feed.start(&pool).await.unwrap());
        }
        for (_, kind) in kinds {
            let submitter = Submitter::new(client.clone(), format!("jobs.{kind}"));
            let job = job("picture-17", format!("echo {kind}"));
            let result = submitter.submit_and_wait(job, LONG).await.unwrap();
            assert_eq!(
                (result.id.as_str(), &*result.body),
                ("picture-17", kind.as_bytes())
            );
        }
        assert_eq!(count(&client, "RESULTS").await, 2);
        for feed in feeds {
            let stats = feed.stats();
            assert_eq!((stats.done, stats.duplicates), (1, 0), "{stats:?}");
        }
    });
}

#[test]
fn a_dead_job_has_a_result_though_both_are_in_one_stream() {
    on_server(async |server| {
        let client = server.client().await;
        let config = json!({
            "name": "OUT", "subjects": ["results.>", "dead.>"], "duplicate_window": WINDOW,
        });
        make_stream(&client, config).await;
        let pool = workers(1);
        let feed = feed(client.clone()).max_deliver(1);
        let _feed = feed.start(&pool).await.unwrap();
        let result = result(&submitter(&client), "die here").await;
        assert_eq!((result.status, result.attempts), (JobStatus::Dead, 1));
        until_is("no job", 0, async || count(&client, "JOBS").await).await;
        let out = messages(&client, "OUT").await;
        let mut said: Vec<_> = out.iter().map(|it| it.header("Job-Status")).collect();
        said.sort_unstable();
        assert_eq!(said, ["dead", "worker_lost"]);
    });
}

/// The stream of jobs forgets the id while that of results still has the result of the job before.
#[test]
fn an_id_that_is_submitted_again_and_again_has_the_result_of_its_last_job() {
    on_server(async |server| {
        let client = server.client().await;
        make_stream(
            &client,
            json!({
                "name": "JOBS", "subjects": ["jobs.convert"], "retention": "workqueue",
                "duplicate_window": 1_000_000_000,
            }),
        )
        .await;
        let pool = workers(1);
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        let submitter = submitter(&client);
        let (mut runs, mut last, mut known) = (0, None, 0);
        let begun = Instant::now();
        for number in 0.. {
            let job = job("daily", format!("echo {number}"));
            let result = submitter.submit_and_wait(job, LONG).await.unwrap();
            let result = String::from_utf8(result.body.to_vec()).unwrap();
            if result == number.to_string() {
                runs += 1;
                last = Some(result);
            } else {
                // No job: it was submitted inside of the window.
                assert_eq!(Some(result), last, "of number {number}, after {runs} jobs");
                known += usize::from(runs > 1);
            }
            if runs > 2 && known > 0 {
                break;
            }
            assert!(begun.elapsed() < DEADLINE, "{runs} jobs, {known} known");
        }
        assert_eq!(count(&client, "JOBS_RESULTS").await, runs);
        let stats = feed.stats();
        assert_eq!((stats.done, stats.duplicates), (runs, 0), "{stats:?}");
    });
}
