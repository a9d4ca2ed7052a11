//! The script of the guard in each shell that may be `/bin/sh`.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::Command as StdCommand;

use super::super::shell::SCRIPT;
use super::{FAMILY, Family, all_gone, in_a_system, stat};
use crate::{Command, Fd, NoProtocol};

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

/// A guard with this script and list, whose input is this.
async fn run(shell: &[&str], script: &str, list: &str, input: &str) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(list.as_bytes()).unwrap();
    let file = OwnedFd::from(file.reopen().unwrap());
    let (reader, mut writer) = std::io::pipe().unwrap();
    let guard = Command::new(shell[0])
        .args(&shell[1..])
        .args(["-c", script, "guard", "ACTIX_PROCESS_START=abc"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(reader)
        .stdout(Fd::null())
        .stderr(Fd::null())
        .fd(3, file)
        .setsid(true)
        .spawn(NoProtocol)
        .await
        .unwrap();
    writer.write_all(input.as_bytes()).unwrap();
    drop(writer);
    guard.ended().await;
}

#[test]
fn every_shell_kills_the_same_whether_it_can_source_the_list_or_not() {
    let reads = SCRIPT.replace("/proc/self/fd/3", "/proc/self/fd/none");
    assert_ne!(reads, SCRIPT);
    in_a_system(async {
        for (shell, script) in shells()
            .iter()
            .flat_map(|shell| [(shell, SCRIPT), (shell, &*reads)])
        {
            let family = async |mark: &str| {
                let command = Command::new("/bin/sh").args(["-c", FAMILY]);
                Family::of(command.env("ACTIX_PROCESS_START", mark)).await
            };
            let listed = [family("abc.1.").await, family("abc.2.").await];
            let (under_way, other) = (family("abc.10.").await, family("abcd.10.").await);
            let place = |family: &Family| {
                let time = stat(family.group).unwrap().starttime;
                (family.group, time)
            };
            let [(a, at), (b, bt)] = listed.each_ref().map(place);
            let wrong = bt - 1;
            let lines = ["listed=1", "g 1 1 1", "", "u 10 0"].map(str::to_owned);
            let groups = [format!("g {a} {at} {at}"), format!("g {b} {wrong} {wrong}")];
            let lines = lines.iter().chain(&groups);
            let list: String = lines.map(|line| format!("{line:<63}\n")).collect();
            run(shell, script, &list, "exit\n").await;
            let all = listed.iter().chain([&under_way, &other]);
            for family in all {
                assert_eq!(family.members(), 2, "{shell:?}");
            }
            run(shell, script, &list, "").await;
            all_gone(a).await;
            all_gone(under_way.group).await;
            for family in [&listed[1], &other] {
                assert_eq!(family.members(), 2, "{shell:?}");
            }
        }
    });
}
