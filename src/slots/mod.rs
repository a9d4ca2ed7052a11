//! At most so many runs at a time; the rest waits in a bounded queue: `Slots`.

mod hold;
pub(crate) mod job;
mod turns;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::handle::ProcessHandle;
use crate::sync::lock;
use crate::sys;
use crate::threads::deadline::Deadline;
use crate::threads::janitor;

use self::hold::UntilExit;
use self::job::SlotJob;
use self::turns::{Asked, Left, Turns};

/// A bound on how many children run at a time, for all who share it: for the tool that a server runs for a request.
///
/// ```
/// use std::time::Duration;
/// use actix_process::{Command, Slots, SlotsError};
///
/// # actix::System::new().block_on(async {
/// let slots = Slots::new(4).queue(64).queue_timeout(Duration::from_secs(20));
/// let sorted = slots.run(Command::new("sort").output().input("b\na\n")).await?;
/// assert_eq!(sorted.stdout, b"a\nb\n");
///
/// let none = Slots::new(1).queue(0);
/// let permit = none.acquire().await?;
/// let refused = none.run(Command::new("true").status()).await;
/// assert!(matches!(refused, Err(SlotsError::QueueFull { limit: 0, .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// Its clones share the slots and the queue. Who waits gets a slot in the order of arrival, which is that of the first polls. When the queue is
/// full the next one is refused at once. A wait that is dropped leaves the queue. No runtime is needed.
#[derive(Clone)]
pub struct Slots {
    turns: Arc<Mutex<Turns>>,
    queue_timeout: Option<Duration>,
}

impl Slots {
    /// How many may wait, unless [`queue`](Self::queue) says otherwise.
    pub const DEFAULT_QUEUE: usize = 64;

    /// So many slots, one at least, and a queue of [`DEFAULT_QUEUE`](Self::DEFAULT_QUEUE).
    #[must_use]
    pub fn new(slots: usize) -> Self {
        let turns = Turns::new(slots.max(1), Self::DEFAULT_QUEUE);
        Self {
            turns: Arc::new(Mutex::new(turns)),
            queue_timeout: None,
        }
    }

    /// How many may wait; with 0 nobody does. It holds for all clones. Those that wait already stay.
    #[must_use = "slots are changed by value: `slots = slots.queue(..)`"]
    pub fn queue(self, limit: usize) -> Self {
        lock(&self.turns).limit = limit;
        self
    }

    /// How long one waits for a slot at most; without a bound unless set. It holds for this value and those that are cloned
    /// from it later. The time of the run itself does not count: see [`Collect::timeout`](crate::Collect::timeout).
    #[must_use = "slots are changed by value: `slots = slots.queue_timeout(..)`"]
    pub const fn queue_timeout(mut self, timeout: Duration) -> Self {
        self.queue_timeout = Some(timeout);
        self
    }

    /// Waits for a slot and runs `job` in it: a [`Collect`](crate::Collect), or any future of a `Result`.
    ///
    /// The slot of a `Collect` is free when its child is reaped. This holds as well when the future is dropped: the child has got SIGKILL
    /// then, and the slot is taken until the child is dead, so that there are never more children than slots. (A future that is dropped
    /// during the spawn frees it at once.) The slot of another future is free when the future is done or dropped.
    ///
    /// # Errors
    ///
    /// [`SlotsError::QueueFull`] and [`SlotsError::TimedOut`], and nothing was run; [`SlotsError::Run`] with the error of `job`.
    pub async fn run<J: SlotJob>(&self, job: J) -> Result<J::Output, SlotsError<J::Error>> {
        let permit = self.acquire().await.map_err(SlotsError::of_a_run)?;
        job.run_in(permit).await.map_err(SlotsError::Run)
    }

    /// Waits for a slot and gives the permit for it, for children that [`run`](Self::run) does not take: see
    /// [`SlotPermit::until_exit`].
    ///
    /// # Errors
    ///
    /// [`SlotsError::QueueFull`], at once, and [`SlotsError::TimedOut`].
    pub fn acquire(
        &self,
    ) -> impl Future<Output = Result<SlotPermit, SlotsError>> + Send + Sync + use<> {
        let mut waiting = Waiting {
            slots: Some(self.clone()),
            number: None,
        };
        let limit = self.queue_timeout;
        async move {
            let mut deadline = None;
            std::future::poll_fn(|cx| {
                if let Poll::Ready(got) = waiting.poll_slot(cx) {
                    return Poll::Ready(got);
                }
                let Some(limit) = limit else {
                    return Poll::Pending;
                };
                let deadline = deadline.get_or_insert_with(|| {
                    // Before the first spawn nobody else has started the clock.
                    if let Err(error) = janitor::start() {
                        log::debug!("nobody minds the time of a queue: {error}");
                    }
                    Deadline::after(limit)
                });
                pin!(deadline)
                    .poll(cx)
                    .map(|()| Err(SlotsError::TimedOut { after: limit }))
            })
            .await
        }
    }

