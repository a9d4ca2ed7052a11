//! The process-wide thread for what must outlive every arbiter: escalations of signals at their
//! deadline, and the reaping of children whose System or supervisor is gone.
//!
//! Started on first use, never stopped. One deadline heap, one epoll set; it sleeps until the next
//! deadline or death.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::sync::lock;
use crate::sys;

/// A child that shall be reaped.
pub(crate) trait Watched: Send + Sync {
    /// What becomes readable at its death; `None` where there are no pidfds.
    fn pidfd(&self) -> Option<Arc<OwnedFd>>;
    /// Blocks until it is dead, without reaping it. For a thread of its own.
    fn wait_until_dead(&self);
    /// Reaps it if it is dead; true when there is nothing more to do.
    fn reap(&self) -> bool;
}

/// Runs `job` after `delay`, on the janitor's thread: it must be short.
///
/// The heap is bounded by what callers ask for: one entry a child and call.
pub(crate) fn after(delay: Duration, job: impl FnOnce() + Send + 'static) {
    let due = Instant::now()
        .checked_add(delay)
        .unwrap_or_else(|| Instant::now() + Duration::from_secs(100 * 365 * 24 * 3600));
    post(Order::At(Deadline {
        due,
        job: Box::new(job),
    }));
}

/// Reaps `child` when it dies.
pub(crate) fn watch(child: Arc<dyn Watched>) {
    post(Order::Watch(child));
}

