//! A message of the stream as a job: what its headers say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::{HeaderMap, Message};

use super::ack_reply::{Delivery, delivery};
use super::names::{EXPIRES, KEY, MESSAGE_ID, PRIORITY, TIMEOUT, TRACEPARENT, URGENT};
use super::result::JobId;
use crate::Bytes;
use crate::pool::Job;

/// A job that a stream has delivered.
#[derive(Debug, Clone)]
pub(super) struct JobMessage {
    pub(super) id: JobId,
    /// Where it is acknowledged.
    pub(super) reply: String,
    pub(super) delivery: Delivery,
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
        let given = headers.get(MESSAGE_ID).map(|id| id.as_str());
        // The time makes it one that no stream of this name had before.
        let id = match given {
            Some(id) if !id.is_empty() => JobId::new(id),
            _ => JobId::new(&format!(
                "{stream}:{}:{}",
                delivery.sequence,
                delivery.stored.as_nanos()
            )),
        };
        Some(Self {
            id,
            reply,
            delivery,
            headers,
            body: message.payload,
        })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.as_str())
    }

    pub(super) fn traceparent(&self) -> Option<&str> {
        self.header(TRACEPARENT)
    }

    /// The job for the pool. `now` is the time of this host.
    pub(super) fn job(&self, now: SystemTime) -> Result<Job, NoJob> {
        let mut job = Job::new(self.body.clone());
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
    fn a_job_without_an_id_has_one_that_no_other_message_had() {
        let id = message(&[]).id;
        assert_eq!(id.as_str(), format!("JOBS:7:{}", STORED.as_nanos()));
        assert_eq!(message(&[(MESSAGE_ID, "mine")]).id.as_str(), "mine");
    }
}
