//! A pid that has become somebody else's is never signalled, and no group of that number: a real
//! reuse, by forking until the kernel comes round to it.

use crate::common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use actix::Actor;
use actix_process::{NoProtocol, ProcessHandle, ProcessSupervisor, Signal, SignalError, Spawn};
use common::census::{is_gone, state_and_parent};
use common::helper::helper;
use common::isolated::{isolated, skipped};
use common::trace::spawned;
use common::{DEADLINE, run};
use nix::libc;
use nix::unistd::{Pid, getpgid};

/// Whether the kernel comes round to a pid soon; says so if not.
fn pids_wrap_soon() -> bool {
    let text = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap();
    let most: u64 = text.trim().parse().unwrap();
    let soon = most <= 100_000;
    if !soon {
        skipped(&format!("{most} pids take too long to use up"));
    }
    soon
}

/// A process that got a dead child's pid and leads a group with the same number.
struct Bystander {
    pid: i32,
    /// Its parent, which forked until then.
    forker: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Bystander {
    fn with_pid(pid: i32) -> Self {
        let mut forker = Command::new(std::env::current_exe().unwrap())
            .args(["@helper", "reuse", &pid.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = forker.stdin.take().unwrap();
        let mut output = BufReader::new(forker.stdout.take().unwrap());
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = output.read_line(&mut line).map(|_| line);
            let _ = tell.send((read, output));
        });
        let (line, output) = told.recv_timeout(DEADLINE).expect("the pid came round");
        assert_eq!(line.unwrap(), "reused\n");
        let bystander = Self {
            pid,
            forker,
            input,
            output,
        };
        assert!(!is_gone(pid), "{:?}", state_and_parent(pid));
        let group = getpgid(Some(Pid::from_raw(pid))).unwrap();
        assert_eq!(group.as_raw(), pid, "it leads a group of that number");
        bystander
    }

    /// It answers, so nothing that was sent before has killed it.
    fn assert_alive(mut self) {
        drop(self.input);
        let mut answer = String::new();
        self.output.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "alive\n", "pid {} was killed", self.pid);
        assert!(self.forker.wait().unwrap().success());
    }
}

fn assert_out_of_reach(process: &ProcessHandle) {
    let grace = Duration::from_millis(1);
    for result in [
        process.signal(Signal::KILL),
        process.signal_group(Signal::KILL),
    ] {
        assert!(matches!(result, Err(SignalError::Exited)), "{result:?}");
    }
    assert!(!process.kill());
    assert!(!process.terminate(grace));
    assert!(!process.terminate_group(grace));
}

#[test]
fn a_reused_pid_is_never_signalled() {
    isolated(|| {
        if !pids_wrap_soon() {
            return;
        }
        run(async {
            let child = helper(["say", "ready", "pause"]).process_group(0);
            let (trace, process) = spawned(child).await;
            trace.output(&process, 1, "ready").await;
            let pid = process.pid().unwrap();
            assert!(process.kill());
            trace.ended(&process).await;

            let bystander = Bystander::with_pid(pid);
            assert_out_of_reach(&process);
            assert_eq!(process.pid(), None);
            bystander.assert_alive();
        });
    });
}

#[test]
fn a_pid_is_not_signalled_after_somebody_else_reaped_the_child_and_before_we_know() {
    isolated(|| {
        if !pids_wrap_soon() {
            return;
        }
        if cfg!(actix_process_force_no_pidfd) {
            return skipped("only a pidfd can tell");
        }
        run(async {
            // Its arbiter is this thread, which does nothing else from here on.
            let supervisor = ProcessSupervisor::new().start();
            let child = helper(["pause"]).process_group(0);
            let spawn = Spawn::new(child, NoProtocol);
            let process = supervisor.send(spawn).await.unwrap().unwrap();
            let pid = process.pid().unwrap();
            assert!(process.kill());
            // SAFETY: integers and no status.
            let reaped = unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            assert_eq!(reaped, pid);

            let bystander = Bystander::with_pid(pid);
            assert_out_of_reach(&process);
            bystander.assert_alive();
            process.ended().await;
        });
    });
}
