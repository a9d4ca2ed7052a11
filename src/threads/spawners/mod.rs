//! The spawner threads of the host process: everything about a spawn that may block runs there.
//!
//! Linux keeps much for each thread that a child takes over from the one that clones it: credentials,
//! confinement, scheduling, namespaces. A child shall have the state of the thread that asked for it.
//! So each [`SpawnerPool`] of threads was made by a thread like those that it clones for. A thread that
//! is like no pool makes one, and a thread whose state cannot be read makes a thread for each spawn. All are
//! made by the asking thread, or by a thread that it made: a thread starts as its maker is.

mod own;
mod pool;
mod ties;
#[cfg(feature = "monitor")]
mod together;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, ThreadId};

use crate::sync::lock;
use crate::sys;
use crate::sys::clone::{CHANGED, Stack};
use crate::sys::thread_state::{self, Asker, ThreadState};

use own::OwnSpawner;
use pool::{Seat, SpawnerPool};
pub(crate) use ties::{Tie, Ties};
#[cfg(feature = "monitor")]
pub(crate) use together::{apart, together};

/// A spawn, given what its clone needs, or the reason why there is no thread for it.
pub(crate) type PoolJob = Box<dyn FnOnce(io::Result<Desk<'_>>) + Send>;

/// What a spawner thread has for the spawn that it does.
pub(crate) struct Desk<'a> {
    pub(crate) stack: &'a mut Stack,
    pub(crate) ties: &'a Arc<Ties>,
    pub(crate) kin: Kin,
}

/// Threads that are like the one which asked for a child, while there are any.
#[derive(Debug, Default, Clone)]
pub(crate) struct Kin(Weak<SpawnerPool>);

impl Kin {
    /// Runs `act` on one of them. False if there is none.
    pub(crate) fn run(&self, act: impl FnOnce() + Send + 'static) -> bool {
        if sys::copy::is_copy() {
            return false;
        }
        let pool = self.0.upgrade().filter(|pool| !pool.is_retired());
        let Some(pool) = pool else {
            return false;
        };
        // Where the thread is not like them any more `act` is as well off there.
        pool.seat().submit(Box::new(move |_| act()));
        true
    }
}

/// So many pools are kept. A program whose threads differ more makes threads for single spawns.
const MOST_POOLS: usize = 16;

/// At most so many threads, unless the program says otherwise.
const USUAL_LIMIT: usize = 1024;
/// A pool is two threads.
const LEAST_LIMIT: usize = 2;

static LIMIT: AtomicUsize = AtomicUsize::new(USUAL_LIMIT);
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The last used is the last.
static POOLS: Mutex<Vec<Arc<SpawnerPool>>> = Mutex::new(Vec::new());

/// Sets how many spawner threads this process may have: 1,024 unless set; a `count` below 2 counts as 2.
///
/// A spawn whose exec hangs, in a dead network file system for example, holds one thread for as long as it
/// hangs; other spawns use other threads. When no thread is left, a spawn that would have to wait for a hung one
/// fails with [`SpawnStep::Clone`](crate::SpawnStep::Clone). A lower number ends no thread that runs.
///
/// Spawns that do not hang need two or three threads. A thread under `no_new_privs`, or otherwise confined, that asks for
/// spawns needs one more for each spawn on its way, and for each living child that has a
/// [`parent_death_signal`](crate::Command::parent_death_signal).
pub fn set_max_spawner_threads(count: usize) {
    LIMIT.store(count.max(LEAST_LIMIT), Ordering::Relaxed);
}

/// Where a spawn will be done: by threads that are like the one which asked.
#[derive(Debug)]
pub(crate) enum Place {
    Pool(Seat),
    Own(OwnSpawner),
    Nowhere(io::Error),
    /// There is no pool yet: it is made when the spawn is submitted.
    Later(Later),
}

/// The thread that asked.
#[derive(Debug)]
pub(crate) struct Later {
    thread: ThreadId,
    number: i32,
    /// Whether it shared its directory, root and umask with the main thread: it may have ended when
    /// the spawn is submitted.
    shared_fs: bool,
    state: ThreadState,
}

impl Place {
    /// The place for what the calling thread asks for.
    pub(crate) fn for_this_thread() -> Self {
        Self::found(pool_of)
    }

    /// The same for a spawn that may never be submitted: no pool is made for it.
    pub(crate) fn promised() -> Self {
        #[cfg(feature = "monitor")]
        if let Some(seat) = together::seat() {
            return Self::Pool(seat);
        }
        let place = Self::found(|state| {
            Ok(match seat_of(&mut lock(&POOLS), &state) {
                Some(seat) => Self::Pool(seat),
                None => Self::Later(Later {
                    thread: thread::current().id(),
                    number: thread_state::this_thread(),
                    shared_fs: shares_fs_with_main(),
                    state,
                }),
            })
        });
        #[cfg(feature = "monitor")]
        if let Self::Pool(seat) = &place {
            together::keep(seat);
        }
        place
    }

