//! What the compiler refuses, with which words of ours; and which types may cross threads.
//!
//! The words around ours are the compiler's, and change with its releases: nothing holds them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use actix_process::supervisor::{List, ProcessInfo, ProcessState, Shutdown, ShutdownReport};
use actix_process::testing::{Recorded, TestProcess};
use actix_process::{
    CloseReason, Collect, CollectError, Collecting, Command, ExitStatus, Fd, FdMap, FromProcess,
    NoProtocol, OnOrphaned, Output, ProcessEvent, ProcessHandle, ProcessId, ProcessSupervisor,
    Protocol, Rusage, Signal, SignalError, Spawn, SpawnError, SpawnStep, Spawning, Tail,
    TerminalModes, TerminalModesError, WriteError,
};

/// What `diagnostic::on_unimplemented` says at `IntoProtocol`.
const LABEL: &str = "not a protocol";
const WORDS: [&str; 4] = [
    "cannot receive process events",
    LABEL,
    "implement `ProcessProtocol` for the actor and add `process_protocol!(YourActor);`, or \
     implement `Handler<FromProcess>` yourself",
    "an actor in a `SyncContext` cannot be a protocol: its threads would break the order of events",
];

/// The libraries of this name beside this test program, the last built first.
fn libraries(name: &str) -> Vec<PathBuf> {
    let program = std::env::current_exe().unwrap();
    let deps = program.parent().unwrap();
    let of_that_name = |path: &PathBuf| {
        let file = path.file_name().unwrap().to_str();
        let rest = file.and_then(|file| file.strip_prefix(&format!("lib{name}-")));
        rest.is_some_and(|rest| rest.ends_with(".rlib"))
    };
    let entries = fs::read_dir(deps).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = paths.filter(of_that_name).collect();
    found.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    found.reverse();
    assert!(!found.is_empty(), "no lib{name} in {}", deps.display());
    found
}

/// The compiler that built this test, and the libraries that it is given.
struct Compiler {
    actix_process: PathBuf,
    actix: PathBuf,
    scratch: tempfile::TempDir,
}

impl Compiler {
    /// With the actix that our library was built with, which the program that is right shows.
    fn new() -> Self {
        let mut said = String::new();
        for actix in libraries("actix") {
            let compiler = Self {
                actix_process: libraries("actix_process").swap_remove(0),
                actix,
                scratch: tempfile::tempdir().unwrap(),
            };
            match compiler.compile("right.rs") {
                Ok(()) => return compiler,
                Err(errors) => said.push_str(&errors),
            }
        }
        panic!("a program that is right does not compile:\n{said}");
    }

    /// Checks a program of `tests/docs/ui`: what the compiler says when it refuses it.
    fn compile(&self, program: &str) -> Result<(), String> {
        let library = |name, path: &Path| format!("{name}={}", path.display());
        let deps = self.actix_process.parent().unwrap();
        let output = process::Command::new(Path::new(env!("CARGO")).with_file_name("rustc"))
            .args(["--edition=2024", "--crate-type=bin", "--emit=metadata"])
            .arg("--out-dir")
            .arg(self.scratch.path())
            .args(["--extern", &library("actix_process", &self.actix_process)])
            .args(["--extern", &library("actix", &self.actix)])
            .args(["-L", &library("dependency", deps)])
            .arg(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("tests/docs/ui")
                    .join(program),
            )
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        if output.status.success() {
            Ok(())
        } else {
            Err(said)
        }
    }

    /// Holds that `program` is refused for so many mistakes, with our words.
    fn assert_refused(&self, program: &str, mistakes: usize) {
        let said = self.compile(program).expect_err(program);
        for words in WORDS {
            assert!(said.contains(words), "{words:?} is not in:\n{said}");
        }
        assert_eq!(said.matches(LABEL).count(), mistakes, "{said}");
    }
}

#[test]
fn mistakes_are_refused_with_words_that_help() {
    let compiler = Compiler::new();
    compiler.assert_refused("forgotten_process_protocol.rs", 2);
    compiler.assert_refused("sync_context.rs", 1);
}

#[test]
fn types_cross_threads() {
    const fn owned<T: Send + 'static>() {}
    const fn shared<T: Send + Sync + 'static>() {}
    const fn held<T: Send + 'static>(_: &T) {}

    owned::<Collecting<Output>>();
    owned::<Spawning>();
    owned::<actix::Addr<ProcessSupervisor>>();
    shared::<CloseReason>();
    shared::<Collect<Output>>();
    shared::<CollectError>();
    shared::<Command>();
    shared::<ExitStatus>();
    shared::<Fd>();
    shared::<FdMap>();
    shared::<List>();
    shared::<NoProtocol>();
    shared::<OnOrphaned>();
    shared::<Output>();
    shared::<ProcessEvent>();
    shared::<ProcessHandle>();
    shared::<ProcessId>();
    shared::<ProcessInfo>();
    shared::<ProcessState>();
    shared::<Recorded>();
    shared::<Rusage>();
    shared::<Tail>();
    shared::<Shutdown>();
    shared::<ShutdownReport>();
    shared::<Signal>();
    shared::<SignalError>();
    shared::<SpawnError>();
    shared::<SpawnStep>();
    shared::<TerminalModes>();
    shared::<TerminalModesError>();
    shared::<TestProcess>();
    shared::<WriteError>();
    owned::<FromProcess>();
    owned::<Protocol>();
    owned::<Spawn>();

    // The futures of a handle outlive it.
    let process = TestProcess::new().handle();
    let (exited, ended) = (process.exited(), process.ended());
    let no_echo = |modes: &TerminalModes| !modes.echo;
    let waited = process.wait_for_terminal_modes(no_echo, std::time::Duration::ZERO);
    drop(process);
    held(&exited);
    held(&ended);
    held(&waited);
}
