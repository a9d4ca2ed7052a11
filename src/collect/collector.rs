//! A child run to its end, or to the deadline: its readers keep what it writes.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use super::{CollectError, Output, Recipe};
use crate::command::Command;
use crate::command::fd_map::{Fd, FdMap, Kind};
use crate::command::group::grouped;
use crate::handle::ProcessHandle;
use crate::ladder::Ladder;
use crate::port::Port;
use crate::port::kept_output::{Kept, KeptOutput, Notice};
use crate::protocol::into::NoProtocol;
use crate::status::ExitStatus;
use crate::sys;
use crate::threads::deadline::Deadline;

/// What a child that ran to its end leaves.
pub(super) struct Collected {
    pub(super) output: Output,
    /// It wrote to its standard error, apart from its standard output; whether or not it was kept.
    pub(super) complained: bool,
}

pub(super) async fn collect(command: Command, recipe: Recipe) -> Result<Collected, CollectError> {
    let fds = fds_for(command.fd_map(), &recipe);
    let numbers = [fds.original(1), fds.original(2)];
    let terminal = numbers.contains(&Some(1)).then(|| recipe.keep());
    let command = command.fds(fds).collected(terminal);
    let command = grouped(command, recipe.group);
    let mut deadline = recipe.timeout.map(Deadline::after);
    let Some(spawned) = before(&mut deadline, command.spawn(NoProtocol)).await else {
        // An exec that hangs. Dropping the spawn cancelled it.
        return Err(CollectError::TimedOut(Box::new(Output::empty())));
    };
    let process = spawned?.kill_and_cut_on_drop();
    let collector = Collector::new(&process, numbers, &recipe);
    if let Some(byte) = process.child().port(0).and_then(Port::end_of_input) {
        let _ = process.write(byte);
    }
    if let Some(input) = recipe.input {
        // Refused only if the child closed it already, which is no error.
        let _ = process.write(input);
        process.close_stdin();
    }
    let end = before(&mut deadline, collector.until_ended_or_over(&process)).await;
    let (ladder, error): (_, fn(Box<Output>) -> CollectError) = match end.transpose()? {
        Some(Some(status)) => {
            let collected = collector.collected(status);
            drop(process.disarm());
            return Ok(collected);
        }
        Some(None) => (Ladder::new().kill(), CollectError::OutputLimit),
        None => (Ladder::terminate(recipe.grace), CollectError::TimedOut),
    };
    let stopping = process.stop(ladder);
    let stopped = collector.unless_lost(stopping).await?;
    // Only descendants that hold its pipes hold up the end now.
    process.cut_connection();
    let status = match stopped {
        Ok(_) => collector.until_ended(&process).await?,
        Err(_) => ExitStatus::StillRunning,
    };
    drop(process.disarm());
    let output = collector.collected(status).output;
    Err(error(Box::new(output)))
}

/// What `future` gives, unless the time is up before. Not to be asked again then.
async fn before<T>(deadline: &mut Option<Deadline>, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        match deadline {
            Some(deadline) => Pin::new(deadline).poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

/// The child's descriptors. Nobody has a handle: there is one input at most, what is read is kept where
/// it is collected, and thrown away elsewhere, and every other input is at its end.
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
            // Nobody is behind with what is kept or thrown away.
            fd.window = None;
            fd.kind = match collected.contains(&Some(n)) {
                true => Kind::Kept(recipe.keep()),
                false => Kind::Read,
            };
        }
        (n, fd)
    };
    served.iter().map(read).collect()
}

/// What is collected of a child.
struct Collector {
    stdout: Option<Arc<KeptOutput>>,
    stderr: Option<Arc<KeptOutput>>,
    /// So many bytes may come of each.
    most: u64,
}

impl Collector {
    /// Finds what is kept of a child that has its outputs at these numbers.
    fn new(process: &ProcessHandle, [stdout, stderr]: [Option<i32>; 2], recipe: &Recipe) -> Self {
        let kept = |n| process.child().port(n).and_then(Port::kept).map(Arc::clone);
        // Where both are the same the first has it.
        let apart = stderr.filter(|n| stdout != Some(*n));
        let (mut stdout, mut stderr) = (stdout.and_then(kept), apart.and_then(kept));
        if recipe.merge && stdout.is_none() {
            mem::swap(&mut stdout, &mut stderr);
        }
        Self {
            stdout,
            stderr,
            most: recipe.most.map_or(u64::MAX, |most| most as u64),
        }
    }

    /// What there is to tell of the outputs; wakes when there is more.
    fn watch(&self, cx: &Context<'_>) -> Option<Notice> {
        // In a copy of the process nobody feeds it, and its lock may be held.
        if sys::copy::is_copy() {
            return None;
        }
        let kept = [&self.stdout, &self.stderr].into_iter().flatten();
        // Each is to wake.
        kept.fold(None, |told, kept| match kept.watch(self.most, cx) {
            Some(notice) if told != Some(Notice::Lost) => Some(notice),
            _ => told,
        })
    }

    /// What `future` gives, unless an end is lost before.
    async fn unless_lost<T>(&self, future: impl Future<Output = T>) -> Result<T, CollectError> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let polled = future.as_mut().poll(cx);
            // The end is lost before the child's end is told.
            match self.watch(cx) {
                Some(Notice::Lost) => Poll::Ready(Err(CollectError::Gone)),
                _ => polled.map(Ok),
            }
        })
        .await
    }

    /// The closes of what is kept come before the child's end.
    async fn until_ended(&self, process: &ProcessHandle) -> Result<ExitStatus, CollectError> {
        self.unless_lost(process.ended()).await
    }

    /// The same; `None` when more came than is allowed, whether or not the child has ended.
    async fn until_ended_or_over(
        &self,
        process: &ProcessHandle,
    ) -> Result<Option<ExitStatus>, CollectError> {
        let mut ended = pin!(process.ended());
        poll_fn(|cx| {
            let polled = ended.as_mut().poll(cx);
            match self.watch(cx) {
                Some(Notice::Lost) => Poll::Ready(Err(CollectError::Gone)),
                Some(Notice::Over) => Poll::Ready(Ok(None)),
                None => polled.map(|status| Ok(Some(status))),
            }
        })
        .await
    }

    fn collected(&self, status: ExitStatus) -> Collected {
        let [stdout, stderr] = self.take();
        Collected {
            complained: stderr.total > 0,
            output: Output {
                status,
                truncated: stdout.left_out > 0 || stderr.left_out > 0,
                stdout_left_out: stdout.left_out,
                stderr_left_out: stderr.left_out,
                stdout: stdout.bytes,
                stderr: stderr.bytes,
            },
        }
    }

    /// Takes what was kept; from now on nothing is.
    fn take(&self) -> [Kept; 2] {
        if sys::copy::is_copy() {
            return Default::default();
        }
        [&self.stdout, &self.stderr]
            .map(|kept| kept.as_ref().map(|kept| kept.take()).unwrap_or_default())
    }
}

impl Drop for Collector {
    /// Who holds the child's pipes longer than this does not fill the memory.
    fn drop(&mut self) {
        drop(self.take());
    }
}