/// Reaps `child` in a thread of its own, which waits for `go` (or its drop) first.
pub(crate) fn watch_in_thread(
    child: Arc<dyn Watched>,
    go: Option<mpsc::Receiver<()>>,
) -> io::Result<()> {
    start_thread("actix-process-waiter", move || {
        if let Some(go) = go {
            let _ = go.recv();
        }
        child.wait_until_dead();
        // A sandbox may refuse the waiting, which then returns at once.
        while !child.reap() {
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

enum Order {
    At(Deadline),
    Watch(Arc<dyn Watched>),
}

impl Order {
    /// Where there is no janitor: no descriptor for its epoll, or a sandbox without it.
    fn carry_out_in_thread(self) {
        let started = match self {
            Self::Watch(child) => watch_in_thread(child, None),
            Self::At(deadline) => start_thread("actix-process-deadline", move || {
                thread::sleep(deadline.due.saturating_duration_since(Instant::now()));
                guarded(deadline.job);
            }),
        };
        if let Err(error) = started {
            log::warn!("and no thread could be started: {error}");
        }
    }
}

struct Deadline {
    due: Instant,
    job: Box<dyn FnOnce() + Send>,
}

impl PartialEq for Deadline {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Deadline {}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Deadline {
    fn cmp(&self, other: &Self) -> Ordering {
        self.due.cmp(&other.due)
    }
}

/// The way to the thread: what it has not taken yet, and the bell once it runs.
struct Door {
    orders: Vec<Order>,
    bell: Option<Arc<EventFd>>,
}

static DOOR: Mutex<Door> = Mutex::new(Door {
    orders: Vec::new(),
    bell: None,
});

fn post(order: Order) {
    // The thread is the parent's, and its bell would ring there.
    if sys::copy::is_copy() {
        return;
    }
    let mut door = lock(&DOOR);
    door.orders.push(order);
    if door.bell.is_none() {
        match Janitor::start() {
            Ok(bell) => door.bell = Some(bell),
            Err(error) => {
                log::warn!("cannot start the janitor, its work gets threads of its own: {error}");
                door.orders.drain(..).for_each(Order::carry_out_in_thread);
                return;
            }
        }
    }
    let bell = door.bell.clone();
    drop(door);
    if let Some(bell) = bell {
        // Fails only when the counter is full: the bell rings already.
        let _ = bell.write(1);
    }
}

struct Janitor {
    epoll: Epoll,
    bell: Arc<EventFd>,
    deadlines: BinaryHeap<Reverse<Deadline>>,
    children: HashMap<u64, (Arc<dyn Watched>, Arc<OwnedFd>)>,
    last_key: u64,
    /// Children for whom there was neither an epoll entry nor a thread.
    unwatched: Vec<Arc<dyn Watched>>,
}

/// How often to look for what nothing announces; only where everything better was refused.
const LAST_RESORT: Duration = Duration::from_millis(50);

const BELL: u64 = 0;

impl Janitor {
    fn start() -> io::Result<Arc<EventFd>> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let bell = Arc::new(EventFd::from_flags(
            EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK,
        )?);
        epoll.add(&*bell, EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        let janitor = Self {
            epoll,
            bell: Arc::clone(&bell),
            deadlines: BinaryHeap::new(),
            children: HashMap::new(),
            last_key: BELL,
            unwatched: Vec::new(),
        };
        start_thread("actix-process-janitor", move || janitor.run())?;
        Ok(bell)
    }

    fn run(mut self) {
        let mut events = [EpollEvent::empty(); 64];
        loop {
            let mut timeout = self.run_due();
            self.unwatched.retain(|child| !reaped(&**child));
            if !self.unwatched.is_empty() {
                let soon = EpollTimeout::try_from(LAST_RESORT).unwrap_or(EpollTimeout::ZERO);
                // NONE sorts before every other.
                timeout = if timeout.is_some() {
                    timeout.min(soon)
                } else {
                    soon
                };
            }
            let count = match self.epoll.wait(&mut events, timeout) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(error) => {
                    // Only a closed or foreign descriptor can do this: somebody closed ours.
                    log::warn!("the janitor's epoll failed, it stops: {error}");
                    return self.hand_back();
                }
            };
            for event in events.iter().take(count) {
                match event.data() {
                    BELL => self.take_orders(),
                    key => self.reap(key),
                }
            }
        }
    }

    /// Leaves everything to the janitor that the next order starts.
    fn hand_back(self) {
        let deadlines = self.deadlines.into_iter().map(|Reverse(d)| Order::At(d));
        let watched = self.children.into_values().map(|(child, _)| child);
        let children = watched.chain(self.unwatched).map(Order::Watch);
        let mut door = lock(&DOOR);
        door.orders.extend(deadlines.chain(children));
        door.bell = None;
    }

    /// Runs the jobs that are due; tells how long to sleep.
    fn run_due(&mut self) -> EpollTimeout {
        loop {
            let now = Instant::now();
            match self.deadlines.peek() {
                None => return EpollTimeout::NONE,
                Some(Reverse(next)) if next.due > now => {
                    // Rounded up, so as not to spin through the last millisecond.
                    let millis = (next.due - now).as_millis() + 1;
                    let millis = i32::try_from(millis).unwrap_or(i32::MAX);
                    return EpollTimeout::try_from(millis).unwrap_or(EpollTimeout::NONE);
                }
                Some(_) => {
                    if let Some(Reverse(deadline)) = self.deadlines.pop() {
                        guarded(deadline.job);
                    }
                }
            }
        }
    }

    fn take_orders(&mut self) {
        let _ = self.bell.read();
        let orders = std::mem::take(&mut lock(&DOOR).orders);
        for order in orders {
            match order {
                Order::At(deadline) => self.deadlines.push(Reverse(deadline)),
                Order::Watch(child) => self.watch(child),
            }
        }
    }

    fn watch(&mut self, child: Arc<dyn Watched>) {
        if reaped(&*child) {
            return;
        }
        if let Some(pidfd) = child.pidfd() {
            self.last_key += 1;
            // By edge: a child that is traced is readable before it can be reaped, and tells
            // again when it can.
            let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, self.last_key);
            match self.epoll.add(&*pidfd, event) {
                Ok(()) => {
                    self.children.insert(self.last_key, (child, pidfd));
                    return;
                }
                Err(error) => log::warn!("cannot watch a child by epoll: {error}"),
            }
        }
        if let Err(error) = watch_in_thread(Arc::clone(&child), None) {
            log::warn!("cannot start a thread to reap a child, it is looked for: {error}");
            self.unwatched.push(child);
        }
    }

    fn reap(&mut self, key: u64) {
        let Some((child, pidfd)) = self.children.remove(&key) else {
            return;
        };
        if reaped(&*child) {
            let _ = self.epoll.delete(&*pidfd);
        } else {
            self.children.insert(key, (child, pidfd));
        }
    }
}

impl fmt::Debug for Janitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Janitor").finish_non_exhaustive()
    }
}

fn reaped(child: &dyn Watched) -> bool {
    let mut reaped = false;
    guarded(|| reaped = child.reap());
    reaped
}

/// The thread is immortal: a job's panic is the job's end only.
fn guarded(job: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(job));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_in_the_order_of_their_deadlines_and_survive_a_panic() {
        let (tell, told) = mpsc::channel();
        for (delay, name) in [(60, "third"), (20, "first"), (40, "second")] {
            let tell = tell.clone();
            after(Duration::from_millis(delay), move || {
                let _ = tell.send(name);
                assert_ne!(name, "second", "a job that panics");
            });
        }
        let order: Vec<_> = (0..3)
            .map(|_| told.recv_timeout(Duration::from_secs(10)).unwrap())
            .collect();
        assert_eq!(order, ["first", "second", "third"]);
    }
}
