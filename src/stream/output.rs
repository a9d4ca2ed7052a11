//! The output of a child as a stream of results that tells a whole one from a broken one.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;

use super::failure::StreamFailure;
use super::idle::{Idle, Signs};
use super::{Options, Stderr};
use crate::handle::ProcessHandle;
use crate::handle::kill_on_drop::KillOnDrop;
use crate::handle::stream::FdStream;
use crate::ladder::Ladder;
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
/// Polling it also moves the input. Nothing moves while it is not polled: the child waits. Between the last bytes and a failure the stream
/// is pending once, so that a server that sends when it has to wait has sent them.
#[must_use = "dropping it kills the child"]
pub struct OutputStream<P = BytesInput> {
    process: ProcessHandle,
    stdout: FdStream,
    stderr: FdStream,
    pump: Pump<P>,
    options: Options,
    stage: Stage,
    timeout: Option<Deadline>,
    idle: Option<Idle>,
    /// Bytes were given since the reader last had to wait.
    gave: bool,
    /// How many bytes of its standard error were told of.
    told: u64,
    hold: Arc<KillOnDrop>,
}

type Ending = Pin<Box<dyn Future<Output = ExitStatus> + Send>>;

enum Stage {
    Output,
    /// The output has ended; the child's status decides.
    Exit(Ending),
    /// The child has exited, and what its pipes hold is read.
    End(Ending),
    /// The last of what it complained of is told.
    Told(ExitStatus),
    /// The reader has a turn to pass on what came just before.
    Broken(StreamFailure),
    Done,
}

