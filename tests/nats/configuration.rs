//! A feed that cannot work as it is said is not started, by an error that says what is wrong; nothing that is there is altered, unless `adopt` is said.

use std::time::Duration;

use actix_process::nats::{Feed, FeedError, FeedHandle};
use async_nats::Client;
use serde_json::{Value, json};

use crate::common::in_time;
use crate::tools::jetstream::{call, consumer_info, done, make_consumer, make_stream, stream_info};
use crate::tools::server::{JETSTREAM, Server, connect_with, options};
use crate::tools::worker::workers;
use crate::tools::{feed, on, on_server, result, submitter};

/// Two minutes.
const WINDOW: u64 = 120_000_000_000;

fn jobs() -> Value {
    json!({
        "name": "JOBS", "subjects": ["jobs.convert"], "retention": "workqueue", "storage": "file",
        "description": "somebody's",
    })
}

fn results() -> Value {
    json!({ "name": "R", "subjects": ["results.>"], "storage": "file", "duplicate_window": WINDOW })
}

fn consumer() -> Value {
    json!({
        "durable_name": "convert", "ack_policy": "explicit", "ack_wait": 1_000_000_000,
        "filter_subject": "jobs.convert", "max_ack_pending": 20_000, "max_waiting": 16_384, "deliver_policy": "all",
    })
}

fn with(mut config: Value, field: &str, value: Value) -> Value {
    config[field] = value;
    config
}

async fn start(feed: Feed) -> Result<FeedHandle, FeedError> {
    in_time(feed.start(&workers(1))).await
}

async fn error(feed: Feed) -> FeedError {
    match start(feed).await {
        Ok(_) => panic!("it is started"),
        Err(error) => error,
    }
}

/// All configurations that a server has.
async fn configurations(client: &Client) -> Vec<Value> {
    let streams = done(client, "STREAM.LIST", &Value::Null).await;
    let consumers = call(client, "CONSUMER.LIST.JOBS", &Value::Null).await;
    let lists = [&streams["streams"], &consumers["consumers"]];
    let all = lists.into_iter().filter_map(Value::as_array).flatten();
    all.map(|it| it["config"].clone()).collect()
}

/// That the feed is refused for this field of this, and that all is as it was.
async fn differs(client: &Client, wanted: [&str; 4]) {
    let before = configurations(client).await;
    let refused = error(feed(client.clone())).await;
    let FeedError::Differs {
        what,
        field,
        wanted: must_be,
        found,
        ..
    } = &refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!([what, *field, must_be, found], wanted);
    let text = refused.to_string();
    assert!(wanted.iter().all(|part| text.contains(part)), "{text}");
    let after = configurations(client).await;
    assert!(
        before.iter().all(|config| after.contains(config)),
        "{before:?} {after:?}"
    );
}

/// A feed that adopts what is there does jobs.
async fn adopts(client: &Client) {
    let _feed = start(feed(client.clone()).adopt()).await.unwrap();
    assert_eq!(result(&submitter(client), "echo done").await.body, "done");
}

#[test]
fn a_stream_of_another_retention_is_told_and_cannot_be_adopted() {
    on_server(async |server| {
        let client = server.client().await;
        make_stream(&client, with(jobs(), "retention", json!("limits"))).await;
        differs(&client, ["stream JOBS", "retention", "workqueue", "limits"]).await;
        let before = stream_info(&client, "JOBS").await["config"].clone();
        // No server changes the retention to this one.
        let refused = error(feed(client.clone()).adopt()).await;
        let FeedError::Refused {
            what,
            code,
            description,
            ..
        } = &refused
        else {
            panic!("{refused:?}");
        };
        assert_eq!(what, "stream JOBS");
        assert!(*code > 0 && !description.is_empty(), "{refused:?}");
        assert_eq!(stream_info(&client, "JOBS").await["config"], before);
    });
}

