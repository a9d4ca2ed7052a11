//! Threads that are alike, and the spawns that wait for one of them.
//!
//! Two share the spawns: while one waits for its child's exec, the other prepares the next. (Against
//! one: a fifth more spawns, a seventh less CPU time for each; see the history in BENCHMARKS.md.) A
//! third, the minder, looks when a spawn waits. While all are held up (execs from a dead file
//! system), it starts more, up to as many again each [`PATIENCE`]. It clones nothing itself.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::{Desk, Kin, Permit, PoolJob, Ties, forget, start_thread};
use crate::sync::lock;
use crate::sys::clone::{CHANGED, Stack};
use crate::sys::thread_state::{self, ThreadState};

/// So many threads work whenever there is work for them.
const USUAL_WORKERS: usize = 2;
/// How long all threads must have been held up before others help.
const PATIENCE: Duration = Duration::from_millis(100);

pub(crate) struct SpawnerPool {
    /// The state of the thread that made the pool, and so of all its threads.
    state: ThreadState,
    /// The thread of the pool that ends last.
    witness: AtomicI32,
    /// Spawns that were asked for and not submitted.
    seats: AtomicUsize,
    line: Mutex<PoolLine>,
    work: Condvar,
    help: Condvar,
}

/// The jobs that wait, and the threads that work. The queue has no bound of its own: it holds what callers have
/// asked for, and they mostly wait for their answers.
#[derive(Default)]
struct PoolLine {
    queue: VecDeque<PoolJob>,
    /// Since when each worker has been at its present job; `None` for an idle one.
    workers: Vec<(u64, Option<Instant>)>,
    last_worker: u64,
    minder_sleeps: bool,
    retired: bool,
}

impl PoolLine {
    fn idle(&self) -> usize {
        let idle = self.workers.iter().filter(|(_, since)| since.is_none());
        idle.count()
    }

    fn set_busy(&mut self, number: u64, since: Option<Instant>) {
        let mut workers = self.workers.iter_mut();
        if let Some(worker) = workers.find(|(other, _)| *other == number) {
            worker.1 = since;
        }
    }
}

/// A place in the queue, before there is a job. The pool is not retired meanwhile.
#[derive(Debug)]
pub(crate) struct Seat(pub(super) Arc<SpawnerPool>);

impl Seat {
    /// One more in the same pool.
    #[cfg(feature = "monitor")]
    pub(super) fn another(&self) -> Self {
        self.0.seat()
    }

    pub(super) fn submit(self, job: PoolJob) {
        let mut line = lock(&self.0.line);
        // Retired, nobody starts workers, and those that are left may hang.
        if line.retired || line.workers.is_empty() {
            drop(line);
            return job(Err(changed()));
        }
        line.queue.push_back(job);
        if line.idle() > 0 {
            drop(line);
            // A thread that is awake already and finds it costs nothing.
            self.0.work.notify_one();
        } else {
            self.0.call_minder(&line);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.seats.fetch_sub(1, Ordering::SeqCst);
    }
}

impl SpawnerPool {
    /// A pool of threads that are like the calling one, whose state this is.
    pub(super) fn start(state: ThreadState) -> io::Result<Arc<Self>> {
        let pool = Arc::new(Self {
            state,
            witness: AtomicI32::new(0),
            seats: AtomicUsize::new(0),
            line: Mutex::default(),
            work: Condvar::new(),
            help: Condvar::new(),
        });
        let (tell, told) = mpsc::channel();
        let minder = Arc::clone(&pool);
        start_thread(move |permit| {
            let _ = tell.send(thread_state::this_thread());
            minder.mind(&permit);
        })?;
        // Apart from the `if`, which would hold the lock in its body.
        let started = pool.start_worker(&mut lock(&pool.line));
        if let Err(error) = started {
            pool.retire();
            return Err(error);
        }
        let witness = told.recv().map_err(io::Error::other)?;
        pool.witness.store(witness, Ordering::Relaxed);
        Ok(pool)
    }

    /// Whether its threads are like the calling one, whose state this is.
    pub(super) fn is_like_us(&self, state: &ThreadState) -> bool {
        self.state == *state && thread_state::shares_fs(self.witness())
    }

    pub(super) fn witness(&self) -> i32 {
        self.witness.load(Ordering::Relaxed)
    }

    pub(super) fn seat(self: &Arc<Self>) -> Seat {
        self.seats.fetch_add(1, Ordering::SeqCst);
        Seat(Arc::clone(self))
    }

    /// Whether no spawn has a place in the pool, waits in its queue, or runs. Stays so while the list of pools
    /// is locked.
    pub(super) fn is_unused(&self) -> bool {
        let line = lock(&self.line);
        self.seats.load(Ordering::SeqCst) == 0
            && line.queue.is_empty()
            && line.idle() == line.workers.len()
    }

    /// The pool's threads end when they have nothing to do.
    pub(super) fn retire(&self) {
        lock(&self.line).retired = true;
        self.work.notify_all();
        self.help.notify_all();
    }

    /// Sees to it that somebody minds the time: all workers are busy, and a job waits.
    fn call_minder(&self, line: &PoolLine) {
        if line.minder_sleeps {
            self.help.notify_one();
        }
    }

    fn start_worker(self: &Arc<Self>, line: &mut PoolLine) -> io::Result<()> {
        let stack = Stack::new(self.state.credentials().clone())?;
        line.last_worker += 1;
        let number = line.last_worker;
        let pool = Arc::clone(self);
        start_thread(move |_permit: Permit| pool.work(number, stack))?;
        line.workers.push((number, None));
        Ok(())
    }

