//! What a child gets: arguments, environment, directory, group, signals, pipes.

use crate::common;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::Path;

use actix_process::{Command, Signal};
use common::census::open_fds;
use common::helper::helper;
use common::isolated::{isolated, isolated_with};
use common::trace::{History, Trace, history, spawned};
use common::{run, write_executable};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::unistd::{Pid, getpgid};

/// Every byte that an argument or a variable can hold.
fn all_bytes() -> OsString {
    OsString::from_vec((1..=255).collect())
}

/// The helper under another name, in `dir`.
fn program_in(dir: &Path, name: &str) {
    fs::create_dir_all(dir).unwrap();
    symlink(std::env::current_exe().unwrap(), dir.join(name)).unwrap();
}

fn say(command: Command, text: &str) -> Command {
    command.args(["@helper", "say", text])
}

async fn assert_says(command: Command, text: &str) {
    let history = history(&say(command, text)).await;
    assert_eq!(history.text(1), format!("{text}\n"));
    assert!(history.status().success());
}

/// `cat` of its own /proc file: the strings in it.
async fn own_strings(history: History) -> Vec<Vec<u8>> {
    let mut strings: Vec<Vec<u8>> = history.data(1).split(|b| *b == 0).map(Vec::from).collect();
    assert_eq!(strings.pop(), Some(Vec::new()));
    strings
}

async fn environment_of(command: Command) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let strings = own_strings(history(&command.arg("/proc/self/environ")).await).await;
    let split = |entry: &Vec<u8>| {
        let at = entry.iter().position(|byte| *byte == b'=').unwrap();
        (entry[..at].to_vec(), entry[at + 1..].to_vec())
    };
    strings.iter().map(split).collect()
}

#[test]
fn arguments_pass_every_byte_but_nul() {
    run(async {
        let command = Command::new("cat").arg("/proc/self/cmdline").args([
            OsStr::new(""),
            OsStr::new("a b 'c' \"d\" $e\n"),
            &all_bytes(),
        ]);
        let arguments = own_strings(history(&command).await).await;
        let all = all_bytes();
        let expected: [&[u8]; 5] = [
            b"cat",
            b"/proc/self/cmdline",
            b"",
            b"a b 'c' \"d\" $e\n",
            all.as_bytes(),
        ];
        assert_eq!(arguments, expected);
    });
}

#[test]
fn arg0_is_apart_from_the_program() {
    run(async {
        let command = Command::new("cat")
            .arg0(all_bytes())
            .arg("/proc/self/cmdline");
        let arguments = own_strings(history(&command).await).await;
        assert_eq!(arguments[0], all_bytes().as_bytes());
        assert_eq!(arguments.len(), 2);
    });
}

#[test]
fn the_environment_is_inherited() {
    run(async {
        let ours: BTreeMap<_, _> = std::env::vars_os()
            .map(|(key, value)| (key.into_vec(), value.into_vec()))
            .collect();
        assert_eq!(environment_of(Command::new("cat")).await, ours);
    });
}

#[test]
fn variables_are_set_removed_and_cleared_in_the_order_of_the_calls() {
    run(async {
        let changed = Command::new("cat")
            .env("ACTIX_A", "1")
            .env("ACTIX_A", all_bytes())
            .env("ACTIX_B", "gone")
            .env_remove("ACTIX_B")
            .env_remove("HOME")
            .envs([("ACTIX_C", ""), ("ACTIX_D", "a=b")]);
        let environment = environment_of(changed).await;
        let value = |key: &str| environment.get(key.as_bytes()).map(Vec::as_slice);
        assert_eq!(value("ACTIX_A"), Some(all_bytes().as_bytes()));
        assert_eq!(value("ACTIX_B"), None);
        assert_eq!(value("HOME"), None);
        assert_eq!(value("ACTIX_C"), Some(b"".as_slice()));
        assert_eq!(value("ACTIX_D"), Some(b"a=b".as_slice()));
        assert!(value("PATH").is_some());

        let cleared = Command::new("cat")
            .env("ACTIX_A", "forgotten")
            .env_clear()
            .env("ACTIX_B", "2");
        let environment = environment_of(cleared).await;
        let only = BTreeMap::from([(b"ACTIX_B".to_vec(), b"2".to_vec())]);
        assert_eq!(environment, only);
    });
}

