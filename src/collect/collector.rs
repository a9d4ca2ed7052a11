//! A child run to its end, or to the deadline: its readers keep what it writes.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use super::tap::Tap;
use super::{Cancel, CollectError, Given, Input, Output, Pieces, Recipe, Why};
use crate::command::Command;
use crate::command::fd_map::{Fd, FdMap, Kind};
use crate::command::group::grouped;
use crate::error::SpawnError;
use crate::handle::ProcessHandle;
use crate::ladder::Ladder;
use crate::open::input::Pump;
use crate::port::Port;
use crate::port::kept::Keep;
use crate::port::kept_output::{Kept, KeptNotice, KeptOutput};
use crate::protocol::into::NoProtocol;
use crate::status::ExitStatus;
use crate::sync::lock;
use crate::sys;
use crate::threads::deadline::Deadline;

/// What a child that ran to its end leaves.
pub(super) struct Collected {
    program: String,
    pub(super) output: Output,
    /// It wrote to its standard error, apart from its standard output; whether or not it was kept.
    pub(super) complained: bool,
}

impl Collected {
    /// An error unless the status is one of these.
    pub(super) fn judged(self, ok_codes: Option<&[i32]>) -> Result<Self, CollectError> {
        let code = self.output.status.code();
        match ok_codes {
            Some(ok) if !code.is_some_and(|code| ok.contains(&code)) => Err(CollectError::Failed {
                program: self.program,
                output: Box::new(self.output),
            }),
            _ => Ok(self),
        }
    }

    /// The standard output as text.
    pub(super) fn text(mut self) -> Result<String, CollectError> {
        String::from_utf8(mem::take(&mut self.output.stdout)).map_err(|error| {
            self.output.stdout = error.into_bytes();
            CollectError::NotText(Box::new(self.output))
        })
    }
}

pub(super) async fn collect(
    command: Command,
    mut recipe: Recipe,
) -> Result<Collected, CollectError> {
    let fds = fds_for(command.fd_map(), &recipe)?;
    let pieces = match &recipe.input {
        Input::Stream(given) => Some(taken(given, "its input")?),
        _ => None,
    };
    let numbers = [fds.original(1), fds.original(2)];
    let command = match numbers.contains(&Some(1)) {
        true if recipe.tells_of(1) => command.collected(None).streamed(),
        true => command.collected(Some(recipe.keep())),
        false => command.collected(None),
    };
    let command = grouped(command.fds(fds), recipe.group);
    let mut bounds = Bounds {
        deadline: recipe.timeout.map(Deadline::after),
        cancel: recipe
            .cancel
            .take()
            .map(|given| taken(&given, "its cancel"))
            .transpose()?,
    };
    let spawned = match bounds.before(command.spawn(NoProtocol)).await {
        Ok(spawned) => spawned,
        // An exec that hangs. Dropping the spawn cancelled it.
        Err(Why::Cancelled) => {
            return Err(CollectError::Cancelled(Box::new(Output::empty(
                Why::Cancelled,
            ))));
        }
        Err(why) => return Err(CollectError::TimedOut(Box::new(Output::empty(why)))),
    };
    let process = spawned?.kill_and_cut_on_drop();
    if let Some(on_child) = &recipe.on_child {
        on_child(&process);
    }
    if let Some(byte) = process.child().port(0).and_then(Port::end_of_input) {
        let _ = process.write(byte);
    }
    let mut collector = Collector::new(&process, numbers, &mut recipe, pieces);
    let end = bounds
        .before(collector.until_ended_or_broken(&process))
        .await;
    let mut failure = None;
    let (ladder, why) = match end {
        Ok(Ok(status)) => {
            let collected = collector.collected(&process, status, Why::Exited);
            drop(process.disarm());
            return Ok(collected);
        }
        Ok(Err(Broken::Lost)) => return Err(CollectError::Gone),
        Ok(Err(Broken::Over)) => (Ladder::new().kill(), Why::OutputLimit),
        Ok(Err(Broken::Input(error))) => {
            failure = Some(error);
            (Ladder::new().kill(), Why::Input)
        }
        Err(why) => (Ladder::terminate(recipe.grace), why),
    };
    let stopping = process.stop(ladder);
    let stopped = collector.unless_lost(stopping).await?;
    // Only descendants that hold its pipes hold up the end now.
    process.cut_connection();
    let status = match stopped {
        Ok(_) => collector.until_ended(&process).await?,
        Err(_) => ExitStatus::StillRunning,
    };
    let output = Box::new(collector.collected(&process, status, why).output);
    drop(process.disarm());
    Err(match (failure, why) {
        (Some(source), _) => CollectError::Input { source, output },
        (None, Why::OutputLimit) => CollectError::OutputLimit(output),
        (None, Why::Cancelled) => CollectError::Cancelled(output),
        (None, _) => CollectError::TimedOut(output),
    })
}

