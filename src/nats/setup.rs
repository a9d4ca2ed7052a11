//! The streams and the consumer of a feed: made, checked, or adopted.

use async_nats::RequestErrorKind;
use serde_json::{Value, json};

use super::api::{Api, ApiAnswer, ApiError, CONSUMER_NOT_FOUND, STREAM_NOT_FOUND};
use super::error::FeedError;
use super::settings::FeedSettings;
use super::wanted::Wanted;

/// When the stream of jobs was made, to the nanosecond: two streams of one name are told apart by it.
pub(super) async fn created(api: &Api, settings: &FeedSettings) -> Result<String, ApiError> {
    let info = api
        .call(&format!("STREAM.INFO.{}", settings.stream), &Value::Null)
        .await?;
    Ok(info.text("/created").unwrap_or_default().to_owned())
}

/// Makes what is missing, and checks what is there.
pub(super) async fn prepare(api: &Api, settings: &FeedSettings) -> Result<(), FeedError> {
    // Whether there is a JetStream at all.
    api_call(api, "INFO", &Value::Null)
        .await?
        .map_err(|error| FeedError::refused("account", error))?;
    stream(api, settings, &settings.stream, &Wanted::jobs(settings)).await?;
    let kept = [
        (settings.results_subject(), "RESULTS"),
        (settings.dead_subject(), "DEAD"),
    ];
    for (subject, made) in kept {
        let found = api.stream_of(&subject).await;
        let found = answered(api, "STREAM.NAMES", found).await?;
        let found = found.map_err(|error| FeedError::refused("names of streams", error))?;
        let name = found.unwrap_or_else(|| settings.made_stream(made));
        let wanted = Wanted::kept(&name, &subject, settings);
        stream(api, settings, &name, &wanted).await?;
    }
    let attempts = settings.attempts_stream();
    stream(api, settings, &attempts, &Wanted::attempts(settings)).await?;
    consumer(api, settings).await
}

async fn stream(
    api: &Api,
    settings: &FeedSettings,
    name: &str,
    wanted: &Wanted,
) -> Result<(), FeedError> {
    let found = api_call(api, &format!("STREAM.INFO.{name}"), &Value::Null).await?;
    let (call, config) = match found {
        Err(error) if error.is(STREAM_NOT_FOUND) => {
            ("CREATE", Value::Object(wanted.config.clone()))
        }
        Err(error) => return Err(FeedError::refused(&wanted.what, error)),
        Ok(found) => match change(settings, wanted, found.at("/config"))? {
            Some(config) => ("UPDATE", config),
            None => return Ok(()),
        },
    };
    let made = api_call(api, &format!("STREAM.{call}.{name}"), &config).await?;
    match made {
        Ok(_) => Ok(()),
        // Another host was quicker, perhaps: what it made is looked at.
        Err(error) if call == "CREATE" => {
            let found = api_call(api, &format!("STREAM.INFO.{name}"), &Value::Null).await?;
            let found = found.map_err(|_| FeedError::refused(&wanted.what, error))?;
            same(wanted, found.at("/config"))
        }
        Err(error) => Err(FeedError::refused(&wanted.what, error)),
    }
}

async fn consumer(api: &Api, settings: &FeedSettings) -> Result<(), FeedError> {
    let (stream, consumer) = (&settings.stream, &settings.consumer);
    let wanted = Wanted::consumer(settings);
    let found = api_call(
        api,
        &format!("CONSUMER.INFO.{stream}.{consumer}"),
        &Value::Null,
    )
    .await?;
    match found {
        Err(error) if error.is(CONSUMER_NOT_FOUND) => {}
        Err(error) => return Err(FeedError::refused(&wanted.what, error)),
        Ok(found) => match same(&wanted, found.at("/config")) {
            Ok(()) => return Ok(()),
            // Made anew: the server does not change all of its fields, and it may be past jobs that nobody has done. A work queue has all that are not.
            Err(_) if settings.adopt => {
                let call = format!("CONSUMER.DELETE.{stream}.{consumer}");
                let deleted = api_call(api, &call, &Value::Null).await?;
                deleted.map_err(|error| FeedError::refused(&wanted.what, error))?;
            }
            Err(error) => return Err(error),
        },
    }
    let call = format!("CONSUMER.DURABLE.CREATE.{stream}.{consumer}");
    let body = json!({ "stream_name": stream, "config": wanted.config });
    let made = api_call(api, &call, &body).await?;
    made.map(drop)
        .map_err(|error| FeedError::refused(&wanted.what, error))
}

/// What a configuration is to be changed to, if it is.
fn change(
    settings: &FeedSettings,
    wanted: &Wanted,
    found: &Value,
) -> Result<Option<Value>, FeedError> {
    match same(wanted, found) {
        Ok(()) => Ok(None),
        Err(_) if settings.adopt => Ok(Some(wanted.adopted(found))),
        Err(error) => Err(error),
    }
}

fn same(wanted: &Wanted, found: &Value) -> Result<(), FeedError> {
    wanted.difference(found).map_or(Ok(()), |differs| {
        Err(FeedError::Differs {
            what: wanted.what.clone(),
            field: differs.field,
            wanted: differs.wanted,
            found: differs.found,
        })
    })
}

/// Asks, and tells apart why nobody answers. What the server says no to is the inner error.
async fn api_call(
    api: &Api,
    rest: &str,
    body: &Value,
) -> Result<Result<ApiAnswer, ApiError>, FeedError> {
    answered(api, rest, api.call(rest, body).await).await
}

async fn answered<T>(
    api: &Api,
    rest: &str,
    answer: Result<T, ApiError>,
) -> Result<Result<T, ApiError>, FeedError> {
    match answer {
        Err(error) if error.has_no_jetstream() => Err(FeedError::NoJetStream),
        Err(ApiError::Silent) => Err(silence(api, api.subject(rest)).await),
        answer => Ok(answer),
    }
}

/// Why the server does not answer: a subject that nobody listens to is answered for at once, where the server is there and what is asked is allowed.
pub(super) async fn silence(api: &Api, subject: String) -> FeedError {
    let nowhere = api.client.new_inbox();
    let asked = api.client.request(nowhere, crate::Bytes::new());
    match tokio::time::timeout(std::time::Duration::from_secs(2), asked).await {
        Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {
            FeedError::NoPermission { subject }
        }
        _ => FeedError::Unreachable,
    }
}
