//! Results as they are stored.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::ack_reply::delivery;
use super::api::{Api, ApiError};
use super::puller::{Pulled, Puller};
use super::result::{JobResult, read_result};
use super::wanted::nanos;

/// So many results wait for who takes them before fewer are fetched.
const WAIT: usize = 64;

/// How long one request for results waits at the server.
const EXPIRES: Duration = Duration::from_secs(30);

/// A consumer that nobody asks for so long is removed by the server.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// The results of jobs as they are stored, on whatever host they were done; made by [`Submitter::results`](super::Submitter::results).
///
/// It goes on by itself when the server was away, and leaves out nothing. A message on the subject that is no result is left out. It is fed by a task of the tokio runtime where
/// it was made, and ends with that.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Results(mpsc::Receiver<JobResult>);

impl Stream for Results {
    type Item = JobResult;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<JobResult>> {
        self.0.poll_recv(cx)
    }
}

impl fmt::Debug for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results").finish_non_exhaustive()
    }
}

/// From where on results are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadFrom {
    Now,
    First,
}

/// Reads the results of a subject, which this stream has.
pub(super) async fn read(
    api: Api,
    stream: String,
    subject: String,
    from: ReadFrom,
) -> Result<Results, ApiError> {
    let looked = StreamLook::at(&api, &stream).await?;
    let next = match from {
        ReadFrom::Now => looked.last + 1,
        ReadFrom::First => 1,
    };
    let (give, results) = mpsc::channel(WAIT);
    let reader = ResultReader {
        api,
        stream,
        subject,
        created: looked.created,
        next,
        give,
    };
    tokio::spawn(reader.run());
    Ok(Results(results))
}

/// What the server says of a stream.
struct StreamLook {
    /// When it was made, to the nanosecond: two streams of one name are told apart by it.
    created: String,
    /// The number of its last message.
    last: u64,
}

impl StreamLook {
    async fn at(api: &Api, stream: &str) -> Result<Self, ApiError> {
        let call = format!("STREAM.INFO.{stream}");
        let info = api.call(&call, &Value::Null).await?;
        Ok(Self {
            created: info.text("/created").unwrap_or_default().to_owned(),
            last: info.number("/state/last_seq"),
        })
    }
}

struct ResultReader {
    api: Api,
    stream: String,
    subject: String,
    /// When the stream was made that was read.
    created: String,
    /// The number in the stream from which on results are wanted.
    next: u64,
    give: mpsc::Sender<JobResult>,
}

impl ResultReader {
    /// Reads until nobody wants results any more.
    async fn run(mut self) {
        let give = self.give.clone();
        tokio::select! {
            () = give.closed() => {}
            () = self.read() => {}
        }
    }

    async fn read(&mut self) {
        let mut delay = Duration::from_millis(100);
        loop {
            match self.consumer().await {
                Ok(consumer) => {
                    delay = Duration::from_millis(100);
                    if !self.read_from(&consumer).await {
                        return;
                    }
                }
                Err(error) => {
                    log::debug!("no results from stream {}: {error}", self.stream);
                    sleep(delay).await;
                    delay = Duration::from_secs(1).min(delay * 2);
                }
            }
        }
    }

    /// A consumer of what was not read yet. It is one's own, so that each reader has all results.
    async fn consumer(&mut self) -> Result<String, ApiError> {
        let looked = StreamLook::at(&self.api, &self.stream).await?;
        if looked.created != self.created {
            // It was made anew, and counts from 1.
            self.created = looked.created;
            self.next = 1;
        }
        let body = json!({
            "stream_name": self.stream,
            "config": {
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": self.next,
                "ack_policy": "none",
                "filter_subject": self.subject,
                "inactive_threshold": nanos(FORGOTTEN_AFTER),
                "mem_storage": true,
                "num_replicas": 1,
            },
        });
        let made = self
            .api
            .call(&format!("CONSUMER.CREATE.{}", self.stream), &body)
            .await?;
        Ok(made.text("/name").unwrap_or_default().to_owned())
    }

    /// `false` if nobody wants results any more. Else the consumer is of no use any more: what it has sent may be lost.
    async fn read_from(&mut self, consumer: &str) -> bool {
        let mut puller = Puller::new(&self.api, &self.stream, consumer, EXPIRES);
        // Of the deliveries of the consumer, which is new.
        let mut last = 0;
        loop {
            let room = self.give.capacity().saturating_sub(puller.owed());
            let message = match puller.next(room.max(1)).await {
                Pulled::Message(message) => message,
                Pulled::Nothing => continue,
                Pulled::LongEmpty | Pulled::Trouble => return true,
            };
            let reply = message.reply.as_deref().and_then(delivery);
            let Some(delivery) = reply else {
                continue;
            };
            // What was sent into a connection that broke counts as delivered.
            if delivery.consumer_sequence != last + 1 {
                return true;
            }
            last = delivery.consumer_sequence;
            let sequence = delivery.sequence;
            if sequence < self.next {
                continue;
            }
            self.next = sequence + 1;
            if let Some(result) = read_result(&message)
                && self.give.send(result).await.is_err()
            {
                return false;
            }
        }
    }
}
