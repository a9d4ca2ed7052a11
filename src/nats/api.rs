//! Requests to a server's JetStream, and their answers.

use std::time::Duration;

use async_nats::client::Request;
use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message, RequestErrorKind};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::Bytes;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The way to a JetStream.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) client: Client,
    /// `$JS.API`, or with a domain `$JS.<domain>.API`.
    prefix: String,
}

/// Why there is no answer, or none that was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ApiError {
    /// No answer came in time.
    Silent,
    /// Nobody is there to answer.
    NoResponders,
    /// It is larger than the server takes.
    TooLarge,
    /// The server says no.
    Refused { code: u64, description: String },
}

/// JetStream's numbers of errors.
pub(super) const CONSUMER_NOT_FOUND: u64 = 10014;
pub(super) const NO_MESSAGE: u64 = 10037;
pub(super) const STREAM_NOT_FOUND: u64 = 10059;
const NOT_ENABLED: [u64; 2] = [10039, 10076];
const TOO_LARGE: [u64; 2] = [10054, 10097];

impl ApiError {
    pub(super) const fn is(&self, wanted: u64) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }

    /// The server has no JetStream, or not for this account.
    pub(super) fn has_no_jetstream(&self) -> bool {
        matches!(self, Self::NoResponders) || NOT_ENABLED.iter().any(|code| self.is(*code))
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent => f.write_str("no answer"),
            Self::NoResponders => f.write_str("nobody answers there"),
            Self::TooLarge => f.write_str("it is larger than the server takes"),
            Self::Refused { code, description } => write!(f, "{description} ({code})"),
        }
    }
}

/// What the server said. Places in it are JSON pointers.
#[derive(Debug, Clone)]
pub(super) struct ApiAnswer(Value);

impl ApiAnswer {
    /// `null` where there is nothing.
    pub(super) fn at(&self, place: &str) -> &Value {
        self.0.pointer(place).unwrap_or(&Value::Null)
    }

    /// 0 where there is no number.
    pub(super) fn number(&self, place: &str) -> u64 {
        self.at(place).as_u64().unwrap_or_default()
    }

    pub(super) fn text(&self, place: &str) -> Option<&str> {
        self.at(place).as_str()
    }
}

/// A stream has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) stream: String,
    /// Its number there; of a duplicate that of the message that the stream had.
    pub(super) sequence: u64,
    /// The stream had a message of this id already.
    pub(super) is_duplicate: bool,
}

impl Api {
    pub(super) fn new(client: Client, domain: Option<&str>) -> Self {
        let prefix = domain.map_or_else(
            || "$JS.API".to_owned(),
            |domain| format!("$JS.{domain}.API"),
        );
        Self { client, prefix }
    }

    /// A subject of the API.
    pub(super) fn subject(&self, rest: &str) -> String {
        format!("{}.{rest}", self.prefix)
    }

    /// Asks the API.
    pub(super) async fn call(&self, rest: &str, body: &Value) -> Result<ApiAnswer, ApiError> {
        let body = if body.is_null() {
            Bytes::new()
        } else {
            body.to_string().into()
        };
        let request = Request::new().payload(body);
        let answer = self.send(self.subject(rest), request).await?;
        read_answer(&answer)
    }

    /// The stream that has a subject, if there is one.
    pub(super) async fn stream_of(&self, subject: &str) -> Result<Option<String>, ApiError> {
        let names = self
            .call("STREAM.NAMES", &json!({ "subject": subject }))
            .await?;
        Ok(names.text("/streams/0").map(str::to_owned))
    }

    /// Publishes to a stream, and waits until it is stored. One that was stored before under the same `Nats-Msg-Id` counts.
    pub(super) async fn store(
        &self,
        subject: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Stored, ApiError> {
        let request = Request::new().payload(body).headers(headers);
        let answer = self.send(subject.to_owned(), request).await?;
        let answer = read_answer(&answer)?;
        Ok(Stored {
            stream: answer.text("/stream").unwrap_or_default().to_owned(),
            sequence: answer.number("/seq"),
            is_duplicate: answer.at("/duplicate") == &Value::Bool(true),
        })
    }

    /// Acknowledges a message in the way that `what` says, and waits until the server has heard.
    pub(super) async fn acknowledge(&self, reply: &str, what: Bytes) -> Result<(), ApiError> {
        let request = Request::new().payload(what);
        self.send(reply.to_owned(), request).await.map(drop)
    }

    /// Whether the client has a connection. What is given to one that has none is sent when it is back, though nobody waits for the answer any more.
    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    async fn send(&self, subject: String, request: Request) -> Result<Message, ApiError> {
        if !self.is_connected() {
            return Err(ApiError::Silent);
        }
        let request = request.timeout(Some(ANSWER_WITHIN));
        let sent = self.client.send_request(subject, request);
        // Its own time begins when the client has taken the request, which a client that is away does not.
        match timeout(ANSWER_WITHIN * 2, sent).await {
            Ok(sent) => sent.map_err(|error| match error.kind() {
                RequestErrorKind::NoResponders => ApiError::NoResponders,
                RequestErrorKind::MaxPayloadExceeded => ApiError::TooLarge,
                _ => ApiError::Silent,
            }),
            Err(_) => Err(ApiError::Silent),
        }
    }
}

/// The answer, or the error in it.
fn read_answer(answer: &Message) -> Result<ApiAnswer, ApiError> {
    let refused = |code, description: &str| ApiError::Refused {
        code,
        description: description.to_owned(),
    };
    let answer = serde_json::from_slice(&answer.payload)
        .map_err(|_| refused(0, "the answer is not of JetStream"))?;
    let answer = ApiAnswer(answer);
    if answer.at("/error").is_null() {
        return Ok(answer);
    }
    let code = answer.number("/error/err_code");
    if TOO_LARGE.contains(&code) {
        return Err(ApiError::TooLarge);
    }
    let description = answer.text("/error/description");
    Err(refused(code, description.unwrap_or_default()))
}
