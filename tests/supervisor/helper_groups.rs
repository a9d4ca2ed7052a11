//! The process group of a helper (`output`, `status`, `read`): its own, but where its user sits at a
//! terminal.

use crate::common;

use std::ffi::OsString;
use std::fs::File;
use std::future::IntoFuture;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{self, Stdio};
use std::time::{Duration, Instant};

use actix_process::{CollectError, Command, Signal};
use common::census::{is_gone, state_and_parent};
use common::isolated::{is_isolated, isolated, this_test};
use common::{DEADLINE, eventually, in_time, run, tty};
use nix::libc;

/// Which group a child is in, as it says itself.
const GROUP: [&str; 2] = ["-c", "cut -d ' ' -f 5 /proc/self/stat; echo $$"];

/// Whether the child of `collect` leads a group.
async fn leads(
    change: impl FnOnce(Command) -> actix_process::Collect<actix_process::Output>,
) -> bool {
    let output = change(Command::new("sh").args(GROUP)).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    lines.next().unwrap() == lines.next().unwrap()
}

#[test]
fn without_a_terminal_a_helper_leads_a_group_unless_told_otherwise() {
    isolated(|| {
        // No terminal, whoever runs the tests.
        let _ = nix::unistd::setsid();
        run(async {
            assert!(leads(|child| child.output()).await);
            assert!(leads(|child| child.process_group(0).output()).await);
            assert!(leads(|child| child.setsid(true).output().own_group()).await);
            assert!(!leads(|child| child.output().foreground()).await);
            assert!(!leads(|child| child.process_group(0).output().foreground()).await);
            let own = nix::unistd::getpgrp().as_raw();
            assert!(!leads(|child| child.process_group(own).output()).await);
            assert!(leads(|child| child.process_group(own).output().own_group()).await);
        });
    });
}

