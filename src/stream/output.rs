//! The output of a child as a stream of results that tells a whole one from a broken one.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::Stream;

use super::failure::StreamFailure;
use super::{Options, Stderr};
use crate::handle::ProcessHandle;
use crate::handle::kill_on_drop::KillOnDrop;
use crate::handle::stream::FdStream;
use crate::open::Opened;
use crate::open::input::{BytesInput, Pump};
use crate::status::ExitStatus;
use crate::threads::deadline::Deadline;

/// The output of a child, in the pieces in which it is read; made by [`StreamCommand::start`](crate::StreamCommand::start).
///
/// The stream ends when the child has ended, as a success. Anything else is the last item, an `Err`: see [`StreamFailure`]. So what came
/// without an error is the whole output.
///
/// **Dropping it kills the child** and all that belongs to it, and the crate reaps the child. After a timeout the drop does not: the child
/// has its grace then.
///
/// Polling it also moves the input. Nothing moves while it is not polled: the child waits.
#[must_use = "dropping it kills the child"]
pub struct OutputStream<P = BytesInput> {
    process: ProcessHandle,
    stdout: FdStream,
    stderr: FdStream,
    /// Nobody is to be told of more.
    stderr_is_over: bool,
    pump: Pump<P>,
    options: Options,
    stage: Stage,
    timeout: Option<Deadline>,
    idle: Option<Idle>,
    hold: Arc<KillOnDrop>,
}

enum Stage {
    Output,
    /// The output has ended; the child's status decides.
    End(Pin<Box<dyn Future<Output = ExitStatus> + Send>>),
    Done,
}

/// The clock of a child that does nothing. It runs while the output is waited for.
struct Idle {
    limit: Duration,
    timer: Deadline,
    /// Since when nothing has come.
    since: Option<Instant>,
}

impl Idle {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            timer: Deadline::after(limit),
            since: None,
        }
    }

    /// Whether nothing has come for too long. One timer serves for many pieces.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        loop {
            ready!(Pin::new(&mut self.timer).poll(cx));
            let left = self.limit.saturating_sub(since.elapsed());
            if left.is_zero() {
                return Poll::Ready(());
            }
            self.timer = Deadline::after(left);
        }
    }
}

impl<P> OutputStream<P>
where
    P: Stream<Item = Result<Bytes, Box<dyn Error + Send + Sync>>> + Unpin,
{
    pub(super) fn new(opened: Opened, input: P, options: Options) -> Self {
        let (process, stdin, [stdout, stderr], hold) = opened.into_parts();
        Self {
            process,
            stdout,
            stderr,
            hold,
            pump: Pump::new(input, stdin),
            stage: Stage::Output,
            stderr_is_over: !matches!(options.stderr, Stderr::Told(_)),
            timeout: options.timeout.map(Deadline::after),
            idle: options.idle_timeout.map(Idle::new),
            options,
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StreamFailure>>> {
        loop {
            match self.pump.poll_moved(cx) {
                Ok(false) => {}
                Ok(true) => self.note_activity(),
                Err(error) => return self.end_in(StreamFailure::Input(error)),
            }
            if let Stderr::Told(told) = &mut self.options.stderr {
                while !self.stderr_is_over {
                    match Pin::new(&mut self.stderr).poll_next(cx) {
                        Poll::Ready(Some(said)) => told(&said),
                        Poll::Ready(None) => self.stderr_is_over = true,
                        Poll::Pending => break,
                    }
                }
            }
            let next = match &mut self.stage {
                Stage::Done => return Poll::Ready(None),
                Stage::Output => match Pin::new(&mut self.stdout).poll_next(cx) {
                    Poll::Ready(Some(data)) => {
                        self.note_activity();
                        return Poll::Ready(Some(Ok(data)));
                    }
                    Poll::Ready(None) if self.stdout.is_lost() => {
                        let program = self.program();
                        return self.end_in(StreamFailure::Gone { program });
                    }
                    Poll::Ready(None) => {
                        let ended = self.process.ended();
                        self.stage = Stage::End(Box::pin(ended));
                        continue;
                    }
                    Poll::Pending => Poll::Pending,
                },
                // What was said last is told before the end.
                Stage::End(_) if !self.stderr_is_over => Poll::Pending,
                Stage::End(ended) => ended.as_mut().poll(cx),
            };
            if let Poll::Ready(status) = next {
                return self.end(status);
            }
            return self.poll_timeouts(cx).map(|failure| {
                self.terminate();
                Some(Err(failure))
            });
        }
    }

    fn poll_timeouts(&mut self, cx: &mut Context<'_>) -> Poll<StreamFailure> {
        if let Some(deadline) = &mut self.timeout
            && Pin::new(deadline).poll(cx).is_ready()
        {
            return Poll::Ready(StreamFailure::TimedOut {
                program: self.program(),
                after: self.options.timeout.unwrap_or_default(),
                stderr: self.tail(),
            });
        }
        let Some(idle) = &mut self.idle else {
            return Poll::Pending;
        };
        ready!(idle.poll_over(cx));
        let after = idle.limit;
        Poll::Ready(StreamFailure::Idle {
            program: self.program(),
            after,
            stderr: self.tail(),
        })
    }

    fn note_activity(&mut self) {
        if let Some(idle) = &mut self.idle {
            idle.since = None;
        }
    }

    /// The child has ended.
    fn end(&mut self, status: ExitStatus) -> Poll<Option<Result<Bytes, StreamFailure>>> {
        self.finish();
        let ok = &self.options.ok_codes;
        if status.code().is_some_and(|code| ok.contains(&code)) {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Err(StreamFailure::Failed {
            program: self.program(),
            status,
            stderr: self.tail(),
        })))
    }

    /// The output can no longer be whole: the child is killed.
    fn end_in(&mut self, failure: StreamFailure) -> Poll<Option<Result<Bytes, StreamFailure>>> {
        self.finish();
        self.process.child().kill_by_policy();
        Poll::Ready(Some(Err(failure)))
    }

    /// The steps are taken whether or not anybody waits.
    fn terminate(&mut self) {
        self.finish();
        drop(self.process.stop(self.options.ladder()));
        self.hold.let_live();
    }

    /// Nothing follows. The input is let go of.
    fn finish(&mut self) {
        self.stage = Stage::Done;
        self.pump.close();
    }

    fn program(&self) -> String {
        self.process.program().to_owned()
    }

    fn tail(&self) -> Bytes {
        self.process
            .tail(2)
            .map(|tail| tail.bytes)
            .unwrap_or_default()
    }
}

impl<P> OutputStream<P> {
    /// The child.
    pub const fn process(&self) -> &ProcessHandle {
        &self.process
    }

    /// How the child ended, or `None` before it was reaped; there after the end of the output.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        self.process.try_status()
    }
}

impl<P> Stream for OutputStream<P>
where
    P: Stream<Item = Result<Bytes, Box<dyn Error + Send + Sync>>> + Unpin,
{
    type Item = Result<Bytes, StreamFailure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(cx)
    }
}

// The input is boxed, or is nothing that is ever pinned.
impl<P> Unpin for OutputStream<P> {}

impl<P> fmt::Debug for OutputStream<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputStream")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}
