//! The guard of a monitor or a pool: a shell that outlives the host, and kills the groups of its children when the host is gone.
//!
//! The guard is one `/bin/sh` in a session of its own, which ignores what a terminal or `kill` may send. It holds nothing of the
//! host's but the reading end of a pipe, of which only the host has the other end (every child of this crate, and every program
//! that is executed, is rid of that one), and a file in memory, the list. The host writes each start into the list, and each end.
//! When the pipe closes, in whatever way the host came to its end, the guard reads the list, sends SIGKILL to each group that is in it, and exits. See `guard.sh`.
//!
//! So the guard sleeps until the host is gone. To tell it something wakes nobody, and what was told before the death of the host is in the list: a write of a slot is
//! done as a whole or not at all. (Until each line went through the pipe, the guard was woken twice for each one-shot job of a pool, and cost more than all else that
//! a pool does for the job.)
//!
//! The line of a start that has a cgroup made for it names that as well, and the guard kills all in it: no cgroup's name is given twice.
//!
//! Nothing in the list is executed. The host's copies, by fork, have the file too, and may be anybody's: the worst that one of them can do is to have the guard
//! send SIGKILL to a group or a cgroup that is not the host's, or miss one that is. A copy in which this code runs leaves the guard alone.
//!
//! # The number of a group
//!
//! A group's number can be given anew as soon as the group is gone, before the guard has heard of that. So a group is listed with
//! the times when the clone of its leader began and ended. The kernel gives no number anew that a process, a group or a session has. Hence at the end:
//!
//! - A process of that number that started between these times is the leader, perhaps a zombie: no other had the number then. The group is the old one: killed.
//! - A process of that number that started at another time: nobody was left of the old group when that process began. Not killed.
//! - No process of that number: whoever is in the group is a rest of the old one, which its leader has left. Killed.
//!
//! What is left: (1) in the third case, that all of the old group ended, the number was given to another process, which has made a
//! group and ended before its members, all of it before the host has listed that the start is over; (2) that the same
//! happens in the microseconds between the look and the kill; (3) that a number comes round within the tick of a
//! hundredth of a second in which the clone of its first owner ended. Each of them takes a full turn of the kernel's numbers.
//! A leader that was reaped before the host could look is listed with a time that no process has.
//!
//! # A start that is under way
//!
//! The host may be killed after a child was started, and before its group is listed. The child itself dies by its parent-death
//! signal, but what it has started by then does not. So a start is announced before its spawn, and its child gets a mark in its
//! environment that no other start has. For a start that was announced and has neither come nor gone, the guard waits until the host's
//! children have got their signal, for a thousand looks at most. Then it looks for the mark in `/proc/PID/environ`, of the
//! processes that started after the announcement, and kills those that have it; and again until it finds none, ten times at most. A process is not found that has rid its environment of the mark, or whose environment
//! the guard may not read (of another user, if the host is not root; in a container without `CAP_SYS_PTRACE`, of another user
//! even if it is).
//!
//! # When the list cannot be written
//!
//! A write needs memory now and then, and the kernel refuses one beyond the limit of this process for the size of files (`RLIMIT_FSIZE`). A guard whose list cannot be written is
//! killed, and replaced as one that died. One that somebody has stopped by SIGSTOP is not noticed: it kills when it is continued.
//!
//! # What the guard does not do
//!
//! It does not reach a process that has left its group and is in no cgroup that was made for the start. It does nothing if it is killed together with its host, nor if the host
//! has forked itself without an exec and the copy, which has the pipe as well, lives on.

mod leader_time;
mod list;
mod shell;
#[cfg(test)]
pub(crate) mod tests;

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::ExitStatus;
use crate::ProcessHandle;

use self::leader_time::StartClock;
use self::list::{GuardedStart, GuardedStarts};
use self::shell::GuardShell;

pub(crate) use self::shell::GuardError;

/// The variable of the mark that the children of guarded starts have.
const MARK: &str = "ACTIX_PROCESS_START";
/// A guard that has lived so long is replaced at once; one that has not, after a delay, which grows.
const STEADY: Duration = Duration::from_secs(10);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// How long the first start of the guard may hold up others.
const PATIENCE: Duration = Duration::from_secs(5);

