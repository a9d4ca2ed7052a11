//! The process-wide thread for what must outlive every arbiter: escalations of signals at their
//! deadline, the reaping of children whose System or supervisor is gone, and the watch for the last
//! members of a group.
//!
//! Started with the first spawn, never stopped. A thread starts with the state of its maker. If the maker was
//! unlike the main thread, the first later one that is like it makes another thread, which takes over. There is
//! one map of deadlines and one epoll set; the thread sleeps until the next deadline or death. What is queued
//! stays queued until it is carried out, or withdrawn.

mod start;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::sync::lock;
use crate::sys;

pub(crate) use start::start;

/// A process whose death is waited for.
pub(crate) trait Reapable: Send + Sync {
    /// What becomes readable at its death; `None` where there are no pidfds.
    fn pidfd(&self) -> Option<Arc<OwnedFd>>;
    /// Blocks until it is dead, without reaping it. For a thread of its own.
    fn wait_until_dead(&self);
    /// Whether it can be waited for so: a child of ours can.
    fn is_child(&self) -> bool;
    /// Takes note if it is dead (and reaps it, if that is ours to do); true when there is nothing more
    /// to do.
    fn reap(self: Arc<Self>) -> bool;
}

type JanitorJob = Box<dyn FnOnce() + Send>;

/// Runs `job` after `delay`, on the janitor's thread: it must be short. Dropping the `Timer` withdraws the job,
/// and nothing is kept of it then.
///
/// The map is bounded by what callers ask for: one entry a child and call. This call never starts the thread,
/// which the first spawn does, since the calling thread may be no fit maker.
#[must_use = "dropped, it is withdrawn"]
pub(crate) fn after(delay: Duration, job: impl FnOnce() + Send + 'static) -> Timer {
    let due = Instant::now()
        .checked_add(delay)
        .unwrap_or_else(|| Instant::now() + Duration::from_secs(100 * 365 * 24 * 3600));
    let key = (due, next_key());
    // The thread is the parent's, and so is its wakeup.
    if sys::copy::is_copy() {
        return Timer { key };
    }
    let mut queue = lock(&QUEUE);
    // A job that is withdrawn leaves the thread its alarm. So jobs that are withdrawn before their time, as of each child whose
    // pipes close just after its death, wake the thread once in all that time.
    let wake = queue.alarm.is_none_or(|alarm| due < alarm);
    queue.deadlines.insert(key, Box::new(job));
    if wake && queue.wakeup.is_some() {
        ring(queue);
    }
    Timer { key }
}

/// Runs `job` at once, on the janitor's thread.
pub(crate) fn soon(job: impl FnOnce() + Send + 'static) {
    post(Request::Run(Box::new(job)));
}

/// Reaps `child` when it dies.
pub(crate) fn watch(child: Arc<dyn Reapable>) {
    post(Request::Watch(next_key(), child));
}

/// Waits for the death of a process, as long as the `Watch` is held.
#[must_use = "dropped, it ends"]
pub(crate) fn watch_for(process: Arc<dyn Reapable>) -> Watch {
    let key = next_key();
    post(Request::Watch(key, process));
    Watch { key }
}

/// A job that waits for its time.
#[derive(Debug)]
pub(crate) struct Timer {
    key: (Instant, u64),
}

impl Drop for Timer {
    fn drop(&mut self) {
        if sys::copy::is_copy() {
            return;
        }
        let job = lock(&QUEUE).deadlines.remove(&self.key);
        drop(job);
    }
}

/// A process that is watched.
#[derive(Debug)]
pub(crate) struct Watch {
    key: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        post(Request::Forget(self.key));
    }
}

/// Reaps `child` in a thread of its own, which waits for `go` (or its drop) first.
pub(crate) fn watch_in_thread(
    child: Arc<dyn Reapable>,
    go: Option<mpsc::Receiver<()>>,
) -> io::Result<()> {
    start_thread("actix-process-waiter", move || {
        if let Some(go) = go {
            let _ = go.recv();
        }
        child.wait_until_dead();
        // A sandbox may refuse the waiting, which then returns at once.
        while !Arc::clone(&child).reap() {
            thread::sleep(LAST_RESORT);
        }
    })
}

