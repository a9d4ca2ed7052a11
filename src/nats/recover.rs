//! What a feed does when the server is silent, or gives nothing though jobs wait.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api::{Api, ApiError, CONSUMER_NOT_FOUND, NO_MESSAGE, STREAM_NOT_FOUND};
use super::context::FeedContext;
use super::event::FeedEvent;
use super::phantoms::forget_gone;
use super::settings::FeedSettings;
use super::setup::{created, prepare};

/// How it is with the consumer, now that the server answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recovered {
    /// Jobs that wait in the stream.
    pub(super) pending: u64,
    /// There are some, and fewer under way than may be.
    pub(super) may_deliver: bool,
    /// The server answered at once, so it was never gone.
    pub(super) at_once: bool,
}

/// What the server says of a consumer.
#[derive(Debug, Clone, Copy)]
struct ConsumerLook {
    pending: u64,
    unacknowledged: u64,
    /// All up to this number of the stream is acknowledged: nobody gets it any more.
    floor: u64,
    /// The greatest number of the stream that was delivered.
    delivered: u64,
}

impl ConsumerLook {
    async fn at(api: &Api, stream: &str, consumer: &str) -> Result<Self, ApiError> {
        let call = format!("CONSUMER.INFO.{stream}.{consumer}");
        let info = api.call(&call, &Value::Null).await?;
        Ok(Self {
            pending: info.number("/num_pending"),
            unacknowledged: info.number("/num_ack_pending"),
            floor: info.number("/ack_floor/stream_seq"),
            delivered: info.number("/delivered/stream_seq"),
        })
    }
}

/// Asks after the consumer until the server answers, first after `rest`. One that is gone is made anew.
pub(super) async fn recover(context: Arc<FeedContext>, rest: Duration) -> Recovered {
    sleep(rest).await;
    let settings = &context.settings;
    let mut delay = Duration::from_millis(100);
    let mut at_once = true;
    let mut was_told = false;
    loop {
        match ConsumerLook::at(&context.api, &settings.stream, &settings.consumer).await {
            Ok(look) => {
                match created(&context.api, settings).await {
                    Ok(at) if context.shared.stream_was_created(&at) => {
                        log::warn!("the stream {} is another one than before", settings.stream);
                    }
                    Ok(_) => {}
                    Err(error) => log::debug!("no word of the stream {}: {error}", settings.stream),
                }
                let most = u64::try_from(settings.max_ack_pending).unwrap_or(u64::MAX);
                return Recovered {
                    pending: look.pending,
                    may_deliver: look.pending > 0 && look.unacknowledged < most,
                    at_once,
                };
            }
            Err(error) if error.is(CONSUMER_NOT_FOUND) || error.is(STREAM_NOT_FOUND) => {
                match prepare(&context.api, settings).await {
                    Ok(()) => {
                        log::warn!(
                            "the consumer {} was gone, and was made anew",
                            settings.consumer
                        );
                        context.shared.events.publish(FeedEvent::MadeAnew);
                        continue;
                    }
                    Err(error) if !was_told => {
                        log::warn!("the consumer {} is gone: {error}", settings.consumer);
                        let problem = error.to_string();
                        context
                            .shared
                            .events
                            .publish(FeedEvent::NotMadeAnew { problem });
                        was_told = true;
                    }
                    Err(_) => {}
                }
            }
            Err(error) => log::debug!("no word of the consumer {}: {error}", settings.consumer),
        }
        at_once = false;
        sleep(delay).await;
        delay = Duration::from_secs(1).min(delay * 2);
    }
}

/// Removes what a server that was killed has brought back: jobs that are acknowledged, and that nobody gets any more.
///
/// A server that is killed may have stored that a job is acknowledged, and not that its message is removed. The consumer is past that message, so it would
/// stay in the stream for ever.
#[derive(Debug)]
pub(super) struct Sweep {
    /// When to look, if at all.
    due: Option<Instant>,
    delay: Duration,
}