/// Runs this test once more, by the command `by` if that has words, as the leader of a
/// session on a terminal, in the foreground; gives the terminal.
fn on_a_terminal(by: &[&str]) -> (File, process::Child) {
    let (master, slave) = tty::pair();
    let end = || Stdio::from(slave.try_clone().unwrap());
    let program = std::env::current_exe().unwrap().into_os_string();
    let mut words = by.iter().map(OsString::from).chain([program]);
    let mut host = process::Command::new(words.next().unwrap());
    host.args(words)
        .args([&this_test(), "--exact", "--nocapture", "--test-threads=1"])
        .env("ACTIX_PROCESS_ISOLATED", "1")
        .stdin(end())
        .stdout(end())
        .stderr(end());
    let terminal: OwnedFd = slave;
    // SAFETY: two system calls between fork and exec.
    unsafe {
        host.pre_exec(move || {
            nix::unistd::setsid()?;
            let made = libc::ioctl(
                std::os::fd::AsRawFd::as_raw_fd(&terminal),
                libc::TIOCSCTTY,
                0,
            );
            if made == -1 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let child = host.spawn().unwrap();
    (File::from(master), child)
}

/// Reads the terminal until it has said `text`.
fn until_said(terminal: &mut File, said: &mut String, text: &str) {
    let begun = Instant::now();
    let mut buffer = [0; 4096];
    while !said.contains(text) {
        assert!(begun.elapsed() < DEADLINE, "no {text}: {said}");
        match terminal.read(&mut buffer) {
            Ok(0) | Err(_) => panic!("no {text}, and the terminal is closed: {said}"),
            Ok(count) => said.push_str(&String::from_utf8_lossy(&buffer[..count])),
        }
    }
}

#[test]
fn in_the_foreground_of_a_terminal_a_helper_can_ask_there() {
    if is_isolated() {
        return run(async {
            let script = "printf 'word? ' > /dev/tty; read word < /dev/tty; echo \"got $word\"";
            let asks = Command::new("sh").args(["-c", script]);
            let output = in_time(asks.output().into_future()).await.unwrap();
            print!("{}", String::from_utf8_lossy(&output.stdout));
            // In a group of its own it is stopped when it asks.
            let stopped = asks.output().own_group().timeout(Duration::from_secs(1));
            let result = stopped.grace(Duration::from_millis(100)).await;
            assert!(
                matches!(result, Err(CollectError::TimedOut(_))),
                "{result:?}"
            );
            println!("all done");
        });
    }
    let (mut terminal, mut host) = on_a_terminal(&[]);
    let mut said = String::new();
    until_said(&mut terminal, &mut said, "word? ");
    terminal.write_all(b"xyzzy\n").unwrap();
    until_said(&mut terminal, &mut said, "got xyzzy");
    until_said(&mut terminal, &mut said, "all done");
    until_said(&mut terminal, &mut said, "1 passed");
    host.wait().unwrap();
}

/// As from a shell with job control: the session outlives the program, so no hang-up helps.
#[test]
fn in_the_foreground_of_a_terminal_ctrl_c_leaves_nothing_behind() {
    if is_isolated() {
        return run(async {
            let member = "echo \"pids $PPID $$.\" > /dev/tty; exec sleep 600";
            let child = Command::new("sh").args(["-c", "sh -c \"$0\"; true", member]);
            let result = child.output().await;
            panic!("{result:?}");
        });
    }
    let job = "trap : INT; \"$0\" \"$@\"; echo \"status $?.\"; exec sleep 600";
    let (mut terminal, mut shell) = on_a_terminal(&["sh", "-m", "-c", job]);
    let mut said = String::new();
    until_said(&mut terminal, &mut said, "pids ");
    until_said(&mut terminal, &mut said, ".\r");
    let pids = said.split("pids ").nth(1).unwrap();
    let pids = pids.split('.').next().unwrap().split(' ');
    let pids: Vec<i32> = pids.map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 2, "{said}");
    terminal.write_all(b"\x03").unwrap();
    // The program is gone at once: it does nothing about it.
    until_said(&mut terminal, &mut said, "status 130.");
    run(async {
        for pid in pids {
            let seen = || format!("{pid} {:?}", state_and_parent(pid));
            eventually("a death", || is_gone(pid).then_some(()), seen).await;
        }
    });
    assert!(shell.try_wait().unwrap().is_none());
    shell.kill().unwrap();
    shell.wait().unwrap();
}

/// What "Caveats" says of a program that dies of a Ctrl-C: `open()` keeps its child from it.
#[test]
fn a_ctrl_c_that_ends_the_host_leaves_an_opened_child_unless_its_command_says_otherwise() {
    if is_isolated() {
        return run(async {
            let child = |name| {
                let script = format!("echo \"$$ is {name}.\" > /dev/tty; exec sleep 120");
                Command::new("sh").args(["-c", &script])
            };
            let tied = child("tied").parent_death_signal(Signal::KILL);
            let children = (
                child("ours").open().foreground().await.unwrap(),
                tied.open().await.unwrap(),
                child("own").open().await.unwrap(),
            );
            panic!("{:?}", children.0.wait().await);
        });
    }
    let job = "trap : INT; \"$0\" \"$@\"; echo \"status $?.\"; exec sleep 600";
    let (mut terminal, mut shell) = on_a_terminal(&["sh", "-m", "-c", job]);
    let mut said = String::new();
    let [ours, tied, own] = ["ours", "tied", "own"].map(|name| {
        let words = format!(" is {name}.");
        until_said(&mut terminal, &mut said, &words);
        let before = said.split(&words).next().unwrap();
        let pid = before.split_whitespace().last().unwrap();
        pid.parse::<i32>().unwrap()
    });
    terminal.write_all(b"\x03").unwrap();
    until_said(&mut terminal, &mut said, "status 130.");
    run(async {
        for pid in [ours, tied] {
            let seen = || format!("{pid} {:?}", state_and_parent(pid));
            eventually("a death", || is_gone(pid).then_some(()), seen).await;
        }
        assert!(!is_gone(own), "the Ctrl-C has reached it");
        let own = nix::unistd::Pid::from_raw(own);
        nix::sys::signal::kill(own, nix::sys::signal::SIGKILL).unwrap();
    });
    shell.kill().unwrap();
    shell.wait().unwrap();
}