#[test]
fn a_child_runs_in_its_current_dir() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let there = dir.path().canonicalize().unwrap();
        let history = history(&helper(["cwd"]).current_dir(dir.path())).await;
        assert_eq!(history.text(1), format!("{}\n", there.display()));
    });
}

#[test]
fn a_relative_program_is_resolved_after_the_chdir() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        program_in(dir.path(), "here");
        program_in(&dir.path().join("sub"), "below");
        for program in ["./here", "sub/below", "sub/../here"] {
            assert_says(Command::new(program).current_dir(dir.path()), program).await;
        }
    });
}

#[test]
fn a_bare_name_is_looked_up_in_the_path_that_the_child_gets() {
    let dir = tempfile::tempdir().unwrap();
    program_in(&dir.path().join("parents"), "actix-only-parents");
    program_in(&dir.path().join("childs"), "actix-only-childs");
    let parents = dir.path().join("parents");
    let childs =
        std::env::var_os("ACTIX_CHILDS").unwrap_or_else(|| dir.path().join("childs").into());
    isolated_with(
        |command| {
            command.env("PATH", parents).env("ACTIX_CHILDS", &childs);
        },
        || {
            run(async {
                assert_says(Command::new("actix-only-parents"), "inherited").await;
                let other = Command::new("actix-only-childs").env("PATH", &childs);
                assert_says(other, "its own").await;
                for without in [
                    Command::new("actix-only-parents").env("PATH", &childs),
                    Command::new("actix-only-parents").env_remove("PATH"),
                    Command::new("actix-only-parents").env_clear(),
                ] {
                    let (_, protocol) = Trace::start();
                    let error = say(without, "no").spawn(&protocol).await.unwrap_err();
                    assert_eq!(error.errno(), Some(libc::ENOENT), "{error}");
                }
            });
        },
    );
}

#[test]
fn relative_and_empty_path_entries_count_from_the_new_directory() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        program_in(dir.path(), "actix-top");
        program_in(&dir.path().join("bin"), "actix-in-bin");
        let with = |program: &str, path: &str| {
            Command::new(program)
                .env("PATH", path)
                .current_dir(dir.path())
        };
        assert_says(with("actix-in-bin", "bin"), "relative").await;
        assert_says(with("actix-in-bin", "/no/such:./bin"), "with a dot").await;
        for path in ["", ":", "/no/such:", ":/no/such", "/no/such::/nor/such"] {
            assert_says(with("actix-top", path), "empty entry").await;
        }
    });
}

#[test]
fn a_candidate_that_may_not_be_executed_is_skipped() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("plain")).unwrap();
        fs::write(at("plain/prog"), "not executable").unwrap();
        fs::create_dir_all(at("folder/prog")).unwrap();
        fs::write(at("file"), "no directory").unwrap();
        program_in(&at("good"), "prog");
        let path = ["plain", "folder", "file", "missing", "good"].map(at);
        let path = std::env::join_paths(path).unwrap();
        assert_says(Command::new("prog").env("PATH", path), "found").await;
    });
}

#[test]
fn without_a_path_the_system_directories_are_searched() {
    run(async {
        for command in [
            Command::new("cat").env_remove("PATH"),
            Command::new("cat").env_clear(),
        ] {
            let history = history(&command.arg("/dev/null")).await;
            assert!(history.status().success());
        }
    });
}

