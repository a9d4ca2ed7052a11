//! Why a feed is not started, and why a job is not submitted.

use super::api::ApiError;
use super::result::JobId;

/// Why a [`Feed`](super::Feed) is not started. Nothing that was there was altered, unless [`adopt`](super::Feed::adopt) was said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The description of the feed is not acceptable. The server was not asked.
    #[error("{field}: {problem}")]
    #[non_exhaustive]
    Spec {
        /// The method of the builder.
        field: &'static str,
        /// What is wrong with what it was given.
        problem: String,
    },
    /// The call was not made on a tokio runtime.
    #[error("there is no tokio runtime here")]
    NoRuntime,
    /// The server has no JetStream, or none for this account.
    #[error("the server has no JetStream for this account")]
    NoJetStream,
    /// The server lets this client not use a subject that the feed needs.
    #[error("no permission to use {subject}, or it is not answered")]
    #[non_exhaustive]
    NoPermission {
        /// The subject.
        subject: String,
    },
    /// The server does not answer at all.
    #[error("the server does not answer")]
    Unreachable,
    /// A stream or a consumer is there, and is another one than the feed needs.
    #[error("the {what} is not as it must be: {field} is {found}, not {wanted}")]
    #[non_exhaustive]
    Differs {
        /// `stream JOBS`, or `consumer convert`.
        what: String,
        /// The field of its configuration, as JetStream calls it.
        field: &'static str,
        /// What it must be.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// The server refuses to make or alter something.
    #[error("the server refuses the {what}: {description} ({code})")]
    #[non_exhaustive]
    Refused {
        /// `stream JOBS`, or `consumer convert`.
        what: String,
        /// JetStream's number of the error.
        code: u64,
        /// The server's words.
        description: String,
    },
}

impl FeedError {
    pub(super) fn refused(what: &str, error: ApiError) -> Self {
        match error {
            ApiError::Refused { code, description } => Self::Refused {
                what: what.to_owned(),
                code,
                description,
            },
            error => Self::Refused {
                what: what.to_owned(),
                code: 0,
                description: error.to_string(),
            },
        }
    }
}

/// Why a job is not submitted, or its result is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The job cannot travel. The server was not asked.
    #[error("the job cannot be submitted: {what}")]
    #[non_exhaustive]
    Invalid {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The call was not made on a tokio runtime.
    #[error("there is no tokio runtime here")]
    NoRuntime,
    /// No stream has this subject.
    #[error("no stream has the subject {subject}")]
    #[non_exhaustive]
    NoStream {
        /// The subject.
        subject: String,
    },
    /// It is larger than the server, or the stream, takes.
    #[error("it is larger than the server takes")]
    TooLarge,
    /// The stream refuses it: it is full, say.
    #[error("the stream refuses it: {description} ({code})")]
    #[non_exhaustive]
    Refused {
        /// JetStream's number of the error.
        code: u64,
        /// The server's words.
        description: String,
    },
    /// The server has not answered, so the job may be in the stream. To submit it again under the same id is safe.
    #[error("no answer whether the stream has the job {id}")]
    #[non_exhaustive]
    Unknown {
        /// Of the job.
        id: JobId,
    },
    /// The job was submitted, and has no result yet.
    #[error("no result of the job {id} in time")]
    #[non_exhaustive]
    TimedOut {
        /// Of the job.
        id: JobId,
    },
}
