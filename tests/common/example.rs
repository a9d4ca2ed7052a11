//! Running the example programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{OnceLock, mpsc};

use nix::unistd::Pid;

use super::DEADLINE;

/// An example, beside this test in the build directory. `cargo test` has built all of them; where only some tests were
/// asked for, and there are none yet, they are built here.
pub fn path(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    let test = std::env::current_exe().unwrap();
    // TARGET/PROFILE/deps/THIS
    let profile = test.parent().and_then(Path::parent).unwrap();
    let program = profile.join("examples").join(name);
    if !program.exists() {
        BUILT.get_or_init(|| build(profile));
    }
    assert!(
        program.exists(),
        "{} is not there: run `cargo build --examples` with the flags of this test",
        program.display()
    );
    program
}

/// Builds the examples into `TARGET/PROFILE`.
fn build(profile: &Path) {
    let name = match profile.file_name().and_then(OsStr::to_str) {
        Some("debug") => "dev",
        Some(name) => name,
        None => panic!("{} is no build directory", profile.display()),
    };
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--examples", "--profile", name])
        .arg("--target-dir")
        .arg(profile.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(status.unwrap().success(), "the examples do not build");
}

/// The same, as a command with nothing on its standard input.
pub fn example(name: &str) -> Command {
    program(path(name))
}

/// The same of any program.
pub fn program(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(path);
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
