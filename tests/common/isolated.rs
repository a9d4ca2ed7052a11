//! Tests that need a process for themselves.

use std::process::Command;

/// Marks the process that runs one test alone.
const MARK: &str = "ACTIX_PROCESS_ISOLATED";

/// Runs `body` in a fresh process that runs nothing but the test `name` (its path inside the test
/// binary); fails with its output.
pub fn isolated(name: &str, body: impl FnOnce()) {
    isolated_with(name, |_| {}, body);
}

/// The same, with changes to how that process is started.
pub fn isolated_with(name: &str, change: impl FnOnce(&mut Command), body: impl FnOnce()) {
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1");
    change(&mut command);
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
}
