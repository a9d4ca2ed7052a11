//! A child run to its end: what it writes is taken from its streams, until its end or the deadline.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::oneshot;

use super::group::grouped;
use super::{CollectError, Output, Recipe};
use crate::command::Command;
use crate::command::fd_map::{Fd, FdMap, Kind};
use crate::handle::ProcessHandle;
use crate::handle::stream::FdStream;
use crate::ladder::Ladder;
use crate::port::Port;
use crate::protocol::into::NoProtocol;
use crate::status::ExitStatus;
use crate::threads::janitor::{self, Timer};

/// What a child that ran to its end leaves.
pub(super) struct Collected {
    pub(super) output: Output,
    /// It wrote to its standard error, apart from its standard output; whether or not it was kept.
    pub(super) complained: bool,
}

pub(super) async fn collect(command: Command, recipe: Recipe) -> Result<Collected, CollectError> {
    let fds = fds_for(command.fd_map(), &recipe);
    let numbers = [fds.original(1), fds.original(2)];
    let command = command.fds(fds).collected(numbers.contains(&Some(1)));
    let command = grouped(command, recipe.group);
    let mut deadline = recipe.timeout.map(Deadline::after);
    let Some(spawned) = before(&mut deadline, command.spawn(NoProtocol)).await else {
        // An exec that hangs. Dropping the spawn cancelled it.
        return Err(CollectError::TimedOut(Box::new(Output::empty())));
    };
    let process = spawned?.kill_and_cut_on_drop();
    let mut collector = Collector::new(&process, numbers, &recipe);
    if let Some(byte) = process.child().port(0).and_then(Port::end_of_input) {
        let _ = process.write(byte);
    }
    if let Some(input) = recipe.input {
        // Refused only if the child closed it already, which is no error.
        let _ = process.write(input);
        process.close_stdin();
    }
    if let Some(status) = before(&mut deadline, collector.until_ended(&process)).await {
        let collected = collector.collected(status?);
        drop(process.disarm());
        return Ok(collected);
    }
    let stopping = process.stop(Ladder::terminate(recipe.grace));
    let stopped = collector.take_during(stopping).await?;
    // Only descendants that hold its pipes hold up the end now.
    process.cut_connection();
    let status = match stopped {
        Ok(_) => collector.until_ended(&process).await?,
        Err(_) => ExitStatus::StillRunning,
    };
    drop(process.disarm());
    let output = collector.collected(status).output;
    Err(CollectError::TimedOut(Box::new(output)))
}

/// The end of the time. The janitor keeps the time, since the awaiting thread may have no runtime.
struct Deadline {
    up: oneshot::Receiver<()>,
    _timer: Timer,
}

impl Deadline {
    fn after(timeout: Duration) -> Self {
        let (tell, up) = oneshot::channel();
        let timer = janitor::after(timeout, move || {
            let _ = tell.send(());
        });
        Self { up, _timer: timer }
    }
}

/// What `future` gives, unless the time is up before. Not to be asked again then.
async fn before<T>(deadline: &mut Option<Deadline>, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        match deadline {
            Some(deadline) => Pin::new(&mut deadline.up).poll(cx).map(|_| None),
            None => Poll::Pending,
        }
    })
    .await
}

/// The child's descriptors. Nobody has a handle: there is one input at most, what is read is a stream
/// where it is collected, and thrown away elsewhere, and every other input is at its end.
fn fds_for(map: &FdMap, recipe: &Recipe) -> FdMap {
    let has_input = recipe.input.is_some();
    // Entry by entry, so that a number that is named twice is refused as ever.
    let served = |(n, fd): (i32, &Fd)| match fd {
        _ if n == 0 && has_input => (n, Fd::write()),
        fd if fd.is_write() => (n, Fd::null()),
        fd => (n, fd.clone()),
    };
    let mut served: FdMap = map.iter().map(served).collect();
    if has_input && map.get(0).is_none() {
        served.put(0, Fd::write());
    }
    if recipe.merge && served.original(1).is_some_and(|n| n != 2) {
        served.put(2, Fd::same_as(1));
    }
    let collected = [served.original(1), served.original(2)];
    let read = |(n, fd): (i32, &Fd)| {
        let mut fd = fd.clone();
        if fd.is_read() {
            fd.kind = match collected.contains(&Some(n)) {
                true => Kind::Stream,
                false => Kind::Read,
            };
        }
        (n, fd)
    };
    served.iter().map(read).collect()
}

/// What is collected of a child.
struct Collector {
    stdout: KeptStream,
    stderr: KeptStream,
}

impl Collector {
    /// Takes the streams of a child that has them at these numbers.
    fn new(process: &ProcessHandle, numbers: [Option<i32>; 2], recipe: &Recipe) -> Self {
        // Where both are the same the first takes it.
        let take = |n| process.take_stream(n).ok().map(FdStream::wake_late);
        let streams = numbers.map(|n| n.and_then(take));
        let [mut stdout, mut stderr] = streams.map(|stream| KeptStream::new(stream, recipe.limit));
        if recipe.merge && stdout.stream.is_none() {
            mem::swap(&mut stdout, &mut stderr);
        }
        Self { stdout, stderr }
    }

    /// Takes what has come. Ready when no more comes.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CollectError>> {
        let stdout = self.stdout.poll(cx)?;
        let stderr = self.stderr.poll(cx)?;
        ready!(stdout);
        stderr.map(Ok)
    }

    /// The end of the streams comes before the child's.
    async fn until_ended(&mut self, process: &ProcessHandle) -> Result<ExitStatus, CollectError> {
        poll_fn(|cx| self.poll(cx)).await?;
        Ok(process.ended().await)
    }

    /// What `future` gives; what comes until then is taken.
    async fn take_during<T>(&mut self, future: impl Future<Output = T>) -> Result<T, CollectError> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let _ = self.poll(cx)?;
            future.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    fn collected(self, status: ExitStatus) -> Collected {
        let Self { stdout, stderr } = self;
        Collected {
            complained: stderr.has_come,
            output: Output {
                status,
                truncated: stdout.truncated || stderr.truncated,
                stdout: stdout.kept,
                stderr: stderr.kept,
            },
        }
    }
}

/// What is collected of one stream, if there is one.
struct KeptStream {
    /// Until its end.
    stream: Option<FdStream>,
    limit: usize,
    kept: Vec<u8>,
    has_come: bool,
    truncated: bool,
}

impl KeptStream {
    const fn new(stream: Option<FdStream>, limit: usize) -> Self {
        Self {
            stream,
            limit,
            kept: Vec::new(),
            has_come: false,
            truncated: false,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CollectError>> {
        while let Some(stream) = &mut self.stream {
            match ready!(Pin::new(&mut *stream).poll_next(cx)) {
                Some(data) => self.keep(&data),
                None if stream.is_lost() => return Poll::Ready(Err(CollectError::Gone)),
                None => self.stream = None,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn keep(&mut self, data: &[u8]) {
        self.has_come = true;
        let room = self.limit.saturating_sub(self.kept.len());
        let kept = data.get(..room).unwrap_or(data);
        self.kept.extend_from_slice(kept);
        self.truncated |= kept.len() < data.len();
    }
}
