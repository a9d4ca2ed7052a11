//! Whether a process that sends to a service's socket belongs to the service.

use nix::errno::Errno;
use nix::unistd::{Pid, getpgid};
use procfs::process::Process as ProcEntry;

/// The most ancestors that are looked at.
const MAX_DEPTH: usize = 64;

/// Whether `sender` is the child, a member of the group that the child leads, or a descendant of the child.
///
/// Of a sender that has ended and was reaped nothing is left but its user: it passes if that is a user of the child's. Who may act as that
/// user may signal the child as well.
pub(super) fn belongs(sender: i32, uid: u32, child: i32) -> bool {
    // 0: a process outside of this pid namespace.
    if sender <= 0 || child <= 0 {
        return false;
    }
    if sender == child {
        return true;
    }
    let sender_pid = Some(Pid::from_raw(sender));
    if getpgid(sender_pid).is_ok_and(|group| group.as_raw() == child) || descends(sender, child) {
        return true;
    }
    // Last: it may have gone while it was looked at.
    getpgid(sender_pid) == Err(Errno::ESRCH) && is_user_of(uid, child)
}

fn descends(sender: i32, child: i32) -> bool {
    let parent_of = |pid: i32| Some(ProcEntry::new(pid).ok()?.stat().ok()?.ppid);
    let chain = std::iter::successors(Some(sender), |pid| parent_of(*pid));
    chain
        .take(MAX_DEPTH)
        .take_while(|pid| *pid > 1)
        .any(|pid| pid == child)
}

fn is_user_of(uid: u32, child: i32) -> bool {
    let status = ProcEntry::new(child).and_then(|entry| entry.status());
    status.is_ok_and(|status| [status.ruid, status.euid, status.suid].contains(&uid))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use nix::unistd::getuid;

    use super::*;

    /// Killed and reaped by its drop.
    struct Running(Child);

    impl Running {
        fn pid(&self) -> i32 {
            i32::try_from(self.0.id()).unwrap()
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    fn sleeper() -> Running {
        Running(Command::new("sleep").arg("60").spawn().unwrap())
    }

    fn gone() -> i32 {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        i32::try_from(child.id()).unwrap()
    }

    #[test]
    fn the_child_itself_belongs_and_its_sibling_does_not() {
        let (child, other) = (sleeper(), sleeper());
        let uid = getuid().as_raw();
        assert!(belongs(child.pid(), uid, child.pid()));
        // They are in one group, which the child does not lead.
        assert!(!belongs(other.pid(), uid, child.pid()));
        assert!(!belongs(0, uid, child.pid()));
    }

    #[test]
    fn a_descendant_in_a_session_of_its_own_belongs() {
        // A job in the background has no input, unless it is given one.
        let script = "exec 3<&0; setsid sh -c 'echo $$; read x' <&3 & wait";
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let (input, output) = (Stdio::piped(), Stdio::piped());
        let mut child = Running(command.stdin(input).stdout(output).spawn().unwrap());
        let mut line = String::new();
        let mut output = BufReader::new(child.0.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let grandchild = line.trim().parse().unwrap();
        let uid = getuid().as_raw();
        assert!(belongs(grandchild, uid, child.pid()));
        assert!(!belongs(child.pid(), uid, grandchild));
    }

    #[test]
    fn a_sender_that_is_gone_passes_by_its_user() {
        let child = sleeper();
        let uid = getuid().as_raw();
        assert!(belongs(gone(), uid, child.pid()));
        assert!(!belongs(gone(), uid + 1, child.pid()));
        // And nobody passes for a child that is gone.
        assert!(!belongs(gone(), uid, gone()));
    }
}
