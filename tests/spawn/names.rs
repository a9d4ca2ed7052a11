//! Whose event it is: the name of a child, and its number, known before its spawn begins.

use crate::common;

use std::sync::{LazyLock, Mutex};

use actix::{Actor, System};
use actix_process::supervisor::List;
use actix_process::{
    CollectError, Command, Fd, NoProtocol, ProcessId, ProcessSupervisor, Spawn, SpawnError,
    SpawnStep,
};
use common::helper::helper;
use common::isolated::isolated;
use common::trace::{Trace, spawned};
use common::{in_time, run};

async fn refusal(command: Command) -> SpawnError {
    in_time(command.spawn(NoProtocol)).await.unwrap_err()
}

#[test]
fn a_child_is_called_as_its_command_says() {
    run(async {
        let web = helper(["pause"]).name("web");
        let (trace, process) = spawned(&web).await;
        assert_eq!(process.name(), "web");
        assert_ne!(process.program(), "web");
        assert!(format!("{process:?}").contains("\"web\""), "{process:?}");
        assert!(process.kill());
        trace.ended(&process).await;
        assert_eq!(process.name(), "web");
    });
}

#[test]
fn a_child_without_a_name_is_called_as_its_program() {
    run(async {
        let process = in_time(Command::new("true").spawn(NoProtocol)).await;
        let process = process.unwrap();
        assert_eq!((process.name(), process.program()), ("true", "true"));
        in_time(process.ended()).await;
    });
    let test = actix_process::testing::TestProcess::new().handle();
    assert_eq!(test.name(), test.program());
}

#[test]
fn the_child_does_not_see_its_name() {
    run(async {
        let script = "tr '\\0' ' ' < /proc/$$/cmdline; cat /proc/$$/comm; env";
        let shell = Command::new("sh").args(["-c", script]).name("nowhere-seen");
        let output = in_time(shell.output().into_future()).await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("sh -c"), "{text}");
        assert!(!text.contains("nowhere-seen"), "{text}");
    });
}

#[test]
fn the_list_has_the_names() {
    run(async {
        let supervisor = ProcessSupervisor::new().start();
        let mut processes = Vec::new();
        for name in [Some("web"), Some("web"), None] {
            let sleep = Command::new("sleep").arg("60");
            let sleep = match name {
                Some(name) => sleep.name(name),
                None => sleep,
            };
            let spawn = Spawn::new(sleep, NoProtocol);
            processes.push(in_time(supervisor.send(spawn)).await.unwrap().unwrap());
        }
        let list = in_time(supervisor.send(List)).await.unwrap();
        let names: Vec<&str> = list.iter().map(|info| info.name.as_str()).collect();
        assert_eq!(names, ["web", "web", "sleep"]);
        let programs = list.iter().all(|info| info.program == "sleep");
        assert!(programs, "{list:?}");
        for process in processes {
            assert!(process.kill());
            in_time(process.ended()).await;
        }
    });
}

#[test]
fn a_name_that_is_none_is_refused_before_anything_is_spawned() {
    run(async {
        let long = "x".repeat(129);
        let long_bytes = "ü".repeat(65);
        for (name, why) in [
            ("", "is empty"),
            (long.as_str(), "is longer than 128 bytes"),
            (&long_bytes, "is longer than 128 bytes"),
            ("two\nlines", "holds what does not print"),
            ("bell\u{7}", "holds what does not print"),
            ("nul\0", "holds what does not print"),
            ("\u{9b}2J", "holds what does not print"),
            ("line\u{2028}separator", "holds what does not print"),
            ("right to \u{202e}left", "holds what does not print"),
        ] {
            // A program that is not there would fail at a later step.
            let error = refusal(Command::new("/no/such").name(name)).await;
            assert_eq!(error.step(), SpawnStep::Invalid, "{name:?}");
            assert_eq!((error.subject(), error.detail()), ("name", why), "{name:?}");
            // What is no name stands in no line of text.
            assert_eq!(error.name(), None);
            assert_eq!(error.to_string(), format!("invalid command: name: {why}"));
        }
        let longest = "x".repeat(128);
        for name in ["a", "web server 1", "ünïcode/7", "it's \"so\"", &longest] {
            let command = Command::new("true").name(name);
            let process = in_time(command.spawn(NoProtocol)).await.unwrap();
            assert_eq!(process.name(), name);
            in_time(process.ended()).await;
        }
    });
}

