//! Running the example programs.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;

use nix::unistd::Pid;

use super::DEADLINE;

/// An example, beside this test in the build directory.
pub fn path(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // TARGET/PROFILE/deps/THIS
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let program = profile.join("examples").join(name);
    assert!(
        program.exists(),
        "{} is not there. `cargo test` builds it; with `--test` or `--tests`, run \
         `cargo build --examples` (and the same flags) before",
        program.display()
    );
    program
}

/// The same, as a command with nothing on its standard input.
pub fn example(name: &str) -> Command {
    let mut command = Command::new(path(name));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

/// Runs it to its end; kills it and fails if that does not come.
pub fn finish(command: &mut Command) -> Output {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(child.id().cast_signed());
    let (done, finished) = mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output().unwrap()));
    finished.recv_timeout(DEADLINE).unwrap_or_else(|_| {
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL);
        let seen = finished.recv_timeout(DEADLINE);
        panic!("{command:?} did not end; saw {seen:?}")
    })
}

/// Its standard output and error; fails if it fails.
pub fn run(command: &mut Command) -> (String, String) {
    let output = finish(command);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let status = output.status;
    assert!(status.success(), "{status}:\n{stdout}\n{stderr}");
    (stdout, stderr)
}

/// Its standard error; fails unless it fails.
pub fn run_to_failure(command: &mut Command) -> String {
    let output = finish(command);
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Where each of `lines` is in `text`; fails if one is not there exactly once.
pub fn places<const N: usize>(text: &str, lines: [&str; N]) -> [usize; N] {
    lines.map(|line| {
        let found: Vec<usize> = text
            .lines()
            .enumerate()
            .filter(|(_, has)| *has == line)
            .map(|(place, _)| place)
            .collect();
        assert_eq!(found.len(), 1, "{line:?} in\n{text}");
        found[0]
    })
}
