//! Arguments, values of the environment, PATH and what is written are in no line of the log, no
//! error's text and no `Debug`; and a program's name forges no line.

use crate::common;

use std::fmt::{Debug, Display};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use actix_process::supervisor::{List, Shutdown};
use actix_process::{
    Bytes, CollectError, Command, Fd, Ladder, NoProtocol, OnOrphaned, ProcessHandle,
    ProcessProtocol, ProcessSupervisor, Pty, Spawn, SpawnError, SpawnStep, process_protocol,
};
use common::isolated::isolated;
use common::limits::is_root;
use common::trace::Trace;
use common::{eventually, in_time, write_executable};
use futures::StreamExt;
use nix::libc;
use tokio_util::codec::LinesCodec;

const ARGUMENT: &str = "sentinel-argument";
const VALUE: &str = "sentinel-value";
const INPUT: &str = "sentinel-input";
const PATH: &str = "/sentinel-path";

/// All that was shown to anybody, and what it was.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<(&'static str, String)>>>);

impl Shown {
    fn push(&self, what: &'static str, text: String) {
        self.0.lock().unwrap().push((what, text));
    }

    fn debug(&self, what: &'static str, value: impl Debug) {
        self.push(what, format!("{value:?}"));
        self.push(what, format!("{value:#?}").split_whitespace().collect());
    }

    fn error(&self, what: &'static str, error: &(impl Debug + Display)) {
        self.debug(what, error);
        self.push(what, error.to_string());
    }

    fn has_line(&self, part: &str) -> bool {
        let all = self.0.lock().unwrap();
        all.iter()
            .any(|(what, text)| *what == LOG && text.contains(part))
    }

    fn assert_clean(&self) {
        for (what, text) in &*self.0.lock().unwrap() {
            for secret in [ARGUMENT, VALUE, INPUT, PATH] {
                let as_numbers = format!("{:?}", secret.as_bytes());
                let as_numbers = as_numbers.trim_matches(['[', ']']);
                let squeezed = as_numbers.replace(' ', "");
                for secret in [secret, as_numbers, &squeezed] {
                    assert!(!text.contains(secret), "{what}: {text}");
                }
            }
            assert!(!text.contains(char::is_control), "{what}: {text:?}");
        }
    }
}

const LOG: &str = "a line of the log";

impl log::Log for Shown {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        self.push(LOG, record.args().to_string());
    }
    fn flush(&self) {}
}

/// Runs with every line of the log shown, in a process of its own.
fn shown(body: impl AsyncFnOnce(&Shown)) {
    isolated(|| {
        let shown = Shown::default();
        log::set_boxed_logger(Box::new(shown.clone())).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        System::new().block_on(in_time(body(&shown)));
        shown.assert_clean();
    });
}

/// With all the secrets that a command can have.
fn secretive(command: Command) -> Command {
    command
        .arg(ARGUMENT)
        .env("NAME", VALUE)
        .env("PATH", format!("{PATH}:/usr/bin:/bin"))
}

fn cat() -> Command {
    secretive(Command::new("sh").arg0(ARGUMENT).args(["-c", "cat"]))
}

#[test]
fn a_stream_that_a_decoder_gave_back_shows_no_secret() {
    shown(async |shown| {
        let command = cat().stdout(Fd::stream());
        let process = command.spawn(NoProtocol).await.unwrap();
        process.write(format!("one line\n{INPUT}")).unwrap();
        process.close_stdin();
        in_time(process.exited()).await;
        let mut lines = process.stdout().unwrap().lines(1000);
        let line = in_time(lines.next()).await.unwrap().unwrap();
        assert_eq!(line, "one line");
        shown.debug("a stream with what was put back", lines.into_inner());
    });
}