fn start_thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .name(name.to_owned())
        .stack_size(256 * 1024)
        .spawn(run)
        .map(drop)
}

enum Request {
    Run(JanitorJob),
    Watch(u64, Arc<dyn Reapable>),
    Forget(u64),
    /// To a thread that goes on in place of this one.
    HandOver(mpsc::Sender<Janitor>),
}

/// The way to the thread: what it has not taken yet, and the wakeup once it runs.
struct Queue {
    requests: Vec<Request>,
    deadlines: BTreeMap<(Instant, u64), JanitorJob>,
    /// When the thread looks at the deadlines next, if nobody wakes it.
    alarm: Option<Instant>,
    wakeup: Option<Arc<EventFd>>,
    /// The thread is unlike the main thread, or may be.
    odd: bool,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    requests: Vec::new(),
    deadlines: BTreeMap::new(),
    alarm: None,
    wakeup: None,
    odd: true,
});

fn next_key() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(BELL);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

fn start_at(queue: &mut Queue) -> io::Result<()> {
    if queue.wakeup.is_none() {
        queue.wakeup = Some(Janitor::start()?);
    }
    Ok(())
}

fn post(request: Request) {
    // As above.
    if sys::copy::is_copy() {
        return;
    }
    let mut queue = lock(&QUEUE);
    queue.requests.push(request);
    ring(queue);
}

fn ring(mut queue: std::sync::MutexGuard<'_, Queue>) {
    if let Err(error) = start_at(&mut queue) {
        log::warn!("cannot start the janitor, its work waits: {error}");
    }
    let wakeup = queue.wakeup.clone();
    drop(queue);
    if let Some(wakeup) = wakeup {
        // Fails only when the counter is full: the wakeup rings already.
        let _ = wakeup.write(1);
    }
}

struct Janitor {
    epoll: Epoll,
    wakeup: Arc<EventFd>,
    watched: HashMap<u64, (Arc<dyn Reapable>, Arc<OwnedFd>)>,
    /// Processes for which there was neither an epoll entry nor a thread.
    unwatched: HashMap<u64, Arc<dyn Reapable>>,
}

/// How often to look for what nothing announces; only where everything better was refused.
pub(crate) const LAST_RESORT: Duration = Duration::from_millis(50);

const BELL: u64 = 0;

impl Janitor {
    fn start() -> io::Result<Arc<EventFd>> {
        let (epoll, wakeup) = Self::set_up()?;
        let janitor = Self {
            epoll,
            wakeup: Arc::clone(&wakeup),
            watched: HashMap::new(),
            unwatched: HashMap::new(),
        };
        start_thread("actix-process-janitor", move || janitor.run())?;
        Ok(wakeup)
    }

    fn set_up() -> io::Result<(Epoll, Arc<EventFd>)> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let wakeup = Arc::new(EventFd::from_flags(flags)?);
        epoll.add(&*wakeup, EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        Ok((epoll, wakeup))
    }

