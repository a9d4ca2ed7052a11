//! What is submitted: a job with its id.

use std::fmt;
use std::time::Duration;

use async_nats::HeaderMap;

use super::names::{
    EXPIRES, KEY, MESSAGE_ID, PRIORITY, TIMEOUT, TRACEPARENT, URGENT, is_header_text,
};
use crate::Bytes;
use crate::pool::Job;

/// The longest id of a job, in bytes.
pub(super) const LONGEST_ID: usize = 255;

/// A [`Job`] for a stream, with what a stream knows of it besides. A job alone is one with an id that nobody else has.
///
/// ```
/// use actix_process::nats::JobRequest;
/// use actix_process::pool::Job;
///
/// let request = JobRequest::new(Job::new("a picture").urgent()).id("picture-17");
/// # let _ = request;
/// ```
#[derive(Clone)]
#[must_use = "a job does nothing until it is submitted"]
pub struct JobRequest {
    job: Job,
    id: Option<String>,
    traceparent: Option<String>,
}

impl JobRequest {
    /// This job, under an id of its own.
    pub fn new(job: impl Into<Job>) -> Self {
        Self {
            job: job.into(),
            id: None,
            traceparent: None,
        }
    }

    /// The id of the job: visible ASCII characters and spaces, 255 at most. Inside of its window of duplicates the stream takes one job of an id; another one
    /// counts as submitted.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The `traceparent` of W3C Trace Context, which the result has as well. ASCII, as the id.
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.traceparent = Some(traceparent.into());
        self
    }

    /// The headers and the body of its message, or what is wrong with it. `new_id` makes an id for one without.
    pub(super) fn into_message(
        self,
        new_id: impl FnOnce() -> String,
    ) -> Result<(String, HeaderMap, Bytes), &'static str> {
        let job = self.job;
        if !job.args.is_empty() {
            return Err("its arguments do not travel: who submits does not say what hosts run");
        }
        if job.retries > 0 {
            return Err("retry_on_loss is for pools: the feeds say how often a job is tried");
        }
        let id = self.id.unwrap_or_else(new_id);
        if id.is_empty() || id.len() > LONGEST_ID || !is_header_text(&id) || id.trim() != id {
            return Err("its id is not 1 to 255 characters of visible ASCII");
        }
        let mut headers = HeaderMap::new();
        headers.insert(MESSAGE_ID, id.as_str());
        if job.urgent {
            headers.insert(PRIORITY, URGENT);
        }
        if let Some(key) = &job.key {
            if !is_header_text(key) || key.trim() != &**key {
                return Err("its key is not of visible ASCII");
            }
            headers.insert(KEY, &**key);
        }
        for (name, time) in [(EXPIRES, job.expires), (TIMEOUT, job.timeout)] {
            if let Some(time) = time {
                headers.insert(name, millis(time).to_string());
            }
        }
        if let Some(traceparent) = self.traceparent {
            if !is_header_text(&traceparent) {
                return Err("its traceparent is not of visible ASCII");
            }
            headers.insert(TRACEPARENT, traceparent);
        }
        Ok((id, headers, job.body))
    }
}

/// At least one: a time of zero on the way would be none.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

impl<J: Into<Job>> From<J> for JobRequest {
    fn from(job: J) -> Self {
        Self::new(job)
    }
}

/// Of the body and the key nothing.
impl fmt::Debug for JobRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRequest")
            .field("job", &self.job)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(request: JobRequest) -> Result<(String, HeaderMap, Bytes), &'static str> {
        request.into_message(|| "made".to_owned())
    }

    #[test]
    fn what_is_said_of_a_job_travels_as_headers() {
        let job = Job::new("body").urgent().key("user 7");
        let job = job
            .expires(Duration::from_secs(2))
            .timeout(Duration::from_micros(1));
        let request = JobRequest::new(job).traceparent("00-a-b-01");
        let (id, headers, body) = message(request).unwrap();
        assert_eq!((id.as_str(), body), ("made", Bytes::from("body")));
        let text = |name: &str| headers.get(name).map(|value| value.as_str());
        assert_eq!(text(MESSAGE_ID), Some("made"));
        assert_eq!(text(PRIORITY), Some("urgent"));
        assert_eq!(text(KEY), Some("user 7"));
        assert_eq!(text(EXPIRES), Some("2000"));
        assert_eq!(text(TIMEOUT), Some("1"));
        assert_eq!(text(TRACEPARENT), Some("00-a-b-01"));
    }

    #[test]
    fn what_cannot_travel_is_refused() {
        let plain = || Job::new("");
        for request in [
            JobRequest::new(plain().arg("--all")),
            JobRequest::new(plain().retry_on_loss(1)),
            JobRequest::new(plain().key("a\r\nNats-Msg-Id: b")),
            JobRequest::new(plain()).id(""),
            JobRequest::new(plain()).id("a\nb"),
            JobRequest::new(plain()).id("x".repeat(256)),
            JobRequest::new(plain()).traceparent("ü"),
        ] {
            assert!(message(request.clone()).is_err(), "{request:?}");
        }
        let (id, ..) = message(JobRequest::new(plain()).id("mine")).unwrap();
        assert_eq!(id, "mine");
    }
}
