//! Whether this client may use the subjects that a feed needs, tried without any effect.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::client::Request;

use super::api::Api;
use super::error::FeedError;
use super::settings::FeedSettings;
use super::setup::silence;
use crate::Bytes;

const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// No stream has this name: names have no spaces.
const NO_STREAM: &str = "no stream";

/// Asks on each subject for something that the server refuses with an answer. Where there is none, it does not let this client ask.
pub(super) async fn check(api: &Api, settings: &FeedSettings) -> Result<(), FeedError> {
    let (stream, consumer) = (&settings.stream, &settings.consumer);
    let attempt = format!("attempts.{stream}.{consumer}.check");
    for subject in [settings.results_subject(), settings.dead_subject(), attempt] {
        // A message for another stream than the subject's is not stored.
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Stream", NO_STREAM);
        ask(api, subject, Request::new().headers(headers)).await?;
    }
    // A request for no number of messages.
    let pull = api.subject(&format!("CONSUMER.MSG.NEXT.{stream}.{consumer}"));
    let body = Bytes::from_static(br#"{"batch":"none"}"#);
    ask(api, pull, Request::new().payload(body)).await?;
    // In a domain the server chooses another subject.
    if settings.domain.is_none() {
        // The job of this number is not under way, so its progress is no matter.
        let number = u64::MAX;
        let ack = format!("$JS.ACK.{stream}.{consumer}.1.{number}.1.0.0");
        let body = Bytes::from_static(b"+WPI");
        ask(api, ack, Request::new().payload(body)).await?;
    }
    Ok(())
}

async fn ask(api: &Api, subject: String, request: Request) -> Result<(), FeedError> {
    let request = request.timeout(Some(ANSWER_WITHIN));
    let asked = api.client.send_request(subject.clone(), request).await;
    match asked {
        Ok(_) => Ok(()),
        Err(_) => Err(silence(api, subject).await),
    }
}