#[test]
fn a_stream_without_the_subject_is_told_or_adopted() {
    on_server(async |server| {
        let client = server.client().await;
        make_stream(&client, with(jobs(), "subjects", json!(["jobs.other"]))).await;
        differs(
            &client,
            [
                "stream JOBS",
                "subjects",
                "jobs.convert",
                r#"["jobs.other"]"#,
            ],
        )
        .await;
        adopts(&client).await;
        let config = stream_info(&client, "JOBS").await["config"].clone();
        assert_eq!(config["subjects"], json!(["jobs.other", "jobs.convert"]));
        assert_eq!(config["description"], "somebody's");
    });
}

#[test]
fn a_stream_that_throws_jobs_away_is_told_or_adopted() {
    on_server(async |server| {
        let client = server.client().await;
        make_stream(&client, with(jobs(), "max_age", json!(WINDOW))).await;
        differs(
            &client,
            ["stream JOBS", "max_age", "not set", &WINDOW.to_string()],
        )
        .await;
        adopts(&client).await;
        assert_eq!(stream_info(&client, "JOBS").await["config"]["max_age"], 0);
    });
}

#[test]
fn results_that_are_known_for_too_short_are_told_or_adopted() {
    on_server(async |server| {
        let client = server.client().await;
        make_stream(
            &client,
            with(results(), "duplicate_window", json!(1_000_000_000)),
        )
        .await;
        let wanted = WINDOW.to_string();
        differs(
            &client,
            ["stream R", "duplicate_window", &wanted, "1000000000"],
        )
        .await;
        adopts(&client).await;
        assert_eq!(
            stream_info(&client, "R").await["config"]["duplicate_window"],
            WINDOW
        );
        // No stream is made beside the one that has the subject.
        assert!(!stream_info(&client, "JOBS_RESULTS").await["error"].is_null());
    });
}

#[test]
fn a_consumer_of_another_filter_is_told_or_adopted() {
    on_server(async |server| {
        let client = server.client().await;
        make_stream(&client, with(jobs(), "subjects", json!(["jobs.>"]))).await;
        make_consumer(
            &client,
            "JOBS",
            with(consumer(), "filter_subject", json!("jobs.other")),
        )
        .await;
        differs(
            &client,
            [
                "consumer convert",
                "filter_subject",
                "jobs.convert",
                "jobs.other",
            ],
        )
        .await;
        adopts(&client).await;
        assert_eq!(
            consumer_info(&client).await["config"]["filter_subject"],
            "jobs.convert"
        );
    });
}

#[test]
fn a_consumer_of_another_ack_wait_is_told_or_adopted() {
    on_server(async |server| {
        let client = server.client().await;
        make_stream(&client, jobs()).await;
        make_consumer(
            &client,
            "JOBS",
            with(consumer(), "ack_wait", json!(7_000_000_000_u64)),
        )
        .await;
        differs(
            &client,
            ["consumer convert", "ack_wait", "1000000000", "7000000000"],
        )
        .await;
        adopts(&client).await;
        assert_eq!(
            consumer_info(&client).await["config"]["ack_wait"],
            1_000_000_000
        );
    });
}

#[test]
fn what_is_as_it_must_be_is_taken_as_it_is() {
    on_server(async |server| {
        let client = server.client().await;
        make_stream(&client, with(jobs(), "subjects", json!(["jobs.>"]))).await;
        make_stream(&client, results()).await;
        make_consumer(&client, "JOBS", consumer()).await;
        let before = configurations(&client).await;
        let _feed = start(feed(client.clone())).await.unwrap();
        let after = configurations(&client).await;
        assert!(
            before.iter().all(|config| after.contains(config)),
            "{before:?} {after:?}"
        );
        assert_eq!(result(&submitter(&client), "echo done").await.body, "done");
    });
}