#[test]
fn a_script_runs_by_its_first_line_and_by_nothing_else() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("script");
        write_executable(&script, "#!/bin/sh\nprintf '%s.' \"$@\"\n");
        let history = history(&Command::new(&script).args(["a b", "", "c"])).await;
        assert_eq!(history.text(1), "a b..c.");

        let headless = dir.path().join("headless");
        write_executable(&headless, "echo a shell took it\n");
        let path = dir.path().as_os_str();
        for command in [
            Command::new(&headless),
            Command::new("headless").env("PATH", path),
        ] {
            let (trace, protocol) = Trace::start();
            let error = command.spawn(&protocol).await.unwrap_err();
            assert_eq!(error.errno(), Some(libc::ENOEXEC), "{error}");
            assert!(trace.events().is_empty());
        }
    });
}

#[test]
fn process_groups_are_kept_made_and_joined() {
    run(async {
        let (trace, protocol) = Trace::start();
        let group_of = |pid: i32| getpgid(Some(Pid::from_raw(pid))).unwrap().as_raw();
        let pause = helper(["pause"]);
        let kept = pause.spawn(&protocol).await.unwrap();
        let leader = pause.clone().process_group(0);
        let leader = leader.spawn(&protocol).await.unwrap();
        let leads = leader.pid().unwrap();
        let member = pause.clone().process_group(leads);
        let member = member.spawn(&protocol).await.unwrap();

        assert_eq!(
            group_of(kept.pid().unwrap()),
            getpgid(None).unwrap().as_raw()
        );
        assert_eq!(group_of(leads), leads);
        assert_eq!(group_of(member.pid().unwrap()), leads);
        leader.signal_group(Signal::KILL).unwrap();
        assert!(kept.kill());
        for process in [kept, leader, member] {
            trace.ended(&process).await;
        }
    });
}

#[test]
fn the_childs_ends_are_blocking_fifos() {
    run(async {
        let history = history(&helper(["fds"])).await;
        let text = history.text(1);
        let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split(' ').collect()).collect();
        assert_eq!(lines.len(), 3, "{text}");
        for (fd, line) in lines.iter().enumerate() {
            assert_eq!(line[0], fd.to_string(), "{text}");
            assert!(line[1].starts_with("pipe:["), "{text}");
            assert_eq!(line[2], "blocking", "{text}");
        }
    });
}

#[test]
fn a_child_can_reopen_its_ends_by_name() {
    run(async {
        let reopen = "echo out > /dev/stdout; echo err > /dev/stderr; cat /dev/stdin";
        let command = Command::new("sh").args(["-c", reopen]);
        let (trace, process) = spawned(command).await;
        process.write("in\n").unwrap();
        process.close_stdin();
        let history = trace.ended(&process).await;
        assert_eq!(history.text(1), "out\nin\n");
        assert_eq!(history.text(2), "err\n");
    });
}

#[test]
fn the_parents_ends_are_close_on_exec_and_never_block() {
    isolated(|| {
        run(async {
            let (trace, protocol) = Trace::start();
            let pause = helper(["pause"]);
            // The first spawn opens what stays: threads with their runtimes.
            let first = pause.spawn(&protocol).await.unwrap();
            let before = open_fds();
            let second = pause.spawn(&protocol).await.unwrap();
            let mut pipes = 0;
            for (fd, what) in open_fds() {
                if before.contains_key(&fd) {
                    continue;
                }
                // SAFETY: open while its child lives.
                let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
                let descriptor = fcntl(borrowed, FcntlArg::F_GETFD).unwrap();
                assert_eq!(descriptor, libc::FD_CLOEXEC, "{fd} {what}");
                if what == "pipe:" {
                    let status = fcntl(borrowed, FcntlArg::F_GETFL).unwrap();
                    assert_ne!(status & libc::O_NONBLOCK, 0, "{fd} {what}");
                    pipes += 1;
                }
            }
            assert_eq!(pipes, 3);
            for process in [first, second] {
                assert!(process.kill());
                trace.ended(&process).await;
            }
        });
    });
}

#[test]
fn a_command_can_be_cloned_and_spawned_many_times() {
    run(async {
        let command = helper(["say", "one"]);
        let other = command.clone().args(["say", "two"]);
        for _ in 0..3 {
            assert_eq!(history(&command).await.text(1), "one\n");
            assert_eq!(history(&other).await.text(1), "one\ntwo\n");
        }
    });
}
