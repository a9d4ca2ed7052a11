//! Signals to all processes of a cgroup, and of those below it; never to a stranger.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::libc;

use super::files::{MOST_GROUPS, all_groups, exists, is_gone, members_of, write};
use super::given::has_host;
use super::{Cgroup, CgroupDir, Made};
use crate::signal::Signal;
use crate::sys;

impl Cgroup {
    /// Signals the processes in the cgroup. ESRCH: there are none.
    ///
    /// SIGKILL reaches all of them, also those that are being forked; another signal reaches those that exist
    /// already. This process is never signalled: if it has been moved into the cgroup, all others are signalled
    /// one by one.
    ///
    /// # Errors
    ///
    /// The kernel's error for the first process that may not be signalled, if none was.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        if !self.is_populated() {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        if signal == Signal::KILL {
            return self.kill();
        }
        self.signal_each(signal, &mut BTreeSet::new()).map(drop)
    }

    /// The processes in it, and below it, but this one. 0 stands for those of other pid namespaces.
    pub(crate) fn members(&self) -> BTreeSet<i32> {
        let (dir, name) = self.place();
        let groups = all_groups(dir, name, MOST_GROUPS).unwrap_or_default();
        let members = groups
            .iter()
            .filter_map(|group| members_of(dir, group).ok());
        let we = std::process::id().cast_signed();
        members.flatten().filter(|pid| *pid != we).collect()
    }

    /// Whether the process of this number is one of them.
    pub(crate) fn has(&self, pid: i32) -> bool {
        self.members().contains(&pid)
    }

    fn kill(&self) -> io::Result<()> {
        let (dir, name) = self.place();
        match (has_host(dir, name), &self.0) {
            (Ok(true), _) => return self.kill_one_by_one(),
            // Whether a cgroup holds us that is not of our making must be known.
            (Err(error), CgroupDir::Given(_) | CgroupDir::New(_) | CgroupDir::Joined(_)) => {
                return Err(error);
            }
            _ => {}
        }
        let killed = match &self.0 {
            CgroupDir::Made(Made { kill: None, .. }) => return self.kill_one_by_one(),
            CgroupDir::Made(Made {
                kill: Some(kill), ..
            }) => nix::unistd::write(kill, b"1")
                .map(drop)
                .map_err(io::Error::from),
            CgroupDir::Given(_) | CgroupDir::New(_) | CgroupDir::Joined(_) => {
                write(dir, name, "cgroup.kill", "1")
            }
        };
        match killed {
            // Linux before 5.14.
            Err(error) if is_gone(&error) && !exists(dir, name, "cgroup.kill") => {
                self.kill_one_by_one()
            }
            result => result,
        }
    }

    /// While it is frozen nobody in it forks. One that holds this process is not frozen.
    fn kill_one_by_one(&self) -> io::Result<()> {
        /// One round finds the processes that exist; another those that were being forked before the freeze.
        const MOST_ROUNDS: usize = 64;
        let (dir, name) = self.place();
        // Its state before is not kept: nobody is left to thaw.
        let may_freeze = has_host(dir, name).is_ok_and(|has_us| !has_us);
        let frozen = may_freeze && write(dir, name, "cgroup.freeze", "1").is_ok();
        let mut known = BTreeSet::new();
        let mut result = Ok(());
        for _ in 0..MOST_ROUNDS {
            match self.signal_each(Signal::KILL, &mut known) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        if frozen {
            let _ = write(dir, name, "cgroup.freeze", "0");
        }
        result
    }

    /// Signals each member that is not `known`, and makes it so. Tells how many got it.
    fn signal_each(&self, signal: Signal, known: &mut BTreeSet<i32>) -> io::Result<usize> {
        /// So many pidfds are open at once.
        const PIECE: usize = 32;
        let (dir, name) = self.place();
        let mut signalled = 0;
        let mut refused = None;
        let we = std::process::id().cast_signed();
        for group in all_groups(dir, name, MOST_GROUPS)? {
            let listed = match members_of(dir, &group) {
                Ok(listed) => listed,
                Err(error) => {
                    // A cgroup of threads lists none: its processes are its parent's. Nor does one that is gone.
                    if !is_gone(&error) && error.raw_os_error() != Some(libc::EOPNOTSUPP) {
                        note(&mut refused, error);
                    }
                    continue;
                }
            };
            let fresh: Vec<i32> = listed
                .into_iter()
                .filter(|pid| *pid > 0 && *pid != we && known.insert(*pid))
                .collect();
            for piece in fresh.chunks(PIECE) {
                let mut opened: Vec<(i32, OwnedFd)> = Vec::with_capacity(piece.len());
                for pid in piece {
                    match sys::signal::open_pidfd(*pid) {
                        Ok(pidfd) => opened.push((*pid, pidfd)),
                        Err(error) => note(&mut refused, error),
                    }
                }
                // A process that is still a member was one when its pidfd was opened. A number whose process had died by
                // then may have been a stranger's.
                let members = members_of(dir, &group).unwrap_or_default();
                for (pid, pidfd) in opened {
                    if !members.contains(&pid) {
                        continue;
                    }
                    match sys::signal::send_to_any(pidfd.as_fd(), signal.number()) {
                        Ok(()) => signalled += 1,
                        Err(error) => note(&mut refused, error),
                    }
                }
            }
        }
        match refused {
            Some(error) if signalled == 0 => Err(error),
            _ => Ok(signalled),
        }
    }
}

