//! The wait until a start is ready, and what the monitor tells that wait.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::check::{Check, instant_in};
use super::super::notify::NotifyMessage;
use super::super::start::Start;
use super::{Ready, ReadyKind, TRY};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why a start failed that was spawned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::monitor) enum NotReady {
    /// Its time is up. With what the last try of a probe said.
    Late { last: Option<String> },
    /// All outputs are closed on which it could have said that it is ready.
    Closed,
    /// It said that it stops.
    Stopping,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late { last: None } => f.write_str("not ready in time"),
            Self::Late { last: Some(text) } => write!(f, "not ready in time: {text}"),
            Self::Closed => f.write_str("closed its output before it was ready"),
            Self::Stopping => f.write_str("said that it stops before it was ready"),
        }
    }
}

/// What the monitor tells the wait of one start. Clones tell the same wait. What comes after its end has no effect.
#[derive(Debug, Clone)]
pub(in crate::monitor) struct ReadyFeed(Rc<ReadyTold>);

#[derive(Debug)]
struct ReadyTold {
    ready: Ready,
    /// The descriptors on which the service can say that it is ready, and which are open.
    open: Cell<[Option<i32>; 2]>,
    answer: Cell<Option<Word>>,
    answered: Notify,
    /// Since the wait began; a message may move it away.
    deadline: Cell<Option<Instant>>,
}

#[derive(Debug, Clone, Copy)]
enum Word {
    Ready,
    Closed,
    Stopping,
}

impl ReadyFeed {
    /// A line of a descriptor, without its newline. The monitor may tell of all descriptors, or of those that
    /// [`Ready::watches_lines_of`] names.
    pub(in crate::monitor) fn line(&self, fd: i32, line: &[u8]) {
        if let ReadyKind::Line(pattern, _) = &self.0.ready.kind
            && self.0.answer.get().is_none()
            && self.0.ready.watches_lines_of(fd)
            && pattern.is_in(line)
        {
            self.0.answer(Word::Ready);
        }
    }

    /// Bytes of a descriptor.
    pub(in crate::monitor) fn data(&self, fd: i32, bytes: &[u8]) {
        if self.0.ready.notification_fd() == Some(fd) && bytes.contains(&b'\n') {
            self.0.answer(Word::Ready);
        }
    }

    /// A descriptor is closed, and all of its lines and bytes have been told.
    pub(in crate::monitor) fn closed(&self, fd: i32) {
        let was = self.0.open.get();
        let open = was.map(|one| one.filter(|open| *open != fd));
        self.0.open.set(open);
        if was != open && open == [None; 2] {
            self.0.answer(Word::Closed);
        }
    }

    /// A message of the service's.
    pub(in crate::monitor) fn message(&self, message: &NotifyMessage) {
        if let Some(time) = message.extend {
            let later = instant_in(time);
            let deadline = self.0.deadline.get();
            self.0.deadline.set(deadline.map(|at| at.max(later)));
        }
        if self.0.ready.wants_notify() {
            if message.ready {
                self.0.answer(Word::Ready);
            } else if message.stopping {
                self.0.answer(Word::Stopping);
            }
        }
    }
}

impl ReadyTold {
    /// The first answer counts.
    fn answer(&self, word: Word) {
        if self.answer.get().is_none() {
            self.answer.set(Some(word));
            self.answered.notify_one();
        }
    }

    async fn answered(&self) -> Result<(), NotReady> {
        loop {
            match self.answer.get() {
                Some(Word::Ready) => return Ok(()),
                Some(Word::Closed) => return Err(NotReady::Closed),
                Some(Word::Stopping) => return Err(NotReady::Stopping),
                None => self.answered.notified().await,
            }
        }
    }

    /// Ends when the deadline is over, wherever it has been moved meanwhile.
    async fn late(&self) {
        while let Some(at) = self.deadline.get().filter(|at| *at > Instant::now()) {
            sleep_until(at).await;
        }
    }
}

/// The wait of one start, which begins with the first poll, and what the monitor has to tell it. `is_read` says whether a descriptor of the
/// child is piped, so that its lines and its close will be told.
///
/// The wait keeps `within` itself, since the service may ask for more time. It neither sees the end of the child: the monitor drops it
/// then. Dropping it takes a probe that runs with it.
pub(in crate::monitor) fn begin(
    ready: &Ready,
    start: &Start,
    is_read: &dyn Fn(i32) -> bool,
) -> (
    ReadyFeed,
    impl Future<Output = Result<(), NotReady>> + use<>,
) {
    let open = match &ready.kind {
        ReadyKind::Line(_, Some(fd)) | ReadyKind::Fd(fd) => [Some(*fd), None],
        ReadyKind::Line(_, None) => [Some(1), Some(2)],
        _ => [None; 2],
    };
    let told = Rc::new(ReadyTold {
        ready: ready.clone(),
        open: Cell::new(open.map(|one| one.filter(|fd| is_read(*fd)))),
        answer: Cell::new(None),
        answered: Notify::new(),
        deadline: Cell::new(None),
    });
    let feed = ReadyFeed(Rc::clone(&told));
    let start = start.clone();
    (feed, async move { wait(&told, &start).await })
}

async fn wait(told: &ReadyTold, start: &Start) -> Result<(), NotReady> {
    let ready = &told.ready;
    let last = Cell::new(None);
    match &ready.kind {
        ReadyKind::Started => return Ok(()),
        ReadyKind::After(time) => {
            sleep(*time).await;
            return Ok(());
        }
        _ => told.deadline.set(Some(instant_in(ready.within))),
    }
    let mut answer = pin!(async {
        match &ready.kind {
            ReadyKind::Protocol => start.until_ready().await,
            ReadyKind::Check(check) => ask(ready, check, start, &last).await,
            ReadyKind::Line(..) | ReadyKind::Fd(_) | ReadyKind::Notify => {
                return told.answered().await;
            }
            ReadyKind::Started | ReadyKind::After(_) => pending().await,
        }
        Ok(())
    });
    let mut late = pin!(told.late());
    let answer = poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => late.as_mut().poll(cx).map(|()| None),
    });
    match answer.await {
        Some(answer) => answer,
        None => Err(NotReady::Late { last: last.take() }),
    }
}

/// Ends when a try has succeeded.
async fn ask(ready: &Ready, check: &Check, start: &Start, last: &Cell<Option<String>>) {
    let time = ready.timeout.unwrap_or(TRY).min(ready.within);
    let mut pause = FIRST_PAUSE;
    while let Err(text) = check.once(start, time).await {
        last.set(Some(text));
        sleep(ready.every.unwrap_or(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