#[test]
fn what_is_spawned_shows_no_secret() {
    shown(async |shown| {
        let (trace, protocol) = Trace::start();
        let command = cat().stderr(Fd::stream()).fd(3, Fd::stream());
        shown.debug("a command", &command);
        shown.debug("a spawn", Spawn::new(command.clone(), NoProtocol));
        let spawning = command.spawn(&protocol);
        shown.debug("a spawning", &spawning);
        let process = spawning.await.unwrap();
        shown.debug("a handle", &process);
        shown.debug("a sink", process.stdin().unwrap());
        shown.debug(
            "an encoded",
            process.stdin().unwrap().encode(LinesCodec::new()),
        );
        shown.debug("a stream", process.take_stream(2).unwrap());
        shown.debug("a decoded", process.take_stream(3).unwrap().lines(100));
        process.write(INPUT).unwrap();
        let supervisor = ProcessSupervisor::current().unwrap();
        shown.debug("a list", supervisor.send(List).await.unwrap());
        process.close_stdin();
        assert_eq!(trace.ended(&process).await.text(1), INPUT);
        for line in [
            "is born",
            "is connected",
            "fd 1: read",
            "fd 0: wrote",
            "exited",
        ] {
            assert!(shown.has_line(line), "{line}");
        }
        let pid = format!("(pid {}, sh)", process.spawned_pid());
        assert!(shown.has_line(&pid), "{pid}");
    });
}

#[test]
fn a_decoder_that_waits_for_more_shows_nothing_of_what_it_has() {
    shown(async |shown| {
        let process = cat().stdout(Fd::stream()).spawn(NoProtocol).await.unwrap();
        let mut lines = process.take_stream(1).unwrap().lines(1000);
        process.write(format!("one\n{INPUT}")).unwrap();
        let next = StreamExt::next(&mut lines);
        assert_eq!(next.await.unwrap().unwrap(), "one");
        shown.debug("a decoded", &lines);
        assert!(process.kill());
    });
}

#[test]
fn a_spawn_that_fails_shows_no_secret_whatever_the_step() {
    shown(async |shown| {
        let dir = tempfile::tempdir().unwrap();
        write_executable(&dir.path().join("script"), "#!/no/such\n");
        std::fs::write(dir.path().join("plain"), "").unwrap();
        let at = |name: &str| secretive(Command::new(dir.path().join(name)));
        let good = || secretive(Command::new("true"));
        let pipe = || OwnedFd::from(std::io::pipe().unwrap().0);
        for (step, command) in [
            (SpawnStep::Invalid, good().arg(format!("{ARGUMENT}\0"))),
            (SpawnStep::Invalid, good().env("NAME", format!("{VALUE}\0"))),
            (SpawnStep::Invalid, good().env(format!("NAME={VALUE}"), "")),
            (SpawnStep::Invalid, secretive(Command::new("true\0"))),
            (SpawnStep::Fds, good().fd(3, Fd::inherit(700))),
            (SpawnStep::Fds, good().fd(i32::MAX, Fd::read())),
            (SpawnStep::Pty, good().pty(Pty::from_ends(pipe(), pipe()))),
            (SpawnStep::Identity, good().process_group(i32::MAX)),
            (SpawnStep::Identity, good().user("no such\nuser")),
            (SpawnStep::Limits, good().cgroup(pipe())),
            (SpawnStep::Cwd, good().current_dir("/no/such\ndir")),
            (SpawnStep::Exec, secretive(Command::new("mis\nsing"))),
            (SpawnStep::Exec, at("missing")),
            (SpawnStep::Exec, at("script")),
            (SpawnStep::Exec, at("plain")),
            (SpawnStep::Exec, good().arg(ARGUMENT.repeat(20_000))),
            (SpawnStep::Exec, good().env("NAME", VALUE.repeat(20_000))),
            (
                SpawnStep::Exec,
                secretive(Command::new("true")).env("PATH", PATH),
            ),
        ] {
            let error = command.spawn(NoProtocol).await.unwrap_err();
            assert_eq!(error.step(), step, "{error}");
            shown.error("an error", &error);
            shown.error("an I/O error", &std::io::Error::from(error));
            let collected = command.output().input(INPUT).await.unwrap_err();
            shown.error("an error of collecting", &collected);
        }
        let supervisor = ProcessSupervisor::current().unwrap();
        let missing = secretive(Command::new("missing\nERROR forged"));
        supervisor.do_send(Spawn::new(missing, NoProtocol));
        let logged = || shown.has_line("nobody waits").then_some(());
        eventually("a warning", logged, || "none".to_owned()).await;
        in_time(supervisor.send(Shutdown {
            grace: Duration::ZERO,
        }))
        .await
        .unwrap();
        let error: SpawnError = good().spawn(NoProtocol).await.unwrap_err();
        assert_eq!(error.step(), SpawnStep::Register, "{error}");
        shown.error("an error", &error);
    });
}