const FIRST_LOOK: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// What a server has forgotten when it was killed is seen in looks that are no farther apart.
const EARLY: Duration = Duration::from_secs(8);

/// What a look has found.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Swept {
    /// No job was under way or waited, so that nothing is left to be removed later.
    pub(super) is_quiet: bool,
    /// The consumer may have stood still. It goes on at the next request.
    pub(super) stood_still: bool,
}

impl Sweep {
    /// Due soon.
    pub(super) fn new() -> Self {
        Self {
            due: Some(Instant::now() + FIRST_LOOK),
            delay: FIRST_LOOK,
        }
    }

    pub(super) fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }

    /// The server may have been killed a moment ago.
    pub(super) fn is_early(&self) -> bool {
        self.delay <= EARLY
    }

    /// A look is under way.
    pub(super) const fn begun(&mut self) {
        self.due = None;
    }

    /// A look is over. Where jobs were under way, there may be more to remove when they are done.
    pub(super) fn looked(&mut self, was_quiet: bool) {
        self.delay = LONGEST_DELAY.min(self.delay * 2);
        self.due = (!was_quiet).then(|| Instant::now() + self.delay);
    }
}

/// Removes what is below the consumer; `early` also what the server takes for jobs that are under way, and is none.
pub(super) async fn sweep(context: Arc<FeedContext>, early: bool) -> Swept {
    let (api, settings) = (&context.api, &context.settings);
    let swept = async {
        let look = ConsumerLook::at(api, &settings.stream, &settings.consumer).await?;
        let info = api
            .call(&format!("STREAM.INFO.{}", settings.stream), &Value::Null)
            .await?;
        // A consumer that is ahead of its stream was told of jobs that the stream has lost; the next ones have their numbers.
        let is_ahead = look.delivered > info.number("/state/last_seq");
        let mut gone = 0;
        if early && look.unacknowledged > 0 && !is_ahead {
            let numbers = look.floor + 1..=look.delivered;
            let lacking = info.number("/state/num_deleted");
            gone = forget_gone(api, settings, numbers, lacking).await?;
        }
        let last = if is_ahead { 0 } else { look.floor };
        let messages = remove_to(api, settings, last).await?;
        if messages > 0 {
            log::warn!(
                "{messages} jobs that were done had come back in stream {}",
                settings.stream
            );
            context.shared.events.publish(FeedEvent::Swept { messages });
        }
        Ok::<_, ApiError>(Swept {
            is_quiet: look.pending == 0 && look.unacknowledged == 0,
            stood_still: gone > 0 && look.pending > 0,
        })
    };
    swept.await.unwrap_or_else(|error| {
        log::debug!("stream {} was not swept: {error}", settings.stream);
        Swept::default()
    })
}

/// Removes the messages of the jobs' subject up to a number of the stream; gives how many there were.
///
/// One by one: a purge of a subject makes a server of version 2.9 forget what is under way, and nobody gets these jobs any more.
async fn remove_to(api: &Api, settings: &FeedSettings, last: u64) -> Result<u64, ApiError> {
    let stream = &settings.stream;
    let (mut removed, mut from) = (0, 1);
    while from <= last {
        let next = json!({ "seq": from, "next_by_subj": settings.subject });
        let found = api.call(&format!("STREAM.MSG.GET.{stream}"), &next).await;
        let sequence = match found {
            Ok(found) => found.number("/message/seq"),
            Err(error) if error.is(NO_MESSAGE) => break,
            Err(error) => return Err(error),
        };
        if sequence < from || sequence > last {
            break;
        }
        let body = json!({ "seq": sequence, "no_erase": true });
        let call = format!("STREAM.MSG.DELETE.{stream}");
        match api.call(&call, &body).await {
            Ok(_) => removed += 1,
            // Another host sweeps as well.
            Err(ApiError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
        from = sequence + 1;
    }
    Ok(removed)
}