    pub(super) fn is_retired(&self) -> bool {
        lock(&self.line).retired
    }

    fn work(self: &Arc<Self>, number: u64, mut stack: Stack) {
        let ties = Arc::<Ties>::default();
        let mut line = lock(&self.line);
        loop {
            let Some(job) = line.queue.pop_front() else {
                if line.retired || (line.idle() > USUAL_WORKERS && ties.is_free()) {
                    break;
                }
                line = self.work.wait(line).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            line.set_busy(number, Some(Instant::now()));
            if !line.queue.is_empty() && line.idle() == 0 {
                // It was queued while this thread counted as idle.
                self.call_minder(&line);
            }
            drop(line);
            let desk = Desk {
                stack: &mut stack,
                ties: &ties,
                kin: Kin(Arc::downgrade(self)),
            };
            // A panic is the end of this spawn only, whose guards clean up.
            if catch_unwind(AssertUnwindSafe(|| job(Ok(desk)))).is_err() {
                log::warn!("a spawn panicked");
            }
            if stack.has_changed() {
                forget(self);
            }
            line = lock(&self.line);
            line.set_busy(number, None);
        }
        line.workers.retain(|(other, _)| *other != number);
        drop(line);
        ties.wait();
    }

    /// Sleeps while nothing waits; starts workers when there are fewer than usual, or when all are
    /// held up. Where it cannot, what waits for a hung one is refused.
    fn mind(self: &Arc<Self>, _permit: &Permit) {
        let mut line = lock(&self.line);
        loop {
            if line.queue.is_empty() {
                if line.retired {
                    return;
                }
                line.minder_sleeps = true;
                line = self.help.wait(line).unwrap_or_else(PoisonError::into_inner);
                line.minder_sleeps = false;
                continue;
            }
            // The worker that began its job last is the first that may be free again.
            let began_last = line
                .workers
                .iter()
                .map(|(_, since)| since.unwrap_or_else(Instant::now))
                .max();
            let held_up = began_last.map_or(PATIENCE, |since| since.elapsed());
            let missing = USUAL_WORKERS.saturating_sub(line.workers.len());
            let wanted = if held_up >= PATIENCE {
                // The jobs that wait may hang as well: without this, twenty that hang at once would hold up
                // the next for twenty times as long.
                line.queue.len().min(line.workers.len()).max(1)
            } else if line.idle() == 0 {
                missing.min(line.queue.len())
            } else {
                0
            };
            let mut failure = None;
            for _ in 0..wanted {
                if let Err(error) = self.start_worker(&mut line) {
                    log::debug!("cannot start another spawner thread: {error}");
                    failure = Some(error);
                    break;
                }
            }
            if held_up >= PATIENCE {
                log::debug!("spawns are held up: {} threads", line.workers.len());
                if let Some(error) = failure
                    && line.idle() == 0
                {
                    line = self.refuse(line, &error);
                    continue;
                }
            }
            let rest = PATIENCE.saturating_sub(held_up);
            let rest = if rest.is_zero() { PATIENCE } else { rest };
            line = self
                .help
                .wait_timeout(line, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Answers all that waits: no thread is free, and none can be started.
    fn refuse<'a>(
        &'a self,
        mut line: MutexGuard<'a, PoolLine>,
        why: &io::Error,
    ) -> MutexGuard<'a, PoolLine> {
        let jobs = std::mem::take(&mut line.queue);
        let held_up = line.workers.len();
        drop(line);
        for job in jobs {
            let text = format!("{held_up} are held up by spawns that hang, and {why}");
            let error = match why.raw_os_error() {
                Some(errno) => io::Error::from_raw_os_error(errno),
                None => io::Error::other(text),
            };
            if catch_unwind(AssertUnwindSafe(|| job(Err(error)))).is_err() {
                log::warn!("a spawn panicked");
            }
        }
        lock(&self.line)
    }
}

/// Why a pool that was like the asking thread is so no longer.
fn changed() -> io::Error {
    io::Error::other(CHANGED)
}

impl fmt::Debug for SpawnerPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnerPool").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::thread_state::Asker;

    #[test]
    fn a_seat_in_a_pool_that_was_forgotten_does_not_wait_for_a_hung_worker() {
        let Asker::Like(state) = thread_state::of_this_thread(None) else {
            return println!("skipped: the state of this thread cannot be read");
        };
        let pool = SpawnerPool::start(state).unwrap();
        let (seat, last) = (pool.seat(), pool.seat());
        let (hang, hung) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let began = tell.clone();
        seat.submit(Box::new(move |desk| {
            began.send(desk.err()).unwrap();
            let _ = hung.recv();
        }));
        let deadline = Duration::from_secs(10);
        assert!(told.recv_timeout(deadline).unwrap().is_none());
        pool.retire();
        // Until the minder is gone: the worker, the seat and this function are left.
        let begun = Instant::now();
        while Arc::strong_count(&pool) > 3 {
            assert!(begun.elapsed() < deadline, "the minder lives on");
            std::thread::yield_now();
        }
        last.submit(Box::new(move |desk| tell.send(desk.err()).unwrap()));
        let refused = told.recv_timeout(deadline);
        drop(hang);
        assert!(refused.unwrap().is_some(), "done by a retired pool");
    }
}
