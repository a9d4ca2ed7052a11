//! Running a child to its end and collecting what it says: Twisted's `getProcessOutput` and
//! `getProcessValue`.

mod collector;
mod commands;
mod options;
mod result;
mod tap;

use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;

use crate::command::Command;
use crate::command::group::GroupChoice;
use crate::handle::ProcessHandle;
use crate::line::Line;
use crate::port::kept::Keep;

use collector::{Collected, collect};
pub use result::{CollectError, Output, Why};

/// A child about to be run to its end; `.await` runs it, on any thread.
///
/// The thread that polls first decides where the child belongs, as the thread that calls [`Command::spawn`]
/// does.
///
/// A `Collect` is no future itself: `join` and `select` take its [`into_future`](IntoFuture::into_future), as in
/// `join!(a.output().into_future(), b.output().into_future())`.
///
/// The child's standard input is `/dev/null` unless [`input`](Self::input) is given or the command says
/// otherwise. So is every other descriptor that would be written ([`Fd::write`](crate::Fd::write)): nobody has a handle to close
/// it. On a terminal ([`Command::pty`]) which is read by lines the end of input is typed, once, at the start. A
/// program that reads key by key, or once more after the end, waits for ever there, unless there is a
/// [`timeout`](Self::timeout).
///
/// Dropping the future kills the child, and it is reaped. The child does not wait for the future: what it writes is read
/// and kept also while nobody polls. [`output_limit`](Self::output_limit) bounds the memory that takes;
/// [`window`](Command::window) has no effect.
///
/// The child runs in a process group of its own. So a timeout and a drop reach all that it has started, and what
/// it leaves there when it exits is killed ([`on_leftovers`](Command::on_leftovers)). But while this program is
/// in the foreground of its terminal, the child stays in this program's group: there it may ask for a password
/// on `/dev/tty`, and gets Ctrl-C with everybody else. A timeout and a drop reach the child alone then, and what
/// it leaves runs on. (So does, after a Ctrl-C, a process that ignores SIGINT: a job that a script of `sh`
/// starts by `&`.)
///
/// What the command itself says ([`process_group`](Command::process_group), [`setsid`](Command::setsid),
/// [`pty`](Command::pty)) goes before both; [`own_group`](Self::own_group) and [`foreground`](Self::foreground)
/// go before that.
///
/// A `Collect` can be cloned, and each clone is a run. What is there once, the stream of [`input_stream`](Self::input_stream) and the future of
/// [`cancelled_by`](Self::cancelled_by), the first run takes; another run fails at
/// [`SpawnStep::Invalid`](crate::SpawnStep::Invalid).
///
/// ```
/// use actix_process::Command;
/// use std::time::Duration;
///
/// # actix::System::new().block_on(async {
/// let sorted = Command::new("sort")
///     .output()
///     .input("b\na\n")
///     .timeout(Duration::from_secs(10))
///     .await?;
/// assert_eq!(sorted.stdout, b"a\nb\n");
/// assert!(sorted.status.success());
/// # Ok::<(), actix_process::CollectError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing runs unless it is awaited"]
pub struct Collect<T> {
    command: Command,
    recipe: Recipe,
    finish: fn(Collected) -> Result<T, CollectError>,
}

#[derive(Clone)]
struct Recipe {
    input: Input,
    timeout: Option<Duration>,
    grace: Duration,
    keep: Keep,
    /// The child is killed when more than so many bytes of an output have come.
    most: Option<usize>,
    merge: bool,
    group: GroupChoice,
    on_child: Option<OnChild>,
    /// The codes that are a success, if the status is judged.
    ok_codes: Option<Vec<i32>>,
    /// The child is terminated when it is ready.
    cancel: Option<Given<Cancel>>,
    /// The descriptors whose lines are told of, and the closures that are told.
    told: Vec<(i32, EachLine)>,
}

type Cancel = Pin<Box<dyn Future<Output = ()> + Send>>;
type EachLine = Arc<Mutex<dyn FnMut(Line) + Send>>;
type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, Box<dyn Error + Send + Sync>>> + Send>>;

/// What the first run takes, of a plan and its clones.
type Given<T> = Arc<Mutex<Option<T>>>;

/// What the child reads.
#[derive(Clone)]
enum Input {
    /// What the command says.
    Unset,
    Bytes(Bytes),
    Stream(Given<Pieces>),
}

/// Is told of the child, once it is there.
type OnChild = Arc<dyn Fn(&ProcessHandle) + Send + Sync>;

impl Recipe {
    /// Whether each line of this descriptor is told of.
    fn tells_of(&self, fd: i32) -> bool {
        self.told.iter().any(|(of, _)| *of == fd)
    }

    /// What is kept of each output.
    const fn keep(&self) -> Keep {
        match (self.keep, self.most) {
            (Keep { first, last: 0 }, Some(most)) if first > most => Keep::first(most),
            (keep, _) => keep,
        }
    }
}

/// Nothing of the input.
impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipe")
            .field("timeout", &self.timeout)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

impl<T> Collect<T> {
    fn new(command: Command, finish: fn(Collected) -> Result<T, CollectError>) -> Self {
        Self {
            command,
            recipe: Recipe {
                input: Input::Unset,
                timeout: None,
                grace: Duration::from_secs(5),
                keep: Keep::first(usize::MAX),
                most: None,
                merge: false,
                group: GroupChoice::Fitting,
                ok_codes: None,
                cancel: None,
                told: Vec::new(),
                on_child: None,
            },
            finish,
        }
    }

    /// Tells of the child when it is there.
    pub(crate) fn on_child(mut self, on_child: OnChild) -> Self {
        self.recipe.on_child = Some(on_child);
        self
    }
}

impl<T: 'static> IntoFuture for Collect<T> {
    type Output = Result<T, CollectError>;
    type IntoFuture = Collecting<T>;

    fn into_future(mut self) -> Collecting<T> {
        Collecting {
            future: Some(Box::pin(async move {
                let ok_codes = self.recipe.ok_codes.take();
                let collected = collect(self.command, self.recipe).await?;
                collected.judged(ok_codes.as_deref()).and_then(self.finish)
            })),
        }
    }
}

/// The future of a [`Collect`]. Dropping it kills the child. Polled after its result it is pending
/// for ever.
#[must_use = "nothing runs unless it is awaited"]
pub struct Collecting<T> {
    /// Until it has given its result.
    future: Option<Running<T>>,
}

type Running<T> = Pin<Box<dyn Future<Output = Result<T, CollectError>> + Send>>;

impl<T> Future for Collecting<T> {
    type Output = Result<T, CollectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = &mut self.future else {
            return Poll::Pending;
        };
        let result = ready!(future.as_mut().poll(cx));
        self.future = None;
        Poll::Ready(result)
    }
}

impl<T> fmt::Debug for Collecting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collecting").finish_non_exhaustive()
    }
}
