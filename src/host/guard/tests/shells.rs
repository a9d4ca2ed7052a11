//! The script of the guard in each shell that may be `/bin/sh`.

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command as StdCommand;

use super::super::list::SLOT;
use super::super::shell::SCRIPT;
use super::{FAMILY, Family, all_gone, in_a_system, is_gone, stat, until};
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

/// A list of these lines.
fn list(lines: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let lines = lines.into_iter();
    lines
        .map(|line| format!("{:<width$}\n", line.as_ref(), width = SLOT - 1))
        .collect()
}

/// What a list says of a family: the number and when its leader began.
fn place(family: &Family) -> (i32, u64) {
    (family.group, stat(family.group).unwrap().starttime)
}

#[test]
fn every_shell_kills_the_same() {
    in_a_system(async {
        for shell in shells() {
            let family = async |mark: &str| {
                let command = Command::new("/bin/sh").args(["-c", FAMILY]);
                Family::of(command.env("ACTIX_PROCESS_START", mark)).await
            };
            let listed = [family("abc.1.").await, family("abc.2.").await];
            let (under_way, other) = (family("abc.10.").await, family("abcd.10.").await);
            let [(a, at), (b, bt)] = listed.each_ref().map(place);
            let wrong = bt - 1;
            let lines = ["g 1 1 1", "", "u 10 0"].map(str::to_owned);
            let groups = [format!("g {a} {at} {at}"), format!("g {b} {wrong} {wrong}")];
            let list = list(lines.iter().chain(&groups));
            run(&shell, SCRIPT, &list, "exit\n").await;
            let all = listed.iter().chain([&under_way, &other]);
            for family in all {
                assert_eq!(family.members(), 2, "{shell:?}");
            }
            run(&shell, SCRIPT, &list, "").await;
            all_gone(a).await;
            all_gone(under_way.group).await;
            for family in [&listed[1], &other] {
                assert_eq!(family.members(), 2, "{shell:?}");
            }
        }
    });
}

/// A copy of the host, by fork, that has given up its rights may still write the list.
#[test]
fn no_shell_executes_what_the_list_says_or_kills_by_half_a_line() {
    in_a_system(async {
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("trace").display().to_string();
        for shell in shells() {
            let (spared, family) = (Family::spawn().await, Family::spawn().await);
            let ((s, _), (f, at)) = (place(&spared), place(&family));
            let lines = [
                format!("id -u >{trace}"),
                format!("$(id -u >{trace})"),
                format!("g $(id>{trace}) 0 0"),
                format!("g {s} 0 $(id>{trace})"),
                format!("g 1`id>{trace}` 0 0"),
                format!("u $(id>{trace}) 0"),
                format!("g {s} 0 0 $(id>{trace})"),
                format!("g {s} 0 0 /`id>{trace}`"),
                // Times that no shell can compare.
                format!("g {s} 99999999999999999999 99999999999999999999"),
                format!("g {s} 1"),
                format!("g {s}"),
                "g".to_owned(),
                "u 1".to_owned(),
                format!("g {f} {at} {at}"),
            ];
            run(&shell, SCRIPT, &list(lines), "").await;
            all_gone(f).await;
            assert!(
                !fs::exists(&trace).unwrap(),
                "{shell:?} has executed a line"
            );
            assert_eq!(spared.members(), 2, "{shell:?}");
        }
    });
}

/// The directories have what counts of a cgroup.
#[test]
fn every_shell_kills_a_cgroup_by_its_file_and_where_there_is_none_one_by_one() {
    in_a_system(async {
        let folder = tempfile::tempdir().unwrap();
        for (n, shell) in shells().iter().enumerate() {
            let (leader, daemon) = (Family::spawn().await, Family::spawn().await);
            let (number, at) = place(&leader);
            let new = folder.path().join(format!("a new {n}"));
            let old = folder.path().join(format!("an old {n}"));
            for cgroup in [&new, &old] {
                fs::create_dir(cgroup).unwrap();
            }
            fs::write(new.join("cgroup.kill"), "").unwrap();
            fs::write(old.join("cgroup.procs"), format!("0\n{}\n", daemon.group)).unwrap();
            let line = |cgroup: &Path| format!("g {number} {at} {at} {}", cgroup.display());
            let absent = folder.path().join("absent");
            let lines = [line(&absent), line(&new), line(&old)];
            run(shell, SCRIPT, &list(lines), "").await;
            all_gone(number).await;
            until("the daemon is gone", || is_gone(daemon.group)).await;
            let written = fs::read_to_string(new.join("cgroup.kill")).unwrap();
            assert_eq!(written, "1\n", "{shell:?}");
            assert!(!fs::exists(absent).unwrap(), "{shell:?}");
        }
    });
}
