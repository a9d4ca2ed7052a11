//! The spawner threads of the host process: everything about a spawn that may block runs there.
//!
//! Two threads share the spawns: while one waits for its child's exec, the other prepares the next.
//! (Against one: a fifth more spawns, a seventh less CPU time for each; see the history in
//! BENCHMARKS.md.) While both are held up (an exec from a dead file system) and others wait, a
//! standby becomes another one, up to [`MOST_THREADS`]. They live as long as the process, because a
//! parent-death signal follows the thread that cloned.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::sync::lock;
use crate::sys::clone::Stack;

/// So many threads work whenever there is work for them.
const USUAL_THREADS: usize = 2;
/// With this many clones hanging, further spawns wait.
const MOST_THREADS: usize = 4;
/// How long all threads must have been held up before another one helps.
const PATIENCE: Duration = Duration::from_millis(100);

/// A spawn, given the stack for its child, or the reason why there is no thread for it.
pub(crate) type Job = Box<dyn FnOnce(io::Result<&mut Stack>) + Send>;

/// Queues `job`; where no thread can be started it runs here, with the error. The queue has no bound
/// of its own: it holds what callers have asked for, who mostly wait for their answers.
pub(crate) fn submit(job: Job) {
    let mut pool = lock(&POOL);
    let all_busy = pool.workers.iter().all(Option::is_some);
    if all_busy
        && pool.workers.len() < USUAL_THREADS
        && let Err(error) = start(&mut pool, Role::Worker)
        && pool.workers.is_empty()
    {
        drop(pool);
        return job(Err(error));
    }
    pool.queue.push_back(job);
    if pool.workers.iter().any(Option::is_none) {
        drop(pool);
        // A thread that is awake already and finds it costs nothing.
        WORK.notify_one();
    } else {
        call_standby(&mut pool);
    }
}

/// Sees to it that somebody minds the time: all workers are busy, and a job waits.
fn call_standby(pool: &mut Pool) {
    match pool.standby {
        Standby::Asleep => HELP.notify_one(),
        Standby::Awake => {}
        Standby::Absent if pool.workers.len() < MOST_THREADS => {
            // Without it the queue is as good, only less patient.
            if let Err(error) = start(pool, Role::Standby) {
                log::debug!("cannot start a standby spawner thread: {error}");
            }
        }
        Standby::Absent => {}
    }
}

struct Pool {
    queue: VecDeque<Job>,
    /// Since when each thread has been at its present job; `None` for an idle one.
    workers: Vec<Option<Instant>>,
    standby: Standby,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standby {
    Absent,
    Asleep,
    Awake,
}

#[derive(Clone, Copy)]
enum Role {
    Worker,
    Standby,
}

static POOL: Mutex<Pool> = Mutex::new(Pool {
    queue: VecDeque::new(),
    workers: Vec::new(),
    standby: Standby::Absent,
});
static WORK: Condvar = Condvar::new();
static HELP: Condvar = Condvar::new();

fn start(pool: &mut Pool, role: Role) -> io::Result<()> {
    let stack = Stack::new()?;
    let index = pool.workers.len();
    thread::Builder::new()
        .name("actix-process-spawner".to_owned())
        .stack_size(512 * 1024)
        .spawn(move || match role {
            Role::Worker => work(index, stack),
            Role::Standby => stand_by(stack),
        })?;
    match role {
        Role::Worker => pool.workers.push(None),
        Role::Standby => pool.standby = Standby::Awake,
    }
    Ok(())
}

fn work(index: usize, mut stack: Stack) {
    let mut pool = lock(&POOL);
    loop {
        let Some(job) = pool.queue.pop_front() else {
            pool = WORK.wait(pool).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        set_busy(&mut pool, index, Some(Instant::now()));
        if !pool.queue.is_empty() && pool.workers.iter().all(Option::is_some) {
            // It was queued while this thread counted as idle.
            call_standby(&mut pool);
        }
        drop(pool);
        // The thread is immortal: a panic is the end of this spawn only, whose guards clean up.
        if catch_unwind(AssertUnwindSafe(|| job(Ok(&mut stack)))).is_err() {
            log::warn!("a spawn panicked");
        }
        pool = lock(&POOL);
        set_busy(&mut pool, index, None);
    }
}

fn set_busy(pool: &mut Pool, index: usize, since: Option<Instant>) {
    if let Some(worker) = pool.workers.get_mut(index) {
        *worker = since;
    }
}

/// Sleeps while nothing waits; becomes a worker when all workers are held up and something does.
fn stand_by(stack: Stack) {
    let mut pool = lock(&POOL);
    let mut rest = PATIENCE;
    let index = loop {
        // Woken for the first job that waits, it looks only when that has waited for long: a queue
        // that merely moves costs nothing.
        pool = HELP
            .wait_timeout_while(pool, rest, |_| true)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        rest = PATIENCE;
        if pool.queue.is_empty() {
            pool.standby = Standby::Asleep;
            pool = HELP.wait(pool).unwrap_or_else(PoisonError::into_inner);
            pool.standby = Standby::Awake;
            continue;
        }
        // The worker that began its job last is the first that may be free again.
        let began_last = pool
            .workers
            .iter()
            .map(|since| since.unwrap_or_else(Instant::now))
            .max();
        let held_up = began_last.map_or(PATIENCE, |since| since.elapsed());
        if held_up >= PATIENCE {
            pool.workers.push(None);
            pool.standby = Standby::Absent;
            break pool.workers.len() - 1;
        }
        rest = PATIENCE - held_up;
    };
    drop(pool);
    log::debug!("spawns are held up: spawner thread {} helps", index + 1);
    work(index, stack);
}