/// All hosts of a new cluster start at a time.
#[test]
fn hosts_that_start_together_make_each_thing_once() {
    on_server(async |server| {
        let mut starts = Vec::new();
        for _ in 0..6 {
            let client = server.client().await;
            starts.push(start(feed(client)));
        }
        let started = in_time(futures::future::join_all(starts)).await;
        let failed: Vec<_> = started.iter().filter_map(|it| it.as_ref().err()).collect();
        assert!(failed.is_empty(), "{failed:?}");
        let client = server.client().await;
        assert_eq!(configurations(&client).await.len(), 5);
        assert_eq!(result(&submitter(&client), "echo done").await.body, "done");
    });
}

#[test]
fn a_server_without_jetstream_is_told() {
    on(Server::with(""), async |server| {
        let client = server.client().await;
        assert_eq!(error(feed(client)).await, FeedError::NoJetStream);
    });
}

#[test]
fn an_account_without_jetstream_is_told() {
    let accounts = "accounts {
        WITH { jetstream: enabled, users: [{ user: a, password: a }] }
        WITHOUT { users: [{ user: b, password: b }] }
    }";
    on(Server::start_with(accounts), async |server| {
        let user = |name: &str| options().user_and_password(name.to_owned(), name.to_owned());
        let with = connect_with(user("a"), &server.url()).await;
        assert!(start(feed(with)).await.is_ok());
        let without = connect_with(user("b"), &server.url()).await;
        assert_eq!(error(feed(without)).await, FeedError::NoJetStream);
    });
}

#[test]
fn a_server_that_is_gone_is_told() {
    on_server(async |server| {
        let client = server.client().await;
        server.kill();
        let begun = std::time::Instant::now();
        assert_eq!(error(feed(client)).await, FeedError::Unreachable);
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
    });
}

/// Each user lacks one permission, and is told which.
#[test]
fn each_subject_that_is_not_permitted_is_told() {
    let denied = [
        ("$JS.API.>", "$JS.API.INFO"),
        ("$JS.API.STREAM.CREATE.>", "$JS.API.STREAM.CREATE.JOBS"),
        (
            "$JS.API.CONSUMER.MSG.NEXT.>",
            "$JS.API.CONSUMER.MSG.NEXT.JOBS.convert",
        ),
        ("results.>", "results.convert"),
        ("dead.>", "dead.convert"),
        ("attempts.>", "attempts.JOBS.convert.check"),
        ("$JS.ACK.>", "$JS.ACK.JOBS.convert."),
    ];
    let mut users = Vec::new();
    for (number, (subject, _)) in denied.iter().enumerate() {
        let permissions = format!("{{ publish: {{ deny: \"{subject}\" }} }}");
        users.push(format!(
            "{{ user: u{number}, password: p, permissions: {permissions} }}"
        ));
    }
    let lines = format!(
        "{JETSTREAM}\nauthorization {{ users: [ {} ] }}",
        users.join(",\n")
    );
    on(Server::with(&lines), async |server| {
        for (number, (_, wanted)) in denied.iter().enumerate() {
            let user = options().user_and_password(format!("u{number}"), "p".to_owned());
            let client = connect_with(user, &server.url()).await;
            let refused = error(feed(client)).await;
            let FeedError::NoPermission { subject, .. } = &refused else {
                panic!("{wanted}: {refused:?}");
            };
            assert!(subject.starts_with(wanted), "{subject} is not {wanted}");
        }
    });
}

#[test]
fn what_is_wrong_with_a_feed_itself_is_told_before_the_server_is_asked() {
    on_server(async |server| {
        let client = server.client().await;
        server.kill();
        let wrong: [(&str, Feed); 4] = [
            ("stream", Feed::new(client.clone(), "a.b", "convert")),
            ("subject", feed(client.clone()).subject("jobs.*")),
            ("max_deliver", feed(client.clone()).max_deliver(0)),
            (
                "dedup_window",
                feed(client).dedup_window(Duration::from_secs(11)),
            ),
        ];
        for (wanted, feed) in wrong {
            match error(feed).await {
                FeedError::Spec { field, .. } => assert_eq!(field, wanted),
                other => panic!("{wanted}: {other:?}"),
            }
        }
    });
}
