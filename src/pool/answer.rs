//! The answer of a job, whole or in parts.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::sync::{mpsc, oneshot};

use super::access::LastPoolHandle;
use super::actor::PoolAsk;
use super::core::JobNumber;
use super::error::JobError;
use crate::Bytes;

/// Takes a job back when it is dropped, unless the job has its outcome. It keeps the pool running.
pub(super) struct CancelOnDrop {
    job: JobNumber,
    pool: Option<Arc<LastPoolHandle>>,
}

impl CancelOnDrop {
    pub(super) const fn new(job: JobNumber, pool: Arc<LastPoolHandle>) -> Self {
        Self {
            job,
            pool: Some(pool),
        }
    }

    fn withdraw(&self) {
        if let Some(pool) = &self.pool {
            pool.access.tell(PoolAsk::Withdraw(self.job));
        }
    }

    fn disarm(&mut self) {
        self.pool = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.access.tell(PoolAsk::Cancel(self.job));
        }
    }
}

/// The answer of a job, whole; made by [`PoolHandle::submit`](super::PoolHandle::submit). It works on any runtime. Dropping it cancels the job.
#[must_use = "dropping it cancels the job"]
pub struct Answer(AnswerState);

enum AnswerState {
    Waits {
        told: oneshot::Receiver<Result<Bytes, JobError>>,
        cancel: CancelOnDrop,
    },
    Refused(Option<JobError>),
}

impl Answer {
    pub(super) const fn new(
        told: oneshot::Receiver<Result<Bytes, JobError>>,
        cancel: CancelOnDrop,
    ) -> Self {
        Self(AnswerState::Waits { told, cancel })
    }

    /// Takes the job back if no worker has begun with it, or has read it ahead: its outcome is [`JobError::Cancelled`] then. Else the job goes on. Dropping the answer cancels
    /// the job in any case.
    pub fn withdraw(&self) {
        if let AnswerState::Waits { cancel, .. } = &self.0 {
            cancel.withdraw();
        }
    }

    pub(super) const fn refused(why: JobError) -> Self {
        Self(AnswerState::Refused(Some(why)))
    }
}

impl Future for Answer {
    type Output = Result<Bytes, JobError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            AnswerState::Waits { told, cancel } => {
                let told = ready!(Pin::new(told).poll(cx));
                cancel.disarm();
                // The pool is gone with the job.
                Poll::Ready(told.unwrap_or(Err(JobError::ShuttingDown)))
            }
            AnswerState::Refused(why) => why
                .take()
                .map_or(Poll::Pending, |why| Poll::Ready(Err(why))),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

/// The answer of a job, part by part as the worker sends them; made by [`PoolHandle::stream`](super::PoolHandle::stream). It works on any runtime.
///
/// A reader that is slow holds up its worker, and no other, when [`Pool::window`](super::Pool::window) parts wait. Dropping it cancels the job. What ends a job without an
/// answer is the last item.
#[must_use = "dropping it cancels the job"]
pub struct AnswerStream {
    chunks: mpsc::Receiver<Bytes>,
    /// The last part, which may be empty, or why there is none.
    end: Option<oneshot::Receiver<Result<Bytes, JobError>>>,
    cancel: CancelOnDrop,
    /// The first part, which was waited for.
    first: Option<Bytes>,
}

impl AnswerStream {
    pub(super) const fn new(
        chunks: mpsc::Receiver<Bytes>,
        end: oneshot::Receiver<Result<Bytes, JobError>>,
        cancel: CancelOnDrop,
    ) -> Self {
        Self {
            chunks,
            end: Some(end),
            cancel,
            first: None,
        }
    }

    /// Waits for the first part, or for an end without one.
    pub(super) async fn begun(mut self) -> Result<Self, JobError> {
        let first = std::future::poll_fn(|cx| Pin::new(&mut self).poll_next(cx)).await;
        self.first = first.transpose()?;
        Ok(self)
    }
}

impl Stream for AnswerStream {
    type Item = Result<Bytes, JobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if let Some(chunk) = ready!(self.chunks.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(chunk)));
        }
        let Some(end) = &mut self.end else {
            return Poll::Ready(None);
        };
        let told = ready!(Pin::new(end).poll(cx));
        self.end = None;
        self.cancel.disarm();
        match told.unwrap_or(Err(JobError::ShuttingDown)) {
            Ok(last) if last.is_empty() => Poll::Ready(None),
            Ok(last) => Poll::Ready(Some(Ok(last))),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}

impl fmt::Debug for AnswerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerStream").finish_non_exhaustive()
    }
}
