//! One spawn, shared by its asker and the thread that does it: whether it is wanted, committed or cancelled,
//! and, while the clone runs, what a cancel kills.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use nix::libc;

use super::handshake::Handshake;
use super::{copy, signal, wait};
use crate::sync::lock;

/// A child that has exec'd (or was killed while it did).
#[derive(Debug, Clone)]
pub(crate) struct Cloned {
    pub(crate) pid: libc::pid_t,
    /// `None` where the kernel or a sandbox refuses pidfds.
    pub(crate) pidfd: Option<Arc<OwnedFd>>,
    /// When its clone began and ended, in hundredths of a second since the boot, as `/proc/PID/stat` counts; `None` where the clock cannot be read.
    pub(crate) start: Option<(u64, u64)>,
}

/// Wanted until it is committed or cancelled, whichever comes first.
#[derive(Debug, Default)]
pub(crate) struct Ticket {
    state: AtomicU8,
    target: Mutex<Option<KillTarget>>,
}

/// The child that a cancel kills.
#[derive(Debug)]
pub(super) enum KillTarget {
    /// The clone runs.
    InFlight {
        handshake: Arc<Handshake>,
        by_pidfd: bool,
    },
    /// The clone came back; the child is not reaped before [`Ticket::forget`].
    Cloned(Cloned),
}

const WANTED: u8 = 0;
const COMMITTED: u8 = 1;
const CANCELLED: u8 = 2;

impl Ticket {
    /// Decides for the child to live. False if it was cancelled before.
    pub(crate) fn commit(&self) -> bool {
        let decided = self.decide(COMMITTED);
        if decided {
            self.forget();
        }
        decided
    }

    /// The child is about to be reaped: nobody signals it through the ticket any more.
    pub(crate) fn forget(&self) {
        if copy::is_copy() {
            return;
        }
        let target = self.target().take();
        drop(target);
    }

    /// Decides against the child, unless it is committed, and kills the child if it is there already. This
    /// thread does it, since the process may have ended by the time that another one would.
    pub(crate) fn cancel(&self) {
        if copy::is_copy() || !self.decide(CANCELLED) {
            return;
        }
        match &*self.target() {
            Some(KillTarget::InFlight {
                handshake,
                by_pidfd,
            }) => {
                if let Some(id) = handshake.cancel()
                    && (!by_pidfd || wait::is_child(id))
                {
                    let _ = signal::kill_unreaped(id, *by_pidfd);
                }
            }
            Some(KillTarget::Cloned(Cloned { pid, pidfd, .. })) => {
                let pidfd = pidfd.as_ref().map(|fd| fd.as_fd());
                let _ = signal::send(*pid, pidfd, libc::SIGKILL);
            }
            None => {}
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.state.load(Ordering::SeqCst) == CANCELLED
    }

    /// A clone is about to be made, which uses `handshake`.
    pub(super) fn take_off(&self, handshake: &Arc<Handshake>, by_pidfd: bool) {
        handshake.clear();
        *self.target() = Some(KillTarget::InFlight {
            handshake: Arc::clone(handshake),
            by_pidfd,
        });
        // A cancel that came before has found no handshake to tell.
        if self.is_cancelled() {
            let _ = handshake.cancel();
        }
    }

    /// What a cancel finds. The spawning thread replaces it in one step, so a cancel finds either the clone or
    /// the child.
    pub(super) fn target(&self) -> MutexGuard<'_, Option<KillTarget>> {
        lock(&self.target)
    }

    fn decide(&self, state: u8) -> bool {
        let decided =
            self.state
                .compare_exchange(WANTED, state, Ordering::SeqCst, Ordering::SeqCst);
        decided.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};

    /// A process of somebody else's whose number the kernel has stored for our clone.
    fn stranger_with(handshake: &Handshake) -> Child {
        let stranger = Command::new("sleep").arg("60").spawn().unwrap();
        // SAFETY: the place is in the handshake; no clone runs.
        unsafe { handshake.id_place().write(stranger.id() as i32) };
        stranger
    }

    /// Whether it has got a SIGKILL; else it gets a SIGTERM, which comes too late then.
    fn is_killed(mut child: Child) -> bool {
        // SAFETY: integers; the child is not reaped yet.
        unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
        child.wait().unwrap().signal() == Some(libc::SIGKILL)
    }

    #[test]
    fn a_cancel_before_the_child_runs_signals_nobody_and_stops_the_child() {
        let (ticket, handshake) = (Ticket::default(), Arc::new(Handshake::new()));
        ticket.take_off(&handshake, false);
        // The clone will fail after this, and the number be a stranger's.
        let stranger = stranger_with(&handshake);
        ticket.cancel();
        assert!(!is_killed(stranger));
        assert!(!handshake.begin());
    }

    #[test]
    fn a_cancel_of_a_child_that_runs_kills_it() {
        let (ticket, handshake) = (Ticket::default(), Arc::new(Handshake::new()));
        ticket.take_off(&handshake, false);
        let child = stranger_with(&handshake);
        assert!(handshake.begin());
        ticket.cancel();
        assert!(is_killed(child));
    }

    /// The page of a child with a copy of the memory may say that it has begun, while the clone fails.
    #[test]
    fn a_cancel_by_a_pidfd_of_no_child_of_ours_kills_nobody() {
        let mut shell = Command::new("sh")
            .args(["-c", "exec 3<&0; (read word <&3; echo $word) & echo $!"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut input, output) = (shell.stdin.take().unwrap(), shell.stdout.take().unwrap());
        let mut lines = BufReader::new(output).lines();
        let stranger = lines.next().unwrap().unwrap().parse().unwrap();
        shell.wait().unwrap();
        let Ok(pidfd) = signal::open_pidfd(stranger) else {
            return;
        };
        let (ticket, handshake) = (Ticket::default(), Arc::new(Handshake::new()));
        ticket.take_off(&handshake, true);
        // SAFETY: the place is in the handshake; no clone runs.
        unsafe { handshake.id_place().write(pidfd.as_raw_fd()) };
        assert!(handshake.begin());
        ticket.cancel();
        input.write_all(b"alive\n").unwrap();
        assert_eq!(lines.next().transpose().unwrap().as_deref(), Some("alive"));
    }

    #[test]
    fn a_cancel_before_the_clone_stops_the_child() {
        let (ticket, handshake) = (Ticket::default(), Arc::new(Handshake::new()));
        ticket.cancel();
        ticket.take_off(&handshake, true);
        assert!(!handshake.begin());
        assert!(!ticket.commit());
    }
}
