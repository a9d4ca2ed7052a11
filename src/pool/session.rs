//! A worker for oneself: frames both ways.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::BytesMut;
use futures_core::Stream;
use tokio::sync::oneshot;

use super::access::LastPoolHandle;
use super::actor::{CheckedOut, Outlet, PoolAsk, Submission};
use super::core::JobNumber;
use super::error::JobError;
use super::job::Job;
use super::session_frame::SessionFrame;
use super::shared::PoolShared;
use crate::Bytes;

/// A worker that nobody else uses; made by [`PoolHandle::checkout`](super::PoolHandle::checkout). It works on any runtime, and keeps the pool running.
///
/// What is sent is a job each, which the worker answers in turn: [`Framing::Frames`](super::Framing::Frames) and
/// [`Framing::JsonLines`](super::Framing::JsonLines) have the format. The session is a stream
/// of the answers. When the worker is lost, does not keep to the framing, or is stopped with the pool, that is the last item.
///
/// Dropping it gives the worker back to the pool if all that was sent is answered, read or not; else the worker is stopped, and replaced.
///
/// ```
/// use actix_process::Command;
/// use actix_process::pool::{Framing, Pool, SessionFrame};
///
/// # actix::System::new().block_on(async {
/// let answer = r#"while read line; do echo '{"id":'$(echo "$line" | tr -dc 0-9)',"ok":"done"}'; done"#;
/// let pool = Pool::new(Command::new("sh").args(["-c", answer])).framing(Framing::JsonLines).workers(1..=1).start()?;
/// let mut session = pool.checkout().await?;
/// assert_eq!(session.ask("null").await?, r#""done""#);
/// session.send("null").await?;
/// assert_eq!(session.next().await, Some(Ok(SessionFrame::End(r#""done""#.into()))));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[must_use = "dropping it gives the worker back"]
pub struct Session {
    out: CheckedOut,
    /// How many of the sent frames have an end that was not read.
    unread: usize,
    end: SessionOver,
    /// The end was the last item.
    told: bool,
    checkin: CheckinOnDrop,
}

/// Why a session is over.
enum SessionOver {
    Comes(oneshot::Receiver<JobError>),
    Known(JobError),
}

impl Session {
    pub(super) async fn take(pool: &Arc<LastPoolHandle>) -> Result<Self, JobError> {
        let shared = &pool.access.shared;
        let place = shared.admit_checkout()?;
        let (give, out) = oneshot::channel();
        let (tell, end) = oneshot::channel();
        let job = shared.next_job();
        pool.access.submit(Submission {
            id: job,
            job: Job::new(Bytes::new()),
            outlet: Outlet::checkout(give, tell),
            place,
            at: Instant::now(),
        });
        let mut checkin = CheckinOnDrop {
            job,
            pool: Some(Arc::clone(pool)),
        };
        match out.await {
            Ok(out) => Ok(Self {
                out,
                unread: 0,
                end: SessionOver::Comes(end),
                told: false,
                checkin,
            }),
            // It has its outcome.
            Err(_) => {
                checkin.pool = None;
                Err(end.await.unwrap_or(JobError::ShuttingDown))
            }
        }
    }

    /// The number of the worker, as the [events](super::PoolHandle::events) have it.
    #[must_use]
    pub const fn worker(&self) -> u64 {
        self.out.worker
    }