/// What becomes of a guard.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum GuardEvent {
    /// The first one did not start: until there is one nothing is guarded. It is tried again as after a loss.
    NotStarted {
        /// What went wrong.
        error: GuardError,
    },
    /// It ended, and nobody had asked for that: until it is replaced nothing is guarded.
    Lost {
        /// How it ended.
        status: ExitStatus,
    },
    /// There is another one, which is told of all that is listed.
    Replaced,
    /// There is none yet: the next try comes after a delay.
    Failed {
        /// What went wrong.
        error: GuardError,
        /// How long until the next try.
        delay: Duration,
    },
}

/// The guard of one monitor or pool; made, used and dropped on its arbiter.
///
/// Dropping it is as the death of the host: all that is listed is killed. [`end`](Self::end) kills nothing.
pub(crate) struct Guard {
    state: Rc<RefCell<GuardState>>,
    mark: Rc<str>,
    clock: StartClock,
}

impl Guard {
    /// Starts the guard. `tell` is told, on this arbiter, when it dies and when there is another one. Where the first try fails, or takes
    /// longer than [`PATIENCE`], that is told, and the guard comes later: it is told then of all that was listed before.
    pub(crate) async fn start(tell: impl Fn(GuardEvent) + 'static) -> Self {
        let mark: Rc<str> = new_mark().into();
        let mut starting: Starting = Box::pin(GuardShell::start(Rc::clone(&mark)));
        let mut late = None;
        let shell = match timeout(PATIENCE, &mut starting).await {
            Ok(Ok(shell)) => Some(shell),
            Ok(Err(error)) => {
                tell(GuardEvent::NotStarted { error });
                None
            }
            Err(_) => {
                let error = GuardError::Late(PATIENCE);
                tell(GuardEvent::NotStarted { error });
                late = Some(starting);
                None
            }
        };
        let state = Rc::new(RefCell::new(GuardState {
            starts: GuardedStarts::default(),
            shell,
            ended: false,
        }));
        let watching = watch(Rc::downgrade(&state), Rc::clone(&mark), late, tell);
        actix_rt::spawn(watching);
        Self {
            state,
            mark,
            clock: StartClock::new(),
        }
    }

    /// Before each spawn of a guarded start: gives the name and the value of the variable that the command must have in its
    /// environment. [`tell`](Self::tell) follows before the spawn can begin, so that the guard is told of many starts by one
    /// write. [`add`](Self::add) or [`remove`](Self::remove) follows, by whether the spawn succeeds.
    pub(crate) fn announce(&self, generation: u64) -> (&'static str, String) {
        self.state.borrow_mut().starts.put(GuardedStart {
            generation,
            group: None,
            earliest: self.clock.not_later_than_now(),
            latest: u64::MAX,
            cgroup: None,
        });
        let id = self.mark.split_once('=').map_or("", |(_, id)| id);
        // Of more than it takes, lest it grows bit by bit.
        let mut value = String::with_capacity(48);
        // Nothing fails that is written to a String.
        let _ = write!(value, "{id}.{generation}.");
        (MARK, value)
    }

    /// The start has a child, which leads a group: at once after the spawn. A child that leads none is left alone.
    pub(crate) fn add(&self, generation: u64, process: &ProcessHandle) {
        let group = process.spawned_pid();
        // To signal the group 1 is to signal everybody.
        if group <= 1 {
            return self.remove(generation);
        }
        let (earliest, latest) = leader_time::of(process);
        self.change(|starts| {
            starts.put(GuardedStart {
                generation,
                group: Some(group),
                earliest,
                latest,
                cgroup: process.own_cgroup(),
            });
        });
    }

    /// The start failed, or nobody is left of its group. As often as one likes.
    pub(crate) fn remove(&self, generation: u64) {
        self.change(|starts| starts.remove(generation));
    }

    /// Tells the guard what it has not been told.
    pub(crate) fn tell(&self) {
        self.state.borrow_mut().tell();
    }

    fn change(&self, change: impl FnOnce(&mut GuardedStarts)) {
        let mut state = self.state.borrow_mut();
        change(&mut state.starts);
        state.tell();
    }