/// Takes what an earlier run may have taken.
fn taken<T>(given: &Given<T>, what: &str) -> Result<T, SpawnError> {
    lock(given)
        .take()
        .ok_or_else(|| SpawnError::invalid(what, "was taken by an earlier run"))
}

/// What may end the wait for a child.
struct Bounds {
    deadline: Option<Deadline>,
    cancel: Option<Cancel>,
}

impl Bounds {
    /// What `future` gives, unless the time is up or the caller has cancelled before. Not to be asked again then.
    async fn before<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Why> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            if let Some(cancel) = &mut self.cancel
                && cancel.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Err(Why::Cancelled));
            }
            match &mut self.deadline {
                Some(deadline) => Pin::new(deadline).poll(cx).map(|()| Err(Why::TimedOut)),
                None => Poll::Pending,
            }
        })
        .await
    }
}

/// The child's descriptors. Nobody has a handle: there is one input at most, what is read is kept where
/// it is collected, and thrown away elsewhere, and every other input is at its end.
///
/// # Errors
///
/// What is to be told of line by line must be read.
fn fds_for(map: &FdMap, recipe: &Recipe) -> Result<FdMap, SpawnError> {
    let has_input = !matches!(recipe.input, Input::Unset);
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
                _ if recipe.tells_of(n) => Kind::Stream,
                true => Kind::Kept(recipe.keep()),
                false => Kind::Read,
            };
        }
        (n, fd)
    };
    for (n, _) in &recipe.told {
        let is_read = |fd: &Fd| fd.is_read() || (fd.is_terminal() && *n == 1);
        if !served.get(*n).is_some_and(is_read) {
            return Err(SpawnError::invalid(
                format!("fd {n}"),
                "has no lines to tell of: it is not read",
            ));
        }
    }
    Ok(served.iter().map(read).collect())
}

/// Why a child is not waited for to its end.
enum Broken {
    /// Nobody is left to read one of its outputs.
    Lost,
    /// It wrote more than is allowed.
    Over,
    /// Its input has failed.
    Input(Box<dyn Error + Send + Sync>),
}

/// What is collected of a child, and what it reads.
struct Collector {
    /// Where they are kept by their readers.
    kept: [Option<Arc<KeptOutput>>; 2],
    /// Where they are told of, and kept, here.
    taps: Vec<Tap>,
    /// Which of them are standard output and error.
    numbers: [Option<i32>; 2],
    /// So many bytes may come of each.
    most: u64,
    pump: Option<Pump<Pieces>>,
}

impl Collector {
    /// Finds what is kept of a child that has its outputs at these numbers, and gives it its input.
    fn new(
        process: &ProcessHandle,
        [stdout, stderr]: [Option<i32>; 2],
        recipe: &mut Recipe,
        pieces: Option<Pieces>,
    ) -> Self {
        // Where both are the same the first has it.
        let apart = stderr.filter(|n| stdout != Some(*n));
        let mut numbers = [stdout, apart];
        let kept = |n: Option<i32>| n.and_then(|n| process.child().port(n)?.kept().map(Arc::clone));
        let mut outputs = numbers.map(kept);
        let keep = recipe.keep();
        let taps = mem::take(&mut recipe.told).into_iter().map(|(fd, each)| {
            let is_kept = numbers.contains(&Some(fd));
            let keep = if is_kept { keep } else { Keep::first(0) };
            Tap::new(fd, process.stream_or_none(fd), each, keep)
        });
        let taps: Vec<Tap> = taps.collect();
        let is_tapped = |n: Option<i32>| taps.iter().any(|tap| Some(tap.fd) == n);
        if recipe.merge && outputs[0].is_none() && !is_tapped(numbers[0]) {
            outputs.swap(0, 1);
            numbers.swap(0, 1);
        }
        if let Input::Bytes(input) = mem::replace(&mut recipe.input, Input::Unset) {
            // Refused only if the child closed it already, which is no error.
            let _ = process.write(input);
            process.close_stdin();
        }
        Self {
            kept: outputs,
            taps,
            numbers,
            most: recipe.most.map_or(u64::MAX, |most| most as u64),
            pump: pieces.map(|pieces| Pump::new(pieces, process.sink_or_none(0))),
        }
    }

