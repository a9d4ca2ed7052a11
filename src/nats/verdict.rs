//! What becomes of a job by the outcome that the pool had for it. Plain data.

use std::sync::Arc;

use super::result::JobStatus;
use crate::Bytes;
use crate::pool::JobError;

/// What is to be done with a job that the pool is through with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JobVerdict {
    /// This is its result, and no other comes.
    Final(JobStatus, Bytes),
    /// The attempt is lost. Another one follows, if there may be more.
    Lost(LostAttempt),
    /// There was no attempt: the job goes back to the stream.
    GivenBack(WhyGivenBack),
}

/// Why a job goes back without an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhyGivenBack {
    QueueFull,
    PoolDown,
    /// The feed, or its pool, ends.
    Ending,
}

/// An attempt that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LostAttempt {
    pub(super) how: LostHow,
    /// The kind of the worker's end.
    pub(super) kind: Option<String>,
    /// How the worker ended, in words.
    pub(super) exit: Option<String>,
    /// The last of the worker's standard error.
    pub(super) tail: Bytes,
}

/// How an attempt came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum LostHow {
    /// The worker died, or closed its channel.
    Worker,
    /// The job ran longer than it may.
    Timeout,
    /// The host that had the job was not heard of again.
    Host,
}

impl LostHow {
    /// The word in the header `Job-Status` of a dead job: `worker_lost`, `timeout`, `host_lost`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker_lost",
            Self::Timeout => "timeout",
            Self::Host => "host_lost",
        }
    }
}

impl LostAttempt {
    pub(super) const fn bare(how: LostHow) -> Self {
        Self {
            how,
            kind: None,
            exit: None,
            tail: Bytes::new(),
        }
    }
}

impl JobVerdict {
    pub(super) fn of(outcome: Result<Bytes, JobError>) -> Self {
        let error = match outcome {
            Ok(answer) => return Self::Final(JobStatus::Ok, answer),
            Err(error) => error,
        };
        match error {
            JobError::Remote(error) => Self::Final(JobStatus::Remote, error),
            JobError::Failed { tail, .. } => Self::Final(JobStatus::Failed, tail),
            JobError::Expired => Self::Final(JobStatus::Expired, Bytes::new()),
            JobError::TooLarge { .. } => Self::Final(JobStatus::TooLarge, Bytes::new()),
            JobError::Protocol { what } => Self::Final(JobStatus::Protocol, text(&what)),
            JobError::Timeout { .. } => Self::Lost(LostAttempt::bare(LostHow::Timeout)),
            JobError::Poisoned { .. } => Self::Lost(LostAttempt::bare(LostHow::Worker)),
            JobError::WorkerLost {
                status, kind, tail, ..
            } => Self::Lost(LostAttempt {
                how: LostHow::Worker,
                kind: Some(kind.to_string()),
                exit: status.map(|status| status.to_string()),
                tail,
            }),
            JobError::QueueFull { .. } => Self::GivenBack(WhyGivenBack::QueueFull),
            JobError::PoolDown { .. } => Self::GivenBack(WhyGivenBack::PoolDown),
            JobError::ShuttingDown | JobError::Cancelled => Self::GivenBack(WhyGivenBack::Ending),
        }
    }
}

fn text(what: &Arc<str>) -> Bytes {
    Bytes::copy_from_slice(what.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::monitor::ExitKind;

    #[test]
    fn only_lost_workers_timeouts_and_what_never_began_come_again() {
        let lost = JobError::WorkerLost {
            status: None,
            kind: ExitKind::Signal,
            tail: "tail".into(),
            over_max_rss: false,
            attempts: 1,
        };
        let again = [
            lost,
            JobError::Timeout {
                ran: Duration::from_secs(1),
            },
            JobError::Poisoned { attempts: 3 },
            JobError::QueueFull { limit: 1 },
            JobError::PoolDown { last: "no".into() },
            JobError::ShuttingDown,
            JobError::Cancelled,
        ];
        for error in again {
            let verdict = JobVerdict::of(Err(error.clone()));
            assert!(!matches!(verdict, JobVerdict::Final(..)), "{error:?}");
        }
        let last = [
            (Ok("answer".into()), JobStatus::Ok, "answer"),
            (Err(JobError::Remote("no".into())), JobStatus::Remote, "no"),
            (Err(JobError::Expired), JobStatus::Expired, ""),
            (
                Err(JobError::TooLarge { limit: 1 }),
                JobStatus::TooLarge,
                "",
            ),
            (
                Err(JobError::Protocol { what: "odd".into() }),
                JobStatus::Protocol,
                "odd",
            ),
        ];
        for (outcome, status, body) in last {
            assert_eq!(
                JobVerdict::of(outcome),
                JobVerdict::Final(status, body.into())
            );
        }
    }
}