/// Keeps the first error that is worth telling: a dead process needs no signal.
fn note(refused: &mut Option<io::Error>, error: io::Error) {
    if error.raw_os_error() != Some(libc::ESRCH) && refused.is_none() {
        *refused = Some(error);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::process::ExitStatusExt;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::super::CgroupDir;
    use super::*;

    /// A new one; none where this process may not make any, or has no pidfds.
    fn make() -> Option<Cgroup> {
        let pidfd = sys::signal::open_pidfd(std::process::id().cast_signed());
        match (Cgroup::make(), pidfd) {
            (Ok(cgroup), Ok(_)) => Some(cgroup),
            (cgroup, pidfd) => {
                eprintln!("skipped: {:?}, {:?}", cgroup.err(), pidfd.err());
                None
            }
        }
    }

    fn path(cgroup: &Cgroup) -> PathBuf {
        match &cgroup.0 {
            CgroupDir::Made(made) => made.base.path.join(&made.name),
            CgroupDir::Given(_) | CgroupDir::New(_) | CgroupDir::Joined(_) => {
                unreachable!("it was made")
            }
        }
    }

    /// A process in the cgroup of this directory.
    fn sleeper(directory: &Path) -> Child {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        fs::write(directory.join("cgroup.procs"), child.id().to_string()).unwrap();
        child
    }

    fn died_of(child: &mut Child) -> Option<i32> {
        child.wait().unwrap().signal()
    }

    fn until(what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_signal_reaches_all_members_and_those_below_and_nobody_else() {
        let Some(cgroup) = make() else { return };
        let error = cgroup.signal(Signal::TERM).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH), "nobody is in it");
        let below = path(&cgroup).join("below");
        fs::create_dir(&below).unwrap();
        let mut members: Vec<Child> = (0..40).map(|_| sleeper(&path(&cgroup))).collect();
        members.push(sleeper(&below));
        let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
        assert!(
            members
                .iter()
                .all(|child| cgroup.has(child.id().cast_signed()))
        );
        assert!(!cgroup.has(stranger.id().cast_signed()));
        cgroup.signal(Signal::TERM).unwrap();
        for member in &mut members {
            assert_eq!(died_of(member), Some(libc::SIGTERM));
        }
        until("the cgroup to be empty", || !cgroup.is_populated());
        assert_eq!(stranger.try_wait().unwrap(), None);
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }

    #[test]
    fn without_the_kernels_kill_every_member_is_killed_one_by_one() {
        let Some(cgroup) = make() else { return };
        let below = path(&cgroup).join("below");
        fs::create_dir(&below).unwrap();
        // One that forks again and again, and one below.
        let script = "read go; for n in $(seq 3000); do (:) & done; exec sleep 600";
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", script]).stdin(Stdio::piped());
        let mut forker = shell.spawn().unwrap();
        fs::write(path(&cgroup).join("cgroup.procs"), forker.id().to_string()).unwrap();
        drop(forker.stdin.take());
        let mut stopped = sleeper(&below);
        cgroup.signal(Signal::STOP).unwrap();
        cgroup.signal(Signal::CONT).unwrap();
        cgroup.kill_one_by_one().unwrap();
        assert_eq!(died_of(&mut stopped), Some(libc::SIGKILL));
        assert_eq!(died_of(&mut forker), Some(libc::SIGKILL));
        until("the cgroup to be empty", || !cgroup.is_populated());
    }

    #[test]
    fn one_that_is_dropped_goes_with_its_last_member() {
        let Some(cgroup) = make() else { return };
        let directory = path(&cgroup);
        drop(cgroup);
        assert!(!directory.exists(), "nobody was in it");

        let Some(cgroup) = make() else { return };
        let directory = path(&cgroup);
        let below = directory.join("below").join("further");
        fs::create_dir_all(&below).unwrap();
        let (mut first, mut last) = (sleeper(&directory), sleeper(&below));
        let cgroup = Arc::new(cgroup);
        assert!(!cgroup.retire());
        for member in [&mut first, &mut last] {
            assert!(directory.exists());
            member.kill().unwrap();
            member.wait().unwrap();
        }
        until("the cgroup to be removed", || !directory.exists());
        assert!(!cgroup.is_populated());
        let error = cgroup.signal(Signal::KILL).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }
}
