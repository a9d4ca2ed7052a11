//! Messages from a consumer, by one pull request after the other.

use std::time::Duration;

use async_nats::{Message, StatusCode, Subscriber};
use futures_core::Stream;
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};

use super::api::Api;
use super::pull::{Overdue, PullState, PullTerms};
use super::wanted::nanos;

/// The way of messages from one consumer to here.
pub(super) struct Puller {
    api: Api,
    /// Where pull requests go.
    next: String,
    start: Instant,
    state: PullState,
    /// What the server sends; `None` before the first request, and after trouble.
    inbox: Option<Inbox>,
    /// No request before then: the server has refused one.
    not_before: Option<Instant>,
}

struct Inbox {
    /// The requests' numbers follow.
    name: String,
    subscriber: Subscriber,
}

/// An inbox where nothing more is asked for.
pub(super) struct OldInbox {
    subscriber: Subscriber,
    is_draining: bool,
}

/// The next message that was on its way to an old inbox, which is dropped when there are no more. It never ends then. Dropping the future loses nothing.
pub(super) async fn next_of_old(old: &mut Option<OldInbox>) -> Message {
    while let Some(inbox) = old {
        if !inbox.is_draining {
            if inbox.subscriber.drain().await.is_err() {
                *old = None;
                continue;
            }
            inbox.is_draining = true;
        }
        match next_of(&mut inbox.subscriber).await {
            Some(message) if message.status.is_none() => return message,
            Some(_) => {}
            None => *old = None,
        }
    }
    std::future::pending().await
}

/// What came.
pub(super) enum Pulled {
    Message(Box<Message>),
    /// The server waits with us: there is nothing to deliver.
    Nothing,
    /// Nothing came for two whole requests.
    LongEmpty,
    /// The server is silent, or says that there is no such consumer. The caller finds out why, and goes on with [`Puller::renew`].
    Trouble,
}

/// How long no request follows one that the server has refused.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// How long the server has to end a subscription.
const DRAINED_WITHIN: Duration = Duration::from_secs(1);

impl Puller {
    pub(super) fn new(api: &Api, stream: &str, consumer: &str, expires: Duration) -> Self {
        Self {
            next: api.subject(&format!("CONSUMER.MSG.NEXT.{stream}.{consumer}")),
            api: api.clone(),
            start: Instant::now(),
            state: PullState::new(PullTerms::new(expires)),
            inbox: None,
            not_before: None,
        }
    }

    /// How many messages are on their way, at most.
    pub(super) fn owed(&self) -> usize {
        self.state.owed()
    }

    /// A new inbox; what was asked for in the old one is forgotten. What is on its way there still is the caller's.
    pub(super) fn renew(&mut self) -> Option<OldInbox> {
        self.state.close();
        self.inbox.take().map(|inbox| OldInbox {
            subscriber: inbox.subscriber,
            is_draining: false,
        })
    }

    /// What comes next, with `room` for so many messages. Dropping the future loses nothing. Without room it never ends, unless messages are on their way.
    pub(super) async fn next(&mut self, room: usize) -> Pulled {
        loop {
            if self.state.is_closed() {
                if self.state.is_long_empty() {
                    return Pulled::LongEmpty;
                }
                if room == 0 {
                    return std::future::pending().await;
                }
                if let Some(at) = self.not_before {
                    sleep_until(at).await;
                    self.not_before = None;
                }
                if !self.ask(room).await {
                    return Pulled::Trouble;
                }
            }
            let due = self.state.next_due().map(|due| self.start + due);
            let Some(inbox) = &mut self.inbox else {
                return Pulled::Trouble;
            };
            let came = tokio::select! {
                biased;
                message = next_of(&mut inbox.subscriber) => message,
                () = sleep_until(due.unwrap_or(self.start)), if due.is_some() => {
                    match self.state.overdue(self.now()) {
                        Some(Overdue::Silent) => return Pulled::Trouble,
                        Some(Overdue::Expired) => self.state.close(),
                        None => {}
                    }
                    continue;
                }
            };
            let Some(message) = came else {
                return Pulled::Trouble;
            };
            let number = self.number_of(&message);
            let now = self.now();
            match message.status {
                None => {
                    self.state.received(now);
                    return Pulled::Message(Box::new(message));
                }
                // A heartbeat.
                Some(StatusCode::IDLE_HEARTBEAT) => {
                    self.state.heard(number, now);
                    return Pulled::Nothing;
                }
                // Its time is over, or there was nothing.
                Some(StatusCode::TIMEOUT | StatusCode::NOT_FOUND) => self.state.ended(number),
                Some(StatusCode::NO_RESPONDERS) => return Pulled::Trouble,
                Some(_) => {
                    let description = message.description.unwrap_or_default();
                    log::debug!("a pull request was refused: {description}");
                    if description.contains("Consumer Deleted") {
                        return Pulled::Trouble;
                    }
                    self.state.ended(number);
                    self.not_before = Some(Instant::now() + AFTER_REFUSAL);
                }
            }
        }
    }

    /// Asks for no more, and takes what is on its way.
    pub(super) async fn drain(mut self) -> Vec<Message> {
        let mut rest = Vec::new();
        let Some(inbox) = &mut self.inbox else {
            return rest;
        };
        let taken = async {
            if inbox.subscriber.drain().await.is_err() {
                return;
            }
            while let Some(message) = next_of(&mut inbox.subscriber).await {
                if message.status.is_none() {
                    rest.push(message);
                }
            }
        };
        // A server that is gone ends no subscription.
        let _ = timeout(DRAINED_WITHIN, taken).await;
        rest
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Makes a request. `false` if the client has no connection.
    async fn ask(&mut self, room: usize) -> bool {
        if !self.api.is_connected() {
            return false;
        }
        if self.inbox.is_none() {
            let name = self.api.client.new_inbox();
            let Ok(subscriber) = self.api.client.subscribe(format!("{name}.*")).await else {
                return false;
            };
            self.inbox = Some(Inbox { name, subscriber });
        }
        let Some(inbox) = &self.inbox else {
            return false;
        };
        let terms = self.state.terms();
        let reply = format!("{}.{}", inbox.name, self.state.next_number());
        let body = json!({
            "batch": room,
            "expires": nanos(terms.expires),
            "idle_heartbeat": nanos(terms.heartbeat),
        });
        let body = body.to_string().into();
        let asked = self
            .api
            .client
            .publish_with_reply(self.next.clone(), reply, body)
            .await;
        self.state.asked(room, self.now());
        asked.is_ok()
    }

    /// Of the request that a status is for.
    fn number_of(&self, message: &Message) -> u64 {
        let number = message.subject.rsplit('.').next();
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    }
}

async fn next_of(subscriber: &mut Subscriber) -> Option<Message> {
    std::future::poll_fn(|cx| std::pin::Pin::new(&mut *subscriber).poll_next(cx)).await
}