#[test]
fn what_is_collected_shows_no_secret() {
    shown(async |shown| {
        let collect = cat().output().input(INPUT);
        shown.debug("a collect", &collect);
        let collecting = collect.clone().into_future();
        shown.debug("a collecting", &collecting);
        assert_eq!(collecting.await.unwrap().stdout, INPUT.as_bytes());
        // It echoes, and lives on.
        let stays = secretive(
            Command::new("sh").args(["-c", "cat; cat /proc/self/environ; exec sleep 60"]),
        );
        let stays = stays
            .output()
            .input(INPUT)
            .timeout(Duration::from_millis(300));
        let error = stays.await.unwrap_err();
        assert!(matches!(error, CollectError::TimedOut(_)));
        shown.error("a timeout", &error);
    });
}

struct Short;

impl Actor for Short {
    type Context = Context<Self>;
}

impl ProcessProtocol for Short {
    fn out_received(&mut self, _: &ProcessHandle, _: Bytes, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
process_protocol!(Short);

#[test]
fn the_end_of_a_child_shows_no_secret_and_its_name_forges_no_line() {
    shown(async |shown| {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("name\nERROR forged\u{1b}[2J");
        common::copy_of_this_program(&name);
        let evil = |actions: &[&str]| {
            let command = Command::new(&name).arg("@helper").args(actions);
            command.env("NAME", VALUE).env("PATH", PATH)
        };
        let (trace, protocol) = Trace::start();
        let deaf = evil(&["ignore", "15", "say", "ready", "pause", ARGUMENT]);
        let process = deaf.spawn(&protocol).await.unwrap();
        trace.output(&process, 1, "ready\n").await;
        shown.debug("a handle", &process);
        assert!(process.terminate(Duration::from_millis(10)));
        trace.ended(&process).await;

        let orphan = evil(&["say", "ready", "pause", ARGUMENT]);
        let orphan = orphan.on_orphaned(OnOrphaned::Kill);
        let process = orphan.spawn(Short.start()).await.unwrap();
        in_time(process.exited()).await;

        let cut = evil(&["hold", "exit", "0", ARGUMENT]).ended_timeout(Duration::from_millis(10));
        let process = cut.spawn(&protocol).await.unwrap();
        trace.ended(&process).await;
        // The child stays root, and this process becomes nobody, with all its threads.
        let is_root = is_root();
        if is_root {
            let process = evil(&["say", "ready", "drain", "0", ARGUMENT]);
            let process = process.spawn(&protocol).await.unwrap();
            trace.output(&process, 1, "ready\n").await;
            // SAFETY: integers.
            assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
            let stopped = process.stop(Ladder::new().term(Duration::ZERO).kill());
            in_time(stopped).await.unwrap_err();
            process.close_stdin();
            trace.ended(&process).await;
        }
        let lives_on = is_root.then_some("lives on");
        let lines = ["did not end in time", "is orphaned", "they are cut"];
        for line in lines.into_iter().chain(lives_on) {
            assert!(shown.has_line(line), "{line}");
        }
        assert!(shown.has_line("name\\nERROR forged\\u{1b}[2J"));
    });
}
