//! How often a job was tried, counted in a stream of its own.
//!
//! The server counts deliveries, which are more: some are used up unseen, and a job that goes back untried is delivered again. So each
//! attempt but a first one that succeeds leaves a message under a subject of the job's own, and their number is that of the attempts. The
//! first attempt leaves one when it is lost; each later one when it begins, so that it counts though its host is lost with it.

use async_nats::HeaderMap;
use serde_json::{Value, json};

use super::ack_reply::Delivery;
use super::api::{Api, ApiError};
use super::names::MESSAGE_ID;
use crate::Bytes;

/// The attempts of one job.
#[derive(Debug)]
pub(super) struct Attempts {
    stream: String,
    subject: String,
    /// Nobody has tried the job before.
    is_first: bool,
    /// Of the record, however often it is sent. The number of a delivery would not do: a server of version 2.9 begins anew with 1 at times.
    id: String,
    /// How many were recorded before this one.
    before: u32,
    /// The number in the stream of the record of this one.
    recorded: Option<u64>,
    is_settled: bool,
}

impl Attempts {
    /// `stream` is that of attempts, `subject` the one below which it has them.
    pub(super) fn new(stream: String, subject: &str, delivery: &Delivery, is_first: bool) -> Self {
        let stored = delivery.stored.as_nanos();
        // The time too: a stream that is made anew numbers from 1 again.
        let subject = format!("{subject}.{}-{stored}", delivery.sequence);
        Self {
            stream,
            id: format!("{subject}.{:016x}", fastrand::u64(..)),
            subject,
            is_first,
            before: 0,
            recorded: None,
            is_settled: false,
        }
    }

    /// The number of this attempt, from 1 on.
    pub(super) const fn number(&self) -> u32 {
        self.before + 1
    }

    /// How many were lost before this one.
    pub(super) const fn before(&self) -> u32 {
        self.before
    }

    /// Asks how many there were. A first delivery had none.
    pub(super) async fn look(&mut self, api: &Api) -> Result<(), ApiError> {
        if !self.is_first {
            let filter = json!({ "subjects_filter": self.subject });
            let info = api
                .call(&format!("STREAM.INFO.{}", self.stream), &filter)
                .await?;
            let counts = info.at("/state/subjects");
            let count = counts
                .get(&self.subject)
                .and_then(Value::as_u64)
                .unwrap_or(0);
            self.before = u32::try_from(count).unwrap_or(u32::MAX - 1);
        }
        Ok(())
    }

    /// Records that this one begins, if it is not the first delivery.
    pub(super) async fn begin(&mut self, api: &Api) -> Result<(), ApiError> {
        if !self.is_first {
            self.record(api).await?;
        }
        Ok(())
    }

    /// Records this one, once.
    pub(super) async fn record(&mut self, api: &Api) -> Result<(), ApiError> {
        if self.recorded.is_none() {
            let mut headers = HeaderMap::new();
            headers.insert(MESSAGE_ID, self.id.as_str());
            let stored = api.store(&self.subject, headers, Bytes::new()).await?;
            self.recorded = Some(stored.sequence);
        }
        Ok(())
    }

    /// It is over, and counts, whatever follows.
    pub(super) const fn settle(&mut self) {
        self.is_settled = true;
    }

    /// It was none, unless it is over: the job goes back untried.
    pub(super) async fn take_back(&mut self, api: &Api) -> Result<(), ApiError> {
        if self.is_settled {
            return Ok(());
        }
        if let Some(sequence) = self.recorded {
            let body = json!({ "seq": sequence, "no_erase": true });
            let call = format!("STREAM.MSG.DELETE.{}", self.stream);
            match api.call(&call, &body).await {
                // One that is gone counts no more.
                Ok(_) | Err(ApiError::Refused { .. }) => self.recorded = None,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The job has its result: its attempts are no matter any more. What is not removed goes with its age.
    pub(super) async fn forget(&self, api: &Api) {
        if self.before > 0 || self.recorded.is_some() {
            let body: Value = json!({ "filter": self.subject });
            let purged = api
                .call(&format!("STREAM.PURGE.{}", self.stream), &body)
                .await;
            if let Err(error) = purged {
                log::debug!("the attempts of a job that is done are kept: {error}");
            }
        }
    }
}
