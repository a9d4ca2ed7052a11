//! Limits of streams and of messages lose no job, and hold no place of a host for ever.

use actix_process::nats::FeedError;
use serde_json::json;

use crate::common::in_time;
use crate::tools::jetstream::{count, make_stream, messages, publish, stream_info};
use crate::tools::worker::workers;
use crate::tools::{feed, on_server, stats, submit, submitter, until_is};

/// The server makes room for a new job by removing the oldest, whatever `discard` says.
#[test]
fn a_limit_of_the_jobs_of_a_subject_is_told_or_adopted() {
    on_server(async |server| {
        let client = server.client().await;
        let jobs = json!({
            "name": "JOBS", "subjects": ["jobs.>"], "retention": "workqueue", "discard": "new", "max_msgs_per_subject": 3,
        });
        make_stream(&client, jobs).await;
        let pool = workers(1);
        let refused = in_time(feed(client.clone()).start(&pool)).await;
        let Err(FeedError::Differs {
            what, field, found, ..
        }) = &refused
        else {
            panic!("{refused:?}");
        };
        let told = [what, *field, found];
        assert_eq!(told, ["stream JOBS", "max_msgs_per_subject", "3"]);
        let config = stream_info(&client, "JOBS").await["config"].clone();
        assert_eq!(config["max_msgs_per_subject"], 3, "{config}");
        let feed = feed(client.clone()).adopt().start(&pool).await.unwrap();
        in_time(feed.stop(crate::tools::LONG)).await;
        for _ in 0..6 {
            submit(&submitter(&client), "echo done").await;
        }
        assert_eq!(count(&client, "JOBS").await, 6);
    });
}

/// A result has a trace and an id of its job, and headers of 64 KiB at most.
#[test]
fn a_job_whose_headers_are_too_large_for_a_result_has_one_and_leaves_its_place() {
    on_server(async |server| {
        let client = server.client().await;
        let (trace, id) = ("x".repeat(65_450), "y".repeat(40_000));
        let pool = workers(1);
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        publish(&client, &[("traceparent", &trace)], "echo done").await;
        publish(&client, &[("Nats-Msg-Id", &id)], "echo never").await;
        until_is("two results", 2, async || {
            count(&client, "JOBS_RESULTS").await
        })
        .await;
        let results = messages(&client, "JOBS_RESULTS").await;
        let result = |status: &str| {
            let mut found = results.iter();
            let found = found.find(|result| result.header("Job-Status") == status);
            found.unwrap_or_else(|| panic!("{results:?}"))
        };
        assert_eq!(result("ok").body, "done");
        assert_eq!(result("ok").header("traceparent"), "");
        let said = String::from_utf8_lossy(&result("protocol").body);
        assert!(said.contains("Nats-Msg-Id"), "{said}");
        until_is("no job", 0, async || count(&client, "JOBS").await).await;
        stats(&feed, "no job", |stats| stats.running == 0).await;
    });
}

/// The message of a dead job has the headers of the job, and some more.
#[test]
fn a_dead_job_whose_headers_are_too_large_is_stored_without_them() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let feed = feed(client.clone()).max_deliver(1);
        let _feed = feed.start(&pool).await.unwrap();
        let note = "x".repeat(65_400);
        publish(&client, &[("X-Note", &note)], "die here").await;
        until_is("no job", 0, async || count(&client, "JOBS").await).await;
        let dead = messages(&client, "JOBS_DEAD").await;
        assert_eq!(dead.len(), 1);
        assert_eq!(dead[0].header("Job-Status"), "worker_lost");
        assert_eq!(dead[0].header("X-Note"), "");
        assert_eq!(dead[0].body, "die here");
        let results = messages(&client, "JOBS_RESULTS").await;
        assert_eq!(results[0].header("Job-Status"), "dead");
    });
}