    /// Ends the guard: it kills nothing, and is not replaced. The call tells it; the future is ready when it is gone, after
    /// two seconds at most.
    pub(crate) fn end(self) -> impl Future<Output = ()> + use<> {
        let shell = {
            let mut state = self.state.borrow_mut();
            state.ended = true;
            state.shell.take()
        };
        let ending = shell.map(GuardShell::end);
        async move {
            if let Some(ending) = ending {
                ending.await;
            }
        }
    }

    /// How many starts are listed.
    #[cfg(test)]
    pub(crate) fn listed(&self) -> usize {
        self.state.borrow().starts.count()
    }

    /// The pid of the shell, if there is one.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.state.borrow().shell.as_ref()?.process.pid()
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("pid", &self.pid()).finish()
    }
}

/// The variable with a value that no other guard has. Two copies of one process may draw the same number, but have pids of their own.
fn new_mark() -> String {
    let (pid, number) = (std::process::id(), fastrand::u64(..));
    format!("{MARK}={pid:x}-{number:016x}")
}

struct GuardState {
    starts: GuardedStarts,
    /// `None` while it is being replaced, and after the end.
    shell: Option<GuardShell>,
    ended: bool,
}

impl GuardState {
    /// Tells the guard what it has not been told.
    fn tell(&mut self) {
        let Some(shell) = &self.shell else {
            // The next one is told of all.
            return;
        };
        while let Some((slots, lines)) = self.starts.untold() {
            if shell.list(slots.start, lines).is_err() {
                // It is replaced then.
                shell.process.kill();
                return;
            }
            self.starts.told(slots.end);
        }
    }
}

impl Drop for GuardState {
    fn drop(&mut self) {
        self.tell();
    }
}

/// A guard that is on its way.
type Starting = Pin<Box<dyn Future<Output = Result<GuardShell, GuardError>>>>;

/// Replaces a guard that has died, or has not come, as long as there is something to guard for.
async fn watch(
    of: Weak<RefCell<GuardState>>,
    mark: Rc<str>,
    mut late: Option<Starting>,
    tell: impl Fn(GuardEvent),
) {
    let mut delay = Duration::ZERO;
    loop {
        let Some(state) = of.upgrade() else {
            return;
        };
        let shell = |state: &GuardState| Some(state.shell.as_ref()?.process.exited());
        let exited = shell(&state.borrow());
        drop(state);
        match exited {
            // The first try is late, or has failed just now.
            None => delay = FIRST_DELAY,
            Some(exited) => {
                let begun = Instant::now();
                let status = exited.await;
                if begun.elapsed() >= STEADY {
                    delay = Duration::ZERO;
                }
                let Some(state) = of.upgrade() else {
                    return;
                };
                let mut state = state.borrow_mut();
                if state.ended {
                    return;
                }
                drop(state.shell.take());
                drop(state);
                tell(GuardEvent::Lost { status });
            }
        }
        if !replace(&of, &mark, late.take(), &tell, &mut delay).await {
            return;
        }
        tell(GuardEvent::Replaced);
    }
}

/// Tries until there is another guard, which may be on its way already; `false`: none is wanted any more.
async fn replace(
    of: &Weak<RefCell<GuardState>>,
    mark: &Rc<str>,
    mut late: Option<Starting>,
    tell: &impl Fn(GuardEvent),
    delay: &mut Duration,
) -> bool {
    loop {
        let starting = match late.take() {
            Some(late) => late,
            None => {
                if !delay.is_zero() {
                    sleep(*delay).await;
                }
                *delay = (*delay * 2).clamp(FIRST_DELAY, LONGEST_DELAY);
                if of.upgrade().is_none_or(|state| state.borrow().ended) {
                    return false;
                }
                Box::pin(GuardShell::start(Rc::clone(mark)))
            }
        };
        let started = starting.await;
        let Some(state) = of.upgrade() else {
            return false;
        };
        if state.borrow().ended {
            if let Ok(shell) = started {
                shell.end().await;
            }
            return false;
        }
        match started {
            Ok(shell) => {
                let mut state = state.borrow_mut();
                state.starts.forget_told();
                state.shell = Some(shell);
                state.tell();
                return true;
            }
            Err(error) => tell(GuardEvent::Failed {
                error,
                delay: *delay,
            }),
        }
    }
}
