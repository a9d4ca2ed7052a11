//! Tests of the guard, with real children, and what they need.

mod copies;
mod host_killed;
mod in_process;
mod numbers;
mod shells;
mod under_way;

use std::ffi::OsStr;
use std::future::Future;
use std::process::Command as StdCommand;
use std::time::{Duration, Instant};

use futures::FutureExt;
use procfs::process::{Process, Stat, all_processes};
use tokio::sync::mpsc;

use super::{Guard, GuardEvent};
use crate::{Command, Fd, NoProtocol, ProcessHandle};

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A test that hangs fails.
pub(crate) fn in_a_system(test: impl Future<Output = ()>) {
    let timed = async { tokio::time::timeout(2 * DEADLINE, test).await };
    let ended = actix::System::new().block_on(timed.boxed_local());
    ended.expect("the test hangs");
}

/// Waits until something outside of this process is so.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(super) fn stat(pid: i32) -> Option<Stat> {
    Process::new(pid).ok()?.stat().ok()
}

/// How many live processes are in a group.
pub(super) fn members(group: i32) -> usize {
    let stats = all_processes()
        .unwrap()
        .filter_map(|process| process.ok()?.stat().ok());
    stats
        .filter(|stat| stat.pgrp == group && stat.state != 'Z')
        .count()
}

pub(crate) async fn all_gone(group: i32) {
    until("a group is gone", || members(group) == 0).await;
}

/// Whether no process has this number, or a dead one.
pub(super) fn is_gone(pid: i32) -> bool {
    stat(pid).is_none_or(|stat| stat.state == 'Z')
}

/// The end of a guard: it has done what it does.
pub(super) async fn guard_gone(pid: i32) {
    until("the guard has ended", || is_gone(pid)).await;
}

/// A shell and its child, in a group that the shell leads; they die with this.
pub(crate) struct Family {
    pub(crate) process: ProcessHandle,
    pub(crate) group: i32,
}

/// Says the number of its child when that runs.
pub(super) const FAMILY: &str = "sleep 300 & echo $!; wait";

impl Family {
    pub(crate) async fn spawn() -> Self {
        Self::of(Command::new("/bin/sh").args(["-c", FAMILY])).await
    }

    /// Of a command that says a line when all of it runs.
    pub(super) async fn of(command: Command) -> Self {
        let command = command.process_group(0).stdin(Fd::null());
        let process = command.stdout(Fd::stream()).spawn(NoProtocol).await;
        let process = process.unwrap();
        let mut output = process.stdout().unwrap();
        output.find("\n", DEADLINE).await.unwrap();
        // Nobody reads it any more, and nobody writes it.
        drop(output);
        Self {
            group: process.spawned_pid(),
            process,
        }
    }

    pub(crate) fn members(&self) -> usize {
        members(self.group)
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        let _ = self.process.signal_group(crate::Signal::KILL);
    }
}

/// A guard, what it tells, and the pid of its shell, which has set up its signals.
pub(super) async fn guard() -> (Guard, mpsc::UnboundedReceiver<GuardEvent>, i32) {
    let (tell, told) = mpsc::unbounded_channel();
    let guard = Guard::start(move |event| drop(tell.send(event)));
    let guard = guard.await;
    let pid = guard.pid().unwrap();
    until("the guard ignores SIGTERM", || ignores(pid, 15)).await;
    (guard, told, pid)
}

pub(super) fn ignores(pid: i32, signal: u32) -> bool {
    let status = Process::new(pid).and_then(|process| process.status());
    status.is_ok_and(|status| status.sigign & (1 << (signal - 1)) != 0)
}

/// Waits until the guard sleeps, when it has been told all.
pub(super) async fn all_told(guard: &Guard) {
    assert!(guard.state.borrow_mut().starts.untold().is_none());
    let pid = guard.pid().unwrap();
    // It sleeps nowhere but at its pipe.
    until("it sleeps", || {
        stat(pid).is_some_and(|stat| stat.state == 'S')
    })
    .await;
}

/// Runs the calling test, whose name is given with its module, once more in a process that does nothing else, which `wrapper` starts.
/// False if this is that run.
pub(super) fn runs_alone(module: &str, test: &str, wrapper: &[&str]) -> bool {
    const ALONE: &str = "ACTIX_PROCESS_GUARD_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return false;
    }
    let (_, module) = module.split_once("::").unwrap();
    let program = std::env::current_exe().unwrap();
    let words = wrapper.iter().map(OsStr::new).chain([program.as_os_str()]);
    let words: Vec<&OsStr> = words.collect();
    let output = StdCommand::new(words[0])
        .args(&words[1..])
        .args(["--exact", &format!("{module}::{test}"), "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{complaint}");
    assert!(told.contains("1 passed"), "{told}\n{complaint}");
    true
}