    fn run(mut self) {
        let mut events = [EpollEvent::empty(); 64];
        loop {
            if let Some(successor) = self.take_orders() {
                match successor.send(self) {
                    Ok(()) => return,
                    Err(mpsc::SendError(janitor)) => self = janitor,
                }
            }
            let next = run_due();
            self.unwatched.retain(|_, process| !reaped(process));
            let soon = (!self.unwatched.is_empty()).then_some(LAST_RESORT);
            let timeout = next.into_iter().chain(soon).min();
            let timeout = timeout.map_or(EpollTimeout::NONE, |timeout| {
                // Rounded up, so as not to spin through the last millisecond.
                let millis = i32::try_from(timeout.as_millis() + 1).unwrap_or(i32::MAX);
                EpollTimeout::try_from(millis).unwrap_or(EpollTimeout::NONE)
            });
            let count = match self.epoll.wait(&mut events, timeout) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(error) => {
                    // Only a closed or foreign descriptor can do this: somebody closed ours.
                    log::warn!("the janitor's epoll failed: {error}");
                    self.set_up_again();
                    0
                }
            };
            for event in events.iter().take(count) {
                match event.data() {
                    BELL => drop(self.wakeup.read()),
                    key => self.reap(key),
                }
            }
        }
    }

    /// Until there are descriptors for it, everybody is looked for now and then.
    fn set_up_again(&mut self) {
        let watched = self.watched.drain();
        let watched = watched.map(|(key, (process, _))| (key, process));
        self.unwatched.extend(watched);
        match Self::set_up() {
            Ok((epoll, wakeup)) => {
                self.epoll = epoll;
                self.wakeup = Arc::clone(&wakeup);
                lock(&QUEUE).wakeup = Some(wakeup);
                for (key, process) in std::mem::take(&mut self.unwatched) {
                    self.watch(key, process);
                }
            }
            Err(_) => thread::sleep(LAST_RESORT),
        }
    }

    /// Gives the thread that is to go on, if it is another one.
    fn take_orders(&mut self) -> Option<mpsc::Sender<Self>> {
        let mut successor = None;
        loop {
            let requests = std::mem::take(&mut lock(&QUEUE).requests);
            if requests.is_empty() {
                return successor;
            }
            for request in requests {
                match request {
                    Request::Run(job) => guarded(job),
                    Request::Watch(key, process) => self.watch(key, process),
                    Request::Forget(key) => self.forget(key),
                    Request::HandOver(to) => successor = Some(to),
                }
            }
        }
    }

    fn watch(&mut self, key: u64, process: Arc<dyn Reapable>) {
        if reaped(&process) {
            return;
        }
        if let Some(pidfd) = process.pidfd() {
            // By edge: a child that is traced is readable before it can be reaped, and tells
            // again when it can.
            let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, key);
            match self.epoll.add(&*pidfd, event) {
                Ok(()) => {
                    self.watched.insert(key, (process, pidfd));
                    return;
                }
                Err(error) => log::warn!("cannot watch a process by epoll: {error}"),
            }
        }
        let waited_for = process.is_child()
            && watch_in_thread(Arc::clone(&process), None)
                .inspect_err(|error| log::warn!("cannot start a thread to reap a child: {error}"))
                .is_ok();
        if !waited_for {
            self.unwatched.insert(key, process);
        }
    }

    fn reap(&mut self, key: u64) {
        let Some((process, pidfd)) = self.watched.remove(&key) else {
            return;
        };
        if reaped(&process) {
            let _ = self.epoll.delete(&*pidfd);
        } else {
            self.watched.insert(key, (process, pidfd));
        }
    }

    fn forget(&mut self, key: u64) {
        self.unwatched.remove(&key);
        if let Some((_, pidfd)) = self.watched.remove(&key) {
            let _ = self.epoll.delete(&*pidfd);
        }
    }
}

/// Runs the jobs that are due; tells how long to sleep.
fn run_due() -> Option<Duration> {
    loop {
        let mut queue = lock(&QUEUE);
        queue.alarm = queue.deadlines.keys().next().map(|(due, _)| *due);
        let next = queue.deadlines.first_entry()?;
        let left = next.key().0.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            return Some(left);
        }
        let job = next.remove();
        drop(queue);
        guarded(job);
    }
}

impl fmt::Debug for Janitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Janitor").finish_non_exhaustive()
    }
}

fn reaped(child: &Arc<dyn Reapable>) -> bool {
    let mut reaped = false;
    guarded(|| reaped = Arc::clone(child).reap());
    reaped
}

/// The thread is immortal: a job's panic is the job's end only.
fn guarded(job: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(job));
}

#[cfg(test)]
mod tests;