impl<P> OutputStream<P>
where
    P: Stream<Item = Result<Bytes, Box<dyn Error + Send + Sync>>> + Unpin,
{
    pub(super) fn new(opened: Opened, input: P, options: Options) -> Self {
        let (process, stdin, [stdout, stderr], hold) = opened.into_parts();
        let timeout = options.timeout.map(|timeout| {
            let (process, ladder) = (process.clone(), options.ladder());
            let hold = Arc::downgrade(&hold);
            // Also when nobody polls: a reader that hangs keeps no child.
            Deadline::with(timeout, move || terminate(&process, &hold, ladder))
        });
        Self {
            process,
            stdout,
            stderr,
            hold,
            pump: Pump::new(input, stdin),
            stage: Stage::Output,
            timeout,
            idle: options.idle_timeout.map(Idle::new),
            gave: false,
            told: 0,
            options,
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StreamFailure>>> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Done => return Poll::Ready(None),
            Stage::Broken(failure) => return Poll::Ready(Some(Err(failure))),
            stage => self.stage = stage,
        }
        // Before the output, which a child may always have.
        if ready!(self.poll_timeout(cx)) {
            return self.end_in(self.timed_out(), cx);
        }
        match self.pump.poll_moved(cx) {
            Ok(false) => {}
            Ok(true) => self.note_activity(),
            Err(error) => return self.kill(StreamFailure::Input(error), cx),
        }
        let _ = self.poll_told(cx);
        loop {
            let next = match &mut self.stage {
                Stage::Output => match Pin::new(&mut self.stdout).poll_next(cx) {
                    Poll::Ready(Some(data)) => {
                        self.note_activity();
                        self.gave = true;
                        return Poll::Ready(Some(Ok(data)));
                    }
                    Poll::Ready(None) if self.stdout.is_lost() => {
                        let program = self.program();
                        return self.kill(StreamFailure::Gone { program }, cx);
                    }
                    Poll::Ready(None) => Poll::Ready(Stage::Exit(Box::pin(self.process.exited()))),
                    Poll::Pending => Poll::Pending,
                },
                Stage::Exit(exited) => exited.as_mut().poll(cx).map(|_| {
                    // A descendant that has left the group may hold them.
                    self.process.cut_connection();
                    Stage::End(Box::pin(self.process.ended()))
                }),
                Stage::End(ended) => ended.as_mut().poll(cx).map(Stage::Told),
                Stage::Told(status) => {
                    let status = *status;
                    if self.poll_told(cx).is_ready() {
                        return self.end(status, cx);
                    }
                    Poll::Pending
                }
                // Looked at above.
                Stage::Broken(_) | Stage::Done => return Poll::Ready(None),
            };
            match next {
                Poll::Ready(stage) => self.stage = stage,
                Poll::Pending => break,
            }
        }
        self.gave = false;
        let idle = ready!(self.poll_idle(cx));
        terminate(
            &self.process,
            &Arc::downgrade(&self.hold),
            self.options.ladder(),
        );
        self.end_in(idle, cx)
    }

    /// Whether the timeout is over, and the child is being terminated. Pending: the timer is about to tell of that.
    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(timeout) = &mut self.timeout else {
            return Poll::Ready(false);
        };
        match Pin::new(&mut *timeout).poll(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if timeout.has_begun() => Poll::Pending,
            Poll::Pending => Poll::Ready(false),
        }
    }

    fn timed_out(&self) -> StreamFailure {
        // Its timer tells first, and a reader may drop the stream at once.
        self.hold.let_end();
        StreamFailure::TimedOut {
            program: self.program(),
            after: self.options.timeout.unwrap_or_default(),
            stderr: self.tail(),
        }
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<StreamFailure> {
        let Some(idle) = &mut self.idle else {
            return Poll::Pending;
        };
        let signs = || Signs {
            queued: self.pump.queued(),
            said: self.told + self.process.said(2),
        };
        ready!(idle.poll_over(cx, signs));
        let after = idle.limit();
        Poll::Ready(StreamFailure::Idle {
            program: self.program(),
            after,
            stderr: self.tail(),
        })
    }

    fn note_activity(&mut self) {
        if let Some(idle) = &mut self.idle {
            idle.reset();
        }
    }

    /// Ready when all was told that the child complained of, or nobody wants to hear it.
    fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Stderr::Told(told) = &mut self.options.stderr {
            while let Some(said) = ready!(Pin::new(&mut self.stderr).poll_next(cx)) {
                told(&said);
                self.told += said.len() as u64;
            }
        }
        Poll::Ready(())
    }

    /// The child has ended.
    fn end(
        &mut self,
        status: ExitStatus,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, StreamFailure>>> {
        // It may have ended because of that, whatever its status.
        if ready!(self.poll_timeout(cx)) {
            return self.end_in(self.timed_out(), cx);
        }
        let ok = &self.options.ok_codes;
        if status.code().is_some_and(|code| ok.contains(&code)) {
            // What is left is left by the command's own policy.
            self.hold.let_live();
            self.finish(Stage::Done);
            return Poll::Ready(None);
        }
        let failure = StreamFailure::Failed {
            program: self.program(),
            status,
            stderr: self.tail(),
        };
        self.end_in(failure, cx)
    }

    /// The output can no longer be whole: the child is killed, while its input is still open.
    fn kill(
        &mut self,
        failure: StreamFailure,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Bytes, StreamFailure>>> {
        self.process.child().kill_by_policy();
        self.end_in(failure, cx)
    }

    /// A server that is given bytes and an error in one turn throws the bytes away: the error waits for the next.
    fn end_in(
        &mut self,
        failure: StreamFailure,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Bytes, StreamFailure>>> {
        if std::mem::take(&mut self.gave) {
            self.finish(Stage::Broken(failure));
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.finish(Stage::Done);
        Poll::Ready(Some(Err(failure)))
    }

    /// Nothing more is moved: the input is let go of, and no time is minded.
    fn finish(&mut self, stage: Stage) {
        self.stage = stage;
        self.timeout = None;
        self.pump.let_go();
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

impl<P> Drop for OutputStream<P> {
    /// Before its parts drop, and close the child's input: the child must not take that for the end.
    fn drop(&mut self) {
        self.hold.kill_early();
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

/// The child gets its grace, whatever becomes of the stream; then nothing holds its pipes open.
fn terminate(process: &ProcessHandle, hold: &Weak<KillOnDrop>, ladder: Ladder) {
    if let Some(hold) = hold.upgrade() {
        hold.let_end();
    }
    let child = Arc::clone(process.child());
    process.child().escalate(ladder, move |_| child.cut());
}
