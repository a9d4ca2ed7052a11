//! Tests that need a process for themselves.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Command;

/// Marks the process that runs one test alone.
pub const MARK: &str = "ACTIX_PROCESS_ISOLATED";

/// Between the name of a test and the reason why it is not run.
const SKIPPED: &str = ": skipped: ";

/// Tells why the rest of a test is not run, past the harness, which hides what a test prints.
pub fn skipped(why: &str) {
    let _ = writeln!(io::stderr(), "{}{SKIPPED}{why}", this_test());
}

/// Whether this is root; tells that the test is skipped if not.
pub fn may_change_ids() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skipped("only root may change ids");
    }
    root
}

/// The name of the test that this thread runs: its path inside the test program.
pub fn this_test() -> String {
    let thread = std::thread::current();
    thread.name().unwrap_or_default().to_owned()
}

/// Whether this is a process that runs one test alone.
pub fn is_isolated() -> bool {
    std::env::var_os(MARK).is_some()
}

/// The name of another test of the same module.
pub fn test_beside(name: &str) -> String {
    let test = this_test();
    let module = test.rsplit_once("::").map(|(module, _)| module);
    module.map_or_else(|| name.to_owned(), |module| format!("{module}::{name}"))
}

/// Runs `body` in a fresh process that runs nothing but this test; fails with its output.
pub fn isolated(body: impl FnOnce()) {
    isolated_with(|_| {}, body);
}

/// The same, with changes to how that process is started.
pub fn isolated_with(change: impl FnOnce(&mut Command), body: impl FnOnce()) {
    isolated_from(std::env::current_exe, change, body);
}

/// The same, from a copy of this program: `copy` makes it, and is not called in the new process.
pub fn isolated_from(
    copy: impl FnOnce() -> io::Result<PathBuf>,
    change: impl FnOnce(&mut Command),
    body: impl FnOnce(),
) {
    if is_isolated() {
        return body();
    }
    let mut command = Command::new(copy().unwrap());
    command
        .args([&this_test(), "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1");
    change(&mut command);
    passes(command);
}

/// Runs the test of this thread by this command, and tells why it is skipped if it is.
fn passes(mut command: Command) {
    let name = this_test();
    let output = command.output().unwrap();
    let text = format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{}:\n{text}", output.status);
    assert!(
        text.contains("1 passed"),
        "no test is named {name}:\n{text}"
    );
    for (_, why) in text.lines().filter_map(|line| line.split_once(SKIPPED)) {
        let _ = writeln!(io::stderr(), "{name}{SKIPPED}{why}");
    }
}