    /// How many slots are taken. A slot that was given to a waiter which has not been polled since is.
    #[must_use]
    pub fn running(&self) -> usize {
        if sys::copy::is_copy() {
            return 0;
        }
        lock(&self.turns).running()
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        if sys::copy::is_copy() {
            return 0;
        }
        lock(&self.turns).waiting()
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots")
            .field("running", &self.running())
            .field("waiting", &self.waiting())
            .field("queue_timeout", &self.queue_timeout)
            .finish()
    }
}

/// One that asks for a slot, until it has one. Its drop leaves the queue.
struct Waiting {
    slots: Option<Slots>,
    number: Option<u64>,
}

impl Waiting {
    fn poll_slot(&mut self, cx: &Context<'_>) -> Poll<Result<SlotPermit, SlotsError>> {
        let Some(slots) = &self.slots else {
            return Poll::Pending;
        };
        // In a copy of the process, which has no children, the lock may be held for ever.
        if sys::copy::is_copy() {
            return Poll::Ready(Err(SlotsError::QueueFull { limit: 0 }));
        }
        let turns = &slots.turns;
        match self.number {
            None => {
                let mut turns = lock(turns);
                match turns.ask(cx.waker()) {
                    Asked::Taken => {}
                    Asked::Waits(number) => {
                        self.number = Some(number);
                        return Poll::Pending;
                    }
                    Asked::Full => {
                        let limit = turns.limit;
                        return Poll::Ready(Err(SlotsError::QueueFull { limit }));
                    }
                }
            }
            Some(number) => {
                let looked = lock(turns).look(number, cx.waker());
                if !looked.0 {
                    return Poll::Pending;
                }
            }
        }
        self.number = None;
        match self.slots.take() {
            Some(slots) => Poll::Ready(Ok(SlotPermit { turns: slots.turns })),
            None => Poll::Pending,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // In a copy of the process its lock may be held for ever.
        if sys::copy::is_copy() {
            return;
        }
        if let (Some(slots), Some(number)) = (&self.slots, self.number) {
            let left = lock(&slots.turns).leave(number);
            match left {
                Left::Wake(next) => next.wake(),
                Left::Drop(own) => drop(own),
                Left::Nothing => {}
            }
        }
    }
}

/// A slot that is taken; made by [`Slots::acquire`]. Dropping it gives it back.
#[must_use = "dropping it gives the slot back"]
pub struct SlotPermit {
    turns: Arc<Mutex<Turns>>,
}

impl SlotPermit {
    /// Gives the slot back when the child was reaped, whoever drops what: the slot of a child that is spawned, opened or streamed.
    ///
    /// ```
    /// use actix_process::{Command, Slots};
    /// use futures::TryStreamExt;
    ///
    /// # actix::System::new().block_on(async {
    /// let slots = Slots::new(1);
    /// let permit = slots.acquire().await?;
    /// let body = Command::new("echo").arg("hello").stream().start().await?;
    /// permit.until_exit(body.process());
    /// assert_eq!(body.try_collect::<Vec<_>>().await?.concat(), b"hello\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn until_exit(self, process: &ProcessHandle) {
        drop(UntilExit::hold(self, process));
    }
}

impl Drop for SlotPermit {
    fn drop(&mut self) {
        if sys::copy::is_copy() {
            return;
        }
        let next = lock(&self.turns).give_back();
        if let Some(next) = next {
            next.wake();
        }
    }
}

impl fmt::Debug for SlotPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotPermit").finish_non_exhaustive()
    }
}

/// Why there is no result of a run in [`Slots`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SlotsError<E = Infallible> {
    /// So many wait already. A server answers 503.
    #[error("{limit} are waiting already")]
    #[non_exhaustive]
    QueueFull {
        /// How many may wait.
        limit: usize,
    },
    /// No slot was free for so long. Nothing was run.
    #[error("no slot was free for {after:?}")]
    #[non_exhaustive]
    TimedOut {
        /// The time of [`Slots::queue_timeout`].
        after: Duration,
    },
    /// The run itself failed.
    #[error(transparent)]
    Run(E),
}

impl<E> SlotsError<E> {
    fn of_a_run(error: SlotsError) -> Self {
        match error {
            SlotsError::QueueFull { limit } => Self::QueueFull { limit },
            SlotsError::TimedOut { after } => Self::TimedOut { after },
            SlotsError::Run(never) => match never {},
        }
    }
}
