//! What a former program has left in a consumer that a feed adopts loses no job.

use async_nats::Client;
use serde_json::{Value, json};

use actix_process::nats::FeedError;

use crate::common::in_time;
use crate::tools::jetstream::{
    consumer_info, count, make_consumer, make_stream, messages, take, under_way,
};
use crate::tools::worker::workers;
use crate::tools::{feed, on_server, result, submit, submitter, until_is};

/// The consumer `convert` as somebody else has made it, with these fields, of a stream of all jobs.
async fn somebody_s(client: &Client, fields: Value) {
    let jobs = json!({ "name": "JOBS", "subjects": ["jobs.>"], "retention": "workqueue" });
    make_stream(client, jobs).await;
    let mut config = json!({
        "durable_name": "convert", "ack_policy": "explicit", "ack_wait": 1_000_000_000,
        "filter_subject": "jobs.convert", "max_ack_pending": 20_000, "max_waiting": 16_384, "deliver_policy": "all",
    });
    for (field, value) in fields.as_object().unwrap() {
        config[field] = value.clone();
    }
    make_consumer(client, "JOBS", config).await;
}

/// That a feed which adopts the consumer does so many jobs, and that none is left.
async fn adopts(client: &Client, jobs: u64) {
    let pool = workers(1);
    let feed = feed(client.clone()).adopt().start(&pool).await.unwrap();
    until_is("all results", jobs, async || {
        count(client, "JOBS_RESULTS").await
    })
    .await;
    until_is("no job", (0, 0), async || under_way(client).await).await;
    until_is("an empty stream", 0, async || count(client, "JOBS").await).await;
    let results = messages(client, "JOBS_RESULTS").await;
    assert!(results.iter().all(|result| result.body == "done"));
    in_time(feed.stop(crate::tools::LONG)).await;
}

/// It is past jobs that it has never delivered.
#[test]
fn a_consumer_of_another_filter_that_is_past_jobs_is_adopted_and_they_are_done() {
    on_server(async |server| {
        let client = server.client().await;
        somebody_s(&client, json!({ "filter_subject": "jobs.other" })).await;
        for _ in 0..10 {
            submit(&submitter(&client), "echo done").await;
        }
        let other = actix_process::nats::Submitter::new(client.clone(), "jobs.other");
        submit(&other, "echo other").await;
        take(&client, "+ACK").await;
        assert_eq!(consumer_info(&client).await["ack_floor"]["stream_seq"], 11);
        adopts(&client, 10).await;
    });
}

/// The server delivers them no more, and leaves them in the stream.
#[test]
fn jobs_that_have_used_up_a_former_max_deliver_are_done_when_it_is_adopted() {
    on_server(async |server| {
        let client = server.client().await;
        somebody_s(&client, json!({ "max_deliver": 1 })).await;
        for _ in 0..3 {
            submit(&submitter(&client), "echo done").await;
            take(&client, "-NAK").await;
        }
        adopts(&client, 3).await;
    });
}

/// The server does not change how many requests of hosts a consumer has a place for: 512, where nobody says.
#[test]
fn a_consumer_of_the_servers_own_max_waiting_is_told_or_adopted() {
    on_server(async |server| {
        let client = server.client().await;
        somebody_s(&client, json!({ "max_waiting": 512 })).await;
        let refused = in_time(feed(client.clone()).start(&workers(1))).await;
        let Err(FeedError::Differs { field, found, .. }) = &refused else {
            panic!("{refused:?}");
        };
        assert_eq!((*field, found.as_str()), ("max_waiting", "512"));
        let pool = workers(1);
        let _feed = feed(client.clone()).adopt().start(&pool).await.unwrap();
        let info = consumer_info(&client).await;
        assert_eq!(info["config"]["max_waiting"], 16_384, "{info}");
        assert_eq!(result(&submitter(&client), "echo done").await.body, "done");
    });
}
