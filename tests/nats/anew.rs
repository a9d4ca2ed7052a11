//! A feed goes on when what it has at the server is gone and is made anew, and what it did before harms nothing that is new.

use std::time::{Duration, Instant};

use actix_process::nats::FeedEvent;
use actix_process::pool::Job;
use serde_json::{Value, json};

use crate::common::in_time;
use crate::tools::jetstream::{call, count, done, messages, publish, stream_info, take};
use crate::tools::worker::{pool, workers};
use crate::tools::{
    LONG, Signs, event, feed, on_server, result, submit, submitter, until, until_is,
};

/// Waits until a stream, which may not be there, has so many messages.
async fn has(client: &async_nats::Client, stream: &str, messages: u64) {
    until(&format!("{messages} messages of {stream}"), async || {
        let info = stream_info(client, stream).await;
        if info["state"]["messages"] == messages {
            Ok(())
        } else {
            Err(info.to_string())
        }
    })
    .await;
}

/// The first job of the new stream has the number of the one that runs.
#[test]
fn a_job_of_a_server_that_has_lost_all_takes_no_new_job_with_it() {
    on_server(async |server| {
        let client = server.client().await;
        let (old, new, pool) = (Signs::new(), Signs::new(), workers(3));
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        let mut events = feed.events();
        submit(&submitter(&client), old.waits("old", "echo old")).await;
        old.logged(1).await;
        server.kill();
        server.wipe();
        server.restart();
        event(&mut events, |event| matches!(event, FeedEvent::MadeAnew)).await;
        publish(&client, &[], new.waits("new", "echo new")).await;
        new.logged(1).await;
        old.go();
        has(&client, "JOBS_RESULTS", 1).await;
        // What the feed says of the old job is heard before this one is done.
        assert_eq!(
            result(&submitter(&client), "echo third").await.body,
            "third"
        );
        let first = call(&client, "STREAM.MSG.GET.JOBS", &json!({ "seq": 1 })).await;
        assert!(first["error"].is_null(), "{first}");
        new.go();
        has(&client, "JOBS_RESULTS", 3).await;
        let results = messages(&client, "JOBS_RESULTS").await;
        let bodies: Vec<_> = results.iter().map(|result| &*result.body).collect();
        assert_eq!(bodies, [&b"old"[..], b"third", b"new"]);
        until_is("no job", 0, async || count(&client, "JOBS").await).await;
    });
}

#[test]
fn a_stream_of_results_that_was_removed_is_made_anew_by_the_next_result() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(2);
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        let submitter = submitter(&client);
        assert_eq!(result(&submitter, "echo first").await.body, "first");
        done(&client, "STREAM.DELETE.JOBS_RESULTS", &Value::Null).await;
        for _ in 0..10 {
            submit(&submitter, "echo again").await;
        }
        has(&client, "JOBS_RESULTS", 10).await;
        until_is("no job", 0, async || count(&client, "JOBS").await).await;
        in_time(feed.stop(LONG)).await;
    });
}

#[test]
fn streams_of_attempts_and_of_dead_jobs_that_were_removed_are_made_anew() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let feed = feed(client.clone()).max_deliver(2);
        let feed = feed.start(&pool).await.unwrap();
        let submitter = submitter(&client);
        for stream in ["JOBS_ATTEMPTS", "JOBS_DEAD"] {
            done(&client, &format!("STREAM.DELETE.{stream}"), &Value::Null).await;
        }
        // Lost once, which is recorded, and once more.
        submit(&submitter, "die here").await;
        has(&client, "JOBS_DEAD", 1).await;
        until_is("no job", 0, async || count(&client, "JOBS").await).await;
        let dead = &messages(&client, "JOBS_DEAD").await[0];
        assert_eq!(dead.header("Job-Attempts"), "2");
        in_time(feed.stop(LONG)).await;
    });
}

/// Records are purged by hand, or are too old.
#[test]
fn a_job_whose_record_is_gone_goes_back_at_once() {
    on_server(async |server| {
        let client = server.client().await;
        let (signs, pool) = (Signs::new(), pool(1).queue(1).start().unwrap());
        let patient = || feed(client.clone()).ack_wait(Duration::from_secs(20));
        let first = patient().start(&pool).await.unwrap();
        in_time(first.stop(LONG)).await;
        publish(&client, &[], "echo done").await;
        // One that was delivered before is recorded when it begins.
        take(&client, "-NAK").await;
        let others = pool.submit(Job::new(signs.waits("run", "")));
        signs.logged(1).await;
        let feed = patient().start(&pool).await.unwrap();
        has(&client, "JOBS_ATTEMPTS", 1).await;
        // It waits for the worker.
        until_is("a job that waits", 1, async || {
            pool.stats().await.unwrap().waiting
        })
        .await;
        done(&client, "STREAM.PURGE.JOBS_ATTEMPTS", &Value::Null).await;
        let begun = Instant::now();
        let report = in_time(feed.stop(LONG)).await;
        assert_eq!((report.finished, report.given_back), (0, 1));
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
        assert_eq!(count(&client, "JOBS").await, 1);
        signs.go();
        in_time(others).await.unwrap();
    });
}