#[test]
fn errors_of_spawns_and_helpers_begin_with_the_name() {
    run(async {
        for (command, step) in [
            (Command::new("/no/such"), SpawnStep::Exec),
            (Command::new("no-such-program"), SpawnStep::Exec),
            (Command::new(""), SpawnStep::Invalid),
            (Command::new("true").fd(7, Fd::inherit(700)), SpawnStep::Fds),
            (Command::new("true").current_dir("/no/such"), SpawnStep::Cwd),
        ] {
            let unnamed = refusal(command.clone()).await;
            assert_eq!((unnamed.step(), unnamed.name()), (step, None));
            let named = refusal(command.clone().name("web")).await;
            assert_eq!((named.step(), named.name()), (step, Some("web")));
            assert_eq!(named.to_string(), format!("web: {unnamed}"));
            assert_eq!(named.subject(), unnamed.subject());
            assert!(format!("{named:?}").contains("\"web\""), "{named:?}");

            let collected = command.clone().name("web").output();
            let collected = in_time(collected.into_future()).await.unwrap_err();
            assert_eq!(collected.to_string(), named.to_string());
            let CollectError::Spawn(error) = collected else {
                panic!("{collected:?}");
            };
            assert_eq!(error.name(), Some("web"));
        }
    });
}

#[test]
fn errors_of_an_arbiter_that_is_gone_begin_with_the_name() {
    run(async {
        let arbiter = actix::Arbiter::new();
        let gone = arbiter.handle();
        arbiter.stop();
        arbiter.join().unwrap();
        let spawning = Command::new("true").name("web").on(&gone).spawn(NoProtocol);
        let id = spawning.id();
        let error = in_time(spawning).await.unwrap_err();
        assert!(
            error.to_string().starts_with("web: cannot register"),
            "{error}"
        );
        assert_eq!(error.id(), Some(id));
    });
}

#[test]
fn the_number_of_a_child_is_known_before_its_spawn_begins() {
    run(async {
        let (trace, protocol) = Trace::start();
        let command = helper(["exit", "0"]);
        let spawning = command.spawn(&protocol);
        let supervisor = ProcessSupervisor::new().start();
        let spawn = Spawn::new(&command, &protocol);
        let (first, second): (ProcessId, ProcessId) = (spawning.id(), spawn.id());
        assert!(first < second, "{first} {second}");

        let other = in_time(supervisor.send(spawn)).await.unwrap().unwrap();
        let process = in_time(spawning).await.unwrap();
        assert_eq!((process.id(), other.id()), (first, second));
        for process in [process, other] {
            trace.ended(&process).await;
        }
        let told: Vec<ProcessId> = trace.events().into_iter().map(|(id, _)| id).collect();
        assert!(told.iter().all(|id| [first, second].contains(id)));

        let spawning = Command::new("/no/such").spawn(&protocol);
        let id = spawning.id();
        assert!(id > second);
        assert_eq!(in_time(spawning).await.unwrap_err().id(), Some(id));
        let spawn = Spawn::new(Command::new("/no/such"), NoProtocol);
        let id = spawn.id();
        let error = in_time(supervisor.send(spawn)).await.unwrap().unwrap_err();
        assert_eq!(error.id(), Some(id));
    });
}

#[test]
fn a_spawning_keeps_its_number() {
    run(async {
        let mut spawning = Command::new("true").spawn(NoProtocol);
        let id = spawning.id();
        let process = in_time(&mut spawning).await.unwrap();
        assert_eq!((spawning.id(), process.id()), (id, id));
        in_time(process.ended()).await;
    });
}

/// All lines of the log.
static LINES: LazyLock<Mutex<Vec<String>>> = LazyLock::new(Mutex::default);

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LINES.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

#[test]
fn lines_of_the_log_have_the_name() {
    isolated(|| {
        log::set_logger(&Lines).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        System::new().block_on(async {
            let (trace, process) = spawned(Command::new("true").name("web")).await;
            trace.ended(&process).await;
            let spawning = Command::new("/no/such").name("db").spawn(NoProtocol);
            in_time(spawning).await.unwrap_err();
        });
        let lines = LINES.lock().unwrap().clone();
        let of = |name: &str| lines.iter().filter(|line| line.contains(name)).count();
        // Born, connected, exited, ended, and more; and the one that failed.
        assert!(of(", web)") >= 4, "{lines:#?}");
        assert!(
            of("(db) was not spawned: cannot execute") == 1,
            "{lines:#?}"
        );
    });
}