    /// The pid of the worker. The worker may be gone, and the pid that of another process.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.out.pid
    }

    /// Sends the worker a frame, when it has answered those before it. Waits while [`Pool::window`](super::Pool::window) frames are unanswered. A worker is
    /// held up when as many parts of its answers are unread, so whoever sends many frames reads in between.
    ///
    /// # Errors
    ///
    /// [`JobError::TooLarge`], and [`JobError::Protocol`] for what is no JSON value in a pool of
    /// [`Framing::JsonLines`](super::Framing::JsonLines): nothing was sent, and the session
    /// goes on. Else why the session is over.
    pub async fn send(&mut self, body: impl Into<Bytes>) -> Result<(), JobError> {
        let body = body.into();
        self.shared()?.check_body(&body)?;
        let Ok(turn) = self.out.end.turns.acquire().await else {
            return Err(self.over().await);
        };
        // Given back when it is answered.
        turn.forget();
        let id = self.shared()?.next_job();
        // There is room for as many as there are turns.
        if self.out.end.sent.try_send((id, body)).is_err() {
            return Err(self.over().await);
        }
        self.unread += 1;
        Ok(())
    }

    /// What the worker answers; as the stream does. `None` after the end of the session was told.
    pub async fn next(&mut self) -> Option<Result<SessionFrame, JobError>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Sends the worker a frame, and waits for the whole answer. If the future is dropped, the rest of the answer is to be read by [`next`](Self::next).
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send). [`JobError::Remote`] if the worker says that it failed, [`JobError::TooLarge`] if the answer is longer than
    /// [`Pool::max_answer`](super::Pool::max_answer), and [`JobError::Protocol`] if the answer to an earlier frame is unread: the session goes on.
    pub async fn ask(&mut self, body: impl Into<Bytes>) -> Result<Bytes, JobError> {
        if self.unread > 0 {
            return Err(JobError::protocol(
                "the answer to an earlier frame of the session is unread",
            ));
        }
        self.send(body).await?;
        let limit = self.shared()?.settings.max_answer;
        let mut whole = BytesMut::new();
        let mut size = 0_usize;
        loop {
            let (part, last) = match self.next().await {
                Some(Ok(SessionFrame::Chunk(part))) => (part, false),
                Some(Ok(SessionFrame::Progress(_))) => continue,
                Some(Ok(SessionFrame::End(part))) => (part, true),
                Some(Ok(SessionFrame::Error(error))) => return Err(JobError::Remote(error)),
                Some(Err(error)) => return Err(error),
                None => return Err(self.over().await),
            };
            size = size.saturating_add(part.len());
            if last && whole.is_empty() && size <= limit {
                return Ok(part);
            }
            if size > limit {
                // It is read to its end, for the next one.
                whole = BytesMut::new();
            } else {
                whole.extend_from_slice(&part);
            }
            if last {
                return match size > limit {
                    true => Err(JobError::TooLarge { limit }),
                    false => Ok(whole.freeze()),
                };
            }
        }
    }

    fn shared(&self) -> Result<&PoolShared, JobError> {
        let pool = self.checkin.pool.as_ref();
        pool.map(|pool| &*pool.access.shared)
            .ok_or(JobError::ShuttingDown)
    }

    async fn over(&mut self) -> JobError {
        poll_fn(|cx| self.poll_over(cx)).await
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<JobError> {
        let error = match &mut self.end {
            SessionOver::Comes(told) => {
                ready!(Pin::new(told).poll(cx)).unwrap_or(JobError::ShuttingDown)
            }
            SessionOver::Known(error) => error.clone(),
        };
        self.end = SessionOver::Known(error.clone());
        Poll::Ready(error)
    }
}

impl Stream for Session {
    type Item = Result<SessionFrame, JobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(frame) = ready!(self.out.end.frames.poll_recv(cx)) {
            if matches!(frame, SessionFrame::End(_) | SessionFrame::Error(_)) {
                self.unread = self.unread.saturating_sub(1);
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        if self.told {
            return Poll::Ready(None);
        }
        let error = ready!(self.poll_over(cx));
        self.told = true;
        Poll::Ready(Some(Err(error)))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("worker", &self.out.worker)
            .field("pid", &self.out.pid)
            .finish_non_exhaustive()
    }
}

/// Gives the worker back, or the place in the queue. It keeps the pool running.
struct CheckinOnDrop {
    job: JobNumber,
    pool: Option<Arc<LastPoolHandle>>,
}

impl Drop for CheckinOnDrop {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.access.tell(PoolAsk::CheckIn(self.job));
        }
    }
}
