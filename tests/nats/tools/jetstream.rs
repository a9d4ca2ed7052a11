//! What a server has in its streams and consumers, asked by JetStream's API itself.

use std::time::{Duration, Instant};

use actix_process::Bytes;
use async_nats::jetstream::{self, consumer};
use async_nats::{Client, HeaderMap};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::common::{DEADLINE, in_time};

/// What the server answers, errors of JetStream included. It is asked until it answers.
pub(crate) async fn call(client: &Client, call: &str, body: &Value) -> Value {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let begun = Instant::now();
    loop {
        let asked = client.request(format!("$JS.API.{call}"), body.clone().into());
        match actix_rt::time::timeout(Duration::from_secs(2), asked).await {
            Ok(Ok(answer)) => return serde_json::from_slice(&answer.payload).unwrap(),
            other => assert!(begun.elapsed() < DEADLINE, "{call}: {other:?}"),
        }
        actix_rt::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the server answers, which is no error.
pub(crate) async fn done(client: &Client, what: &str, body: &Value) -> Value {
    let answer = call(client, what, body).await;
    assert!(answer["error"].is_null(), "{what}: {answer}");
    answer
}

/// Makes a stream of this configuration, in a file and with what else JetStream has by default.
pub(crate) async fn make_stream(client: &Client, config: Value) {
    let name = config["name"].as_str().unwrap();
    done(client, &format!("STREAM.CREATE.{name}"), &config).await;
}

/// Makes a durable consumer of this configuration.
pub(crate) async fn make_consumer(client: &Client, stream: &str, config: Value) {
    let name = config["durable_name"].as_str().unwrap();
    let body = json!({ "stream_name": stream, "config": config });
    let what = format!("CONSUMER.DURABLE.CREATE.{stream}.{name}");
    done(client, &what, &body).await;
}

pub(crate) async fn stream_info(client: &Client, stream: &str) -> Value {
    call(client, &format!("STREAM.INFO.{stream}"), &Value::Null).await
}

/// Of the consumer `convert` of the stream `JOBS`.
pub(crate) async fn consumer_info(client: &Client) -> Value {
    call(client, "CONSUMER.INFO.JOBS.convert", &Value::Null).await
}

/// How many messages are in a stream.
pub(crate) async fn count(client: &Client, stream: &str) -> u64 {
    let info = stream_info(client, stream).await;
    let messages = info["state"]["messages"].as_u64();
    messages.unwrap_or_else(|| panic!("{stream}: {info}"))
}

/// How many jobs hosts have, and how many wait in the stream.
pub(crate) async fn under_way(client: &Client) -> (u64, u64) {
    let info = consumer_info(client).await;
    let number = |field: &str| {
        let number = info[field].as_u64();
        number.unwrap_or_else(|| panic!("{field} of {info}"))
    };
    (number("num_ack_pending"), number("num_pending"))
}

/// A message as a stream has it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Stored {
    /// A header's value, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.as_str())
    }
}

/// All messages of a stream, in order.
pub(crate) async fn messages(client: &Client, stream: &str) -> Vec<Stored> {
    let count = count(client, stream).await;
    let mut messages = Vec::new();
    if count == 0 {
        return messages;
    }
    let context = jetstream::new(client.clone());
    let stream = in_time(context.get_stream(stream)).await.unwrap();
    let all = consumer::pull::Config {
        ack_policy: consumer::AckPolicy::None,
        ..Default::default()
    };
    let consumer = in_time(stream.create_consumer(all)).await.unwrap();
    let begun = Instant::now();
    while (messages.len() as u64) < count {
        let seen = messages.len();
        assert!(begun.elapsed() < DEADLINE, "{seen} of {count} came");
        let batch = consumer
            .fetch()
            .max_messages(500)
            .expires(Duration::from_secs(1));
        let mut batch = in_time(batch.messages()).await.unwrap();
        while let Some(message) = in_time(batch.next()).await {
            let (message, _) = message.unwrap().split();
            messages.push(Stored {
                headers: message.headers.unwrap_or_default(),
                body: message.payload,
            });
        }
    }
    messages
}

/// Publishes a job as any program may: by headers. It waits until the stream has it.
pub(crate) async fn publish(client: &Client, headers: &[(&str, &str)], body: impl Into<Bytes>) {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, *value);
    }
    let request = async_nats::client::Request::new()
        .headers(map)
        .payload(body.into());
    let answer = in_time(client.send_request("jobs.convert", request)).await;
    let answer: Value = serde_json::from_slice(&answer.unwrap().payload).unwrap();
    assert!(answer["seq"].is_u64(), "{answer}");
}

/// Takes the next job of the consumer `convert` by hand, and says this of it.
pub(crate) async fn take(client: &Client, say: &'static str) {
    let inbox = client.new_inbox();
    let mut came = in_time(client.subscribe(inbox.clone())).await.unwrap();
    let next = "$JS.API.CONSUMER.MSG.NEXT.JOBS.convert";
    let asked = client.publish_with_reply(next, inbox, "1".into());
    in_time(asked).await.unwrap();
    let job = in_time(came.next()).await.unwrap();
    assert_eq!(job.status, None, "{job:?}");
    let said = client.request(job.reply.unwrap(), say.into());
    in_time(said).await.unwrap();
}