    /// The place that `pool` gives, if the calling thread's state can be read. It is read once, since that takes
    /// long.
    fn found(pool: impl FnOnce(ThreadState) -> io::Result<Self>) -> Self {
        if sys::copy::is_copy() {
            // No lock: its holder may be a thread of the parent's.
            return Self::Nowhere(io::Error::other(COPY));
        }
        sys::copy::settle();
        let found = match thread_state::of_this_thread(witness()) {
            Asker::Like(state) => pool(state),
            Asker::Confined => OwnSpawner::start().map(Self::Own),
            Asker::TableOfItsOwn => Err(io::Error::other(TABLE_OF_ITS_OWN)),
        };
        found.unwrap_or_else(Self::Nowhere)
    }

    /// The same, for a submission on another thread: a pool that is missing is made on this one.
    pub(crate) fn settled(self) -> Self {
        match self {
            Self::Later(later) => later.place(),
            place => place,
        }
    }

    /// Queues `job`; where there is no thread it runs here, with the error.
    pub(crate) fn submit(self, job: PoolJob) {
        match self {
            Self::Pool(seat) => seat.submit(job),
            Self::Own(own) => own.submit(job),
            Self::Nowhere(error) => job(Err(error)),
            Self::Later(later) => later.place().submit(job),
        }
    }
}

impl Later {
    /// The place for the thread that asked, if the calling thread is that one, or is like it.
    fn place(self) -> Place {
        if thread::current().id() == self.thread {
            if !self.state.credentials().are_ours() {
                return Place::Nowhere(io::Error::other(CHANGED));
            }
            return Place::for_this_thread();
        }
        match thread_state::of_this_thread(witness()) {
            Asker::Like(state)
                if state == self.state
                    && (thread_state::shares_fs(self.number)
                        || self.shared_fs && shares_fs_with_main()) =>
            {
                pool_of(state).unwrap_or_else(Place::Nowhere)
            }
            _ => Place::Nowhere(io::Error::other(
                "the spawn was asked for on another thread, and no spawner thread is like that one",
            )),
        }
    }
}

/// A thread of ours. All of them have one descriptor table.
fn witness() -> Option<i32> {
    lock(&POOLS).last().map(|pool| pool.witness())
}

fn shares_fs_with_main() -> bool {
    i32::try_from(std::process::id()).is_ok_and(thread_state::shares_fs)
}

/// Why a thread with a descriptor table of its own spawns nothing.
pub(super) const TABLE_OF_ITS_OWN: &str =
    "the asking thread has left the descriptor table of the process";

/// Why a copy of the process spawns nothing.
pub(crate) const COPY: &str = "this process is a copy, by fork, of the one that spawned before";

/// A place in the pool whose threads are like the calling one, which makes it if there is none.
fn pool_of(state: ThreadState) -> io::Result<Place> {
    let mut pools = lock(&POOLS);
    if let Some(seat) = seat_of(&mut pools, &state) {
        return Ok(Place::Pool(seat));
    }
    if pools.len() >= MOST_POOLS {
        let Some(unused) = pools.iter().position(|pool| pool.is_unused()) else {
            drop(pools);
            return OwnSpawner::start().map(Place::Own);
        };
        pools.remove(unused).retire();
    }
    let pool = SpawnerPool::start(state)?;
    let seat = pool.seat();
    pools.push(pool);
    Ok(Place::Pool(seat))
}

/// A place in the pool whose threads are like the calling one, whose state this is; it is the last used.
fn seat_of(pools: &mut Vec<Arc<SpawnerPool>>, state: &ThreadState) -> Option<Seat> {
    let index = pools.iter().position(|pool| pool.is_like_us(state))?;
    let pool = pools.remove(index);
    let seat = pool.seat();
    pools.push(pool);
    Some(seat)
}

/// The threads of `pool` are no longer like the one that made it.
fn forget(pool: &SpawnerPool) {
    lock(&POOLS).retain(|other| !std::ptr::eq(&**other, pool));
    pool.retire();
}

/// A thread's share of the limit.
struct Permit(());

impl Permit {
    fn take() -> io::Result<Self> {
        let limit = LIMIT.load(Ordering::Relaxed);
        let more = |count| (count < limit).then_some(count + 1);
        match COUNT.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more) {
            Ok(_) => Ok(Self(())),
            Err(count) => Err(io::Error::other(format!(
                "there are {count} spawner threads, and no more may be"
            ))),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Starts a thread that is like the calling one.
fn start_thread(run: impl FnOnce(Permit) + Send + 'static) -> io::Result<()> {
    let permit = Permit::take()?;
    thread::Builder::new()
        .name("actix-process-spawner".to_owned())
        .stack_size(512 * 1024)
        .spawn(move || run(permit))
        .map(drop)
}

impl fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}
