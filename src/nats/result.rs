//! The results of jobs, as they travel.

use std::fmt;
use std::sync::Arc;

use async_nats::HeaderMap;

use super::names::{ATTEMPTS, JOB_ID, MESSAGE_ID, STATUS, TRACEPARENT};
use crate::Bytes;

/// By what a job, its result and its death are known, on every host. A stream takes one job of an id inside of its window of duplicates.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct JobId(Arc<str>);

impl JobId {
    pub(super) fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as it is in the header `Nats-Msg-Id`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What does not print is escaped.
impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_debug().fmt(f)
    }
}

/// How a job ended, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum JobStatus {
    /// The body is the answer.
    Ok,
    /// The worker says that the job failed. The body is what it says.
    Remote,
    /// The process of a one-shot job ended with a status that is no success. The body is the last of its standard error.
    Failed,
    /// No worker had begun with it when it expired.
    Expired,
    /// The job, or its answer, is larger than the pool or the server takes.
    TooLarge,
    /// The worker, or who submitted the job, did not keep to the framing or to the headers. The body says what was wrong.
    Protocol,
    /// It has had all of its attempts, and each was lost. The message on the subject of dead jobs tells more.
    Dead,
}

const STATUSES: [(JobStatus, &str); 7] = [
    (JobStatus::Ok, "ok"),
    (JobStatus::Remote, "remote"),
    (JobStatus::Failed, "failed"),
    (JobStatus::Expired, "expired"),
    (JobStatus::TooLarge, "too_large"),
    (JobStatus::Protocol, "protocol"),
    (JobStatus::Dead, "dead"),
];

impl JobStatus {
    /// The word in the header `Job-Status` of a result.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Remote => "remote",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::TooLarge => "too_large",
            Self::Protocol => "protocol",
            Self::Dead => "dead",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        let found = STATUSES.iter().find(|(_, known)| *known == word);
        found.map(|(status, _)| *status)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The one result of a job.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobResult {
    /// Of the job.
    pub id: JobId,
    /// How it ended.
    pub status: JobStatus,
    /// How often it was tried, the last time included. A first attempt whose host was lost with it is not counted.
    pub attempts: u32,
    /// What [`status`](Self::status) says.
    pub body: Bytes,
    /// As it came with the job.
    pub traceparent: Option<String>,
    /// Tells the job from all others.
    pub(super) unique: String,
}

/// Of the body only how long it is.
impl fmt::Debug for JobResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobResult")
            .field("id", &self.id)
            .field("status", &self.status)
            .field("attempts", &self.attempts)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

/// The headers of a result. `unique` is what tells the job from all others, also from those of its id.
pub(super) fn result_headers(
    unique: &str,
    id: &str,
    status: JobStatus,
    attempts: u32,
    traceparent: Option<&str>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(MESSAGE_ID, unique);
    headers.insert(JOB_ID, id);
    headers.insert(STATUS, status.as_str());
    headers.insert(ATTEMPTS, attempts.to_string());
    if let Some(traceparent) = traceparent {
        headers.insert(TRACEPARENT, traceparent);
    }
    headers
}

/// The result in a message; `None` if it is no result.
pub(super) fn read_result(message: &async_nats::Message) -> Option<JobResult> {
    let headers = message.headers.as_ref()?;
    let text = |name: &str| headers.get(name).map(|value| value.as_str());
    Some(JobResult {
        id: JobId::new(text(JOB_ID)?),
        status: JobStatus::of_word(text(STATUS)?)?,
        attempts: text(ATTEMPTS)?.parse().ok()?,
        body: message.payload.clone(),
        traceparent: text(TRACEPARENT).map(str::to_owned),
        unique: text(MESSAGE_ID).unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: Option<HeaderMap>) -> async_nats::Message {
        async_nats::Message {
            subject: "results.convert".into(),
            reply: None,
            payload: "an answer".into(),
            headers,
            status: None,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for (status, word) in STATUSES {
            assert_eq!(status.as_str(), word);
            let headers = result_headers("an id/JOBS:1:2", "an id", status, 3, Some("00-1-2-01"));
            let read = read_result(&message(Some(headers))).unwrap();
            assert_eq!(read.id.as_str(), "an id");
            assert_eq!((read.status, read.attempts), (status, 3));
            assert_eq!(read.body, "an answer");
            assert_eq!(read.traceparent.as_deref(), Some("00-1-2-01"));
        }
    }

    #[test]
    fn what_is_no_result_is_none() {
        assert_eq!(read_result(&message(None)), None);
        let mut headers = result_headers("id", "id", JobStatus::Ok, 1, None);
        headers.insert(STATUS, "fine");
        assert_eq!(read_result(&message(Some(headers))), None);
    }
}