    /// Moves what can be moved, and tells what has broken; wakes when there is more. Pending while a tap has more to come.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        // In a copy of the process nobody feeds it, and its lock may be held.
        if sys::copy::is_copy() {
            return Poll::Ready(Ok(()));
        }
        if let Some(pump) = &mut self.pump {
            pump.poll_moved(cx).map_err(Broken::Input)?;
        }
        let mut result = Poll::Ready(Ok(()));
        let mut is_over = false;
        for tap in &mut self.taps {
            match tap.poll(cx) {
                Poll::Ready(true) => return Poll::Ready(Err(Broken::Lost)),
                Poll::Ready(false) => {}
                Poll::Pending => result = Poll::Pending,
            }
            is_over |= tap.total() > self.most;
        }
        // Each is to wake.
        for kept in self.kept.iter().flatten() {
            match kept.watch(self.most, cx) {
                Some(KeptNotice::Lost) => return Poll::Ready(Err(Broken::Lost)),
                Some(KeptNotice::Over) => is_over = true,
                None => {}
            }
        }
        match is_over {
            true => Poll::Ready(Err(Broken::Over)),
            false => result,
        }
    }

    /// What `future` gives, unless an end is lost before.
    async fn unless_lost<T>(&mut self, future: impl Future<Output = T>) -> Result<T, CollectError> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let polled = future.as_mut().poll(cx);
            // The end is lost before the child's end is told.
            match self.poll(cx) {
                Poll::Ready(Err(Broken::Lost)) => Poll::Ready(Err(CollectError::Gone)),
                _ => polled.map(Ok),
            }
        })
        .await
    }

    /// The closes of what is kept come before the child's end.
    async fn until_ended(&mut self, process: &ProcessHandle) -> Result<ExitStatus, CollectError> {
        self.unless_lost(process.ended()).await
    }

    /// The same, unless something else has broken, whether or not the child has ended.
    async fn until_ended_or_broken(
        &mut self,
        process: &ProcessHandle,
    ) -> Result<ExitStatus, Broken> {
        let mut ended = pin!(process.ended());
        let mut status = None;
        poll_fn(|cx| {
            if status.is_none()
                && let Poll::Ready(told) = ended.as_mut().poll(cx)
            {
                status = Some(told);
            }
            let drained = self.poll(cx)?;
            match status {
                Some(status) if drained.is_ready() => Poll::Ready(Ok(status)),
                _ => Poll::Pending,
            }
        })
        .await
    }

    fn collected(&mut self, process: &ProcessHandle, status: ExitStatus, why: Why) -> Collected {
        let [stdout, stderr] = self.take();
        Collected {
            program: process.program().to_owned(),
            complained: stderr.total > 0,
            output: Output {
                status,
                why,
                truncated: stdout.left_out > 0 || stderr.left_out > 0,
                stdout_left_out: stdout.left_out,
                stderr_left_out: stderr.left_out,
                stdout: stdout.bytes,
                stderr: stderr.bytes,
            },
        }
    }

    /// Takes what was kept; from now on nothing is.
    fn take(&mut self) -> [Kept; 2] {
        if sys::copy::is_copy() {
            return Default::default();
        }
        let Self {
            kept,
            taps,
            numbers,
            ..
        } = self;
        let mut at = 0;
        numbers.map(|number| {
            let kept = kept.get(at).and_then(Option::as_ref);
            at += 1;
            if let Some(kept) = kept {
                return kept.take();
            }
            let tap = taps.iter_mut().find(|tap| Some(tap.fd) == number);
            tap.map(|tap| Kept::from(tap.take())).unwrap_or_default()
        })
    }
}

impl Drop for Collector {
    /// A descendant that holds the child's pipes longer than this future lives does not fill the memory.
    fn drop(&mut self) {
        drop(self.take());
    }
}
