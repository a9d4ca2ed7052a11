//! The script of the guard in each shell that may be `/bin/sh`.

use std::io::Write;
use std::process::{Child, ChildStdin, Command as StdCommand, Stdio};

use super::super::shell::SCRIPT;
use super::{FAMILY, Family, all_gone, in_a_system, stat, until};
use crate::Command;

/// The shells of this machine, and their arguments.
fn shells() -> Vec<Vec<&'static str>> {
    let known = [
        vec!["sh"],
        vec!["dash"],
        vec!["bash", "--posix"],
        vec!["busybox", "sh"],
        vec!["ksh"],
        vec!["mksh"],
    ];
    let runs = |shell: &&Vec<&str>| {
        let run = StdCommand::new(shell[0])
            .args(&shell[1..])
            .args(["-c", ":"])
            .output();
        run.is_ok_and(|output| output.status.success())
    };
    known.iter().filter(runs).cloned().collect()
}

fn start(shell: &[&str]) -> (Child, ChildStdin) {
    let mut guard = StdCommand::new(shell[0])
        .args(&shell[1..])
        .args(["-c", SCRIPT, "guard", "ACTIX_PROCESS_START=abc"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let input = guard.stdin.take().unwrap();
    (guard, input)
}

fn run(shell: &[&str], lines: &str) {
    let (mut guard, mut input) = start(shell);
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    guard.wait().unwrap();
}

#[test]
fn every_shell_kills_the_same() {
    in_a_system(async {
        for shell in shells() {
            let family = async |mark: &str| {
                let command = Command::new("/bin/sh").args(["-c", FAMILY]);
                Family::of(command.env("ACTIX_PROCESS_START", mark)).await
            };
            let listed = [
                family("abc.1.").await,
                family("abc.2.").await,
                family("abc.3.").await,
            ];
            let (under_way, other) = (family("abc.10.").await, family("abcd.10.").await);
            let place = |family: &Family| {
                let time = stat(family.group).unwrap().starttime;
                (family.group, time)
            };
            let [(a, at), (b, bt), (c, ct)] = listed.each_ref().map(place);
            let wrong = bt - 1;
            let lines = format!(
                "slots=3\ns0='{a} {at}'\ns1='{b} {wrong}'\nslots=13\ns12='{c} {ct}'\ns12=\ns3='0 {wrong} 10'\n\ns4='1 1'\n"
            );
            run(&shell, &format!("{lines}exit\n"));
            let all = listed.iter().chain([&under_way, &other]);
            for family in all {
                assert_eq!(family.members(), 2, "{shell:?}");
            }
            run(&shell, &lines);
            all_gone(a).await;
            all_gone(under_way.group).await;
            for family in [&listed[1], &listed[2], &other] {
                assert_eq!(family.members(), 2, "{shell:?}");
            }
        }
    });
}

/// A shell that takes the lines in only when there are no more of them needs ever more memory.
#[test]
fn every_shell_does_what_a_line_says_before_the_last_one() {
    in_a_system(async {
        for shell in shells() {
            let (mut guard, mut input) = start(&shell);
            input.write_all(b"slots=1\ns0='1 1'\n").unwrap();
            input.write_all(b"exit\n").unwrap();
            let what = format!("{shell:?} leaves");
            until(&what, || guard.try_wait().unwrap().is_some()).await;
            drop(input);
        }
    });
}
