//! A message of the stream as a job: what its headers say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::{HeaderMap, Message};

use super::ack_reply::{Delivery, delivery};
use super::names::{
    EXPIRES, KEY, MESSAGE_ID, PRIORITY, TIMEOUT, TRACEPARENT, URGENT, is_header_text,
};
use super::request::LONGEST_ID;
use super::result::JobId;
use crate::Bytes;
use crate::pool::Job;

/// A longer `traceparent` is left out: those of W3C Trace Context have 55 characters.
const LONGEST_TRACEPARENT: usize = 512;

/// A job that a stream has delivered.
#[derive(Debug, Clone)]
pub(super) struct JobMessage {
    pub(super) id: JobId,
    /// Tells the job from all others, also from those of its id, and is the same for each delivery.
    pub(super) unique: String,
    /// Where it is acknowledged.
    pub(super) reply: String,
    pub(super) delivery: Delivery,
    /// As far as is known here, no host had the job before.
    pub(super) is_first: bool,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What is wrong with what a message says of its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoJob {
    /// It expired while it waited in the stream.
    Expired,
    /// A header is not what it should be.
    Header(&'static str),
}

impl JobMessage {
    /// `None` if it is not a message that a stream has delivered.
    pub(super) fn read(message: Message, stream: &str) -> Option<Self> {
        let reply = message.reply?.to_string();
        let delivery = delivery(&reply)?;
        let headers = message.headers.unwrap_or_default();
        // The time makes it one that no stream of this name had before.
        let place = format!(
            "{stream}:{}:{}",
            delivery.sequence,
            delivery.stored.as_nanos()
        );
        let given = headers.get(MESSAGE_ID).map(|id| id.as_str());
        let given = given.filter(|id| !id.is_empty() && id.len() <= LONGEST_ID);
        let (id, unique) = match given {
            Some(id) => (JobId::new(id), format!("{id}/{place}")),
            None => (JobId::new(&place), place),
        };
        Some(Self {
            id,
            unique,
            reply,
            is_first: delivery.delivered == 1,
            delivery,
            headers,
            body: message.payload,
        })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.as_str())
    }

    pub(super) fn traceparent(&self) -> Option<&str> {
        let fits = |text: &&str| text.len() <= LONGEST_TRACEPARENT && is_header_text(text);
        self.header(TRACEPARENT).filter(fits)
    }

    /// The job for the pool. `now` is the time of this host.
    pub(super) fn job(&self, now: SystemTime) -> Result<Job, NoJob> {
        let mut job = Job::new(self.body.clone());
        if self
            .header(MESSAGE_ID)
            .is_some_and(|id| id.len() > LONGEST_ID)
        {
            return Err(NoJob::Header("its Nats-Msg-Id is longer than 255 bytes"));
        }
        match self.header(PRIORITY) {
            None => {}
            Some(URGENT) => job = job.urgent(),
            Some(_) => return Err(NoJob::Header("its Job-Priority is not urgent")),
        }
        if let Some(key) = self.header(KEY) {
            job = job.key(key);
        }
        if let Some(text) = self.header(TIMEOUT) {
            let timeout = millis(text).filter(|time| !time.is_zero());
            let timeout = timeout.ok_or(NoJob::Header(
                "its Job-Timeout is no number of milliseconds",
            ))?;
            job = job.timeout(timeout);
        }
        if let Some(text) = self.header(EXPIRES) {
            let expires = millis(text).ok_or(NoJob::Header(
                "its Job-Expires is no number of milliseconds",
            ))?;
            let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
            let waited = now.saturating_sub(self.delivery.stored);
            let left = expires.checked_sub(waited).filter(|left| !left.is_zero());
            job = job.expires(left.ok_or(NoJob::Expired)?);
        }
        Ok(job)
    }
}

fn millis(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: Duration = Duration::from_secs(1_700_000_000);

    fn message(headers: &[(&str, &str)]) -> JobMessage {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        let reply = format!("$JS.ACK.JOBS.convert.1.7.5.{}.0", STORED.as_nanos());
        let message = Message {
            subject: "jobs.convert".into(),
            reply: Some(reply.into()),
            payload: "body".into(),
            headers: Some(map),
            status: None,
            description: None,
            length: 0,
        };
        JobMessage::read(message, "JOBS").unwrap()
    }

    fn job(headers: &[(&str, &str)], waited: Duration) -> Result<Job, NoJob> {
        message(headers).job(UNIX_EPOCH + STORED + waited)
    }

    #[test]
    fn headers_are_what_is_said_of_the_job() {
        let headers = [
            (PRIORITY, "urgent"),
            (KEY, "k"),
            (EXPIRES, "5000"),
            (TIMEOUT, "70"),
        ];
        let job = job(&headers, Duration::from_secs(2)).unwrap();
        assert!(job.urgent);
        assert_eq!(job.key.as_deref(), Some("k"));
        assert_eq!(job.expires, Some(Duration::from_secs(3)));
        assert_eq!(job.timeout, Some(Duration::from_millis(70)));
        assert_eq!(job.body, "body");
    }

    #[test]
    fn a_job_that_expired_in_the_stream_is_none() {
        let headers = [(EXPIRES, "5000")];
        for waited in [5, 6, 5000] {
            let job = job(&headers, Duration::from_secs(waited));
            assert_eq!(job.unwrap_err(), NoJob::Expired);
        }
    }

    #[test]
    fn headers_that_are_wrong_are_told() {
        for header in [
            (PRIORITY, "high"),
            (EXPIRES, "soon"),
            (TIMEOUT, "-1"),
            (TIMEOUT, "0"),
        ] {
            let job = job(&[header], Duration::ZERO);
            assert!(matches!(job, Err(NoJob::Header(_))), "{header:?}");
        }
    }

    #[test]
    fn headers_that_no_result_could_hold_are_not_taken_over() {
        let long = "x".repeat(300);
        let message = message(&[(MESSAGE_ID, long.as_str()), (TRACEPARENT, "00-\u{fc}")]);
        assert!(message.id.as_str().starts_with("JOBS:7:"));
        assert_eq!(message.traceparent(), None);
        let job = message.job(UNIX_EPOCH + STORED);
        assert!(matches!(job, Err(NoJob::Header(_))), "{job:?}");
    }

    #[test]
    fn a_job_without_an_id_has_one_that_no_other_message_had() {
        let id = message(&[]).id;
        assert_eq!(id.as_str(), format!("JOBS:7:{}", STORED.as_nanos()));
        let mine = message(&[(MESSAGE_ID, "mine")]);
        assert_eq!(mine.id.as_str(), "mine");
        assert_eq!(mine.unique, format!("mine/{}", id.as_str()));
    }
}
