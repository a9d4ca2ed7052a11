//! The servers that examples talk with on standard input and output: `pylsp`, `mcp-server-time`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::census::is_gone;
use super::example::run_to_failure;
use super::isolated::skipped;
use super::{eventually, run, write_executable};

/// The server, from the environment that `.ci/run` makes in the target directory, or from PATH.
pub fn server(name: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let in_target = test.ancestors().map(|dir| dir.join("venv/bin"));
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let found = in_target
        .chain(std::env::split_paths(&in_path))
        .map(|dir| dir.join(name))
        .find(|program| program.exists());
    if found.is_none() {
        skipped(&format!("there is no {name}: .ci/run installs it"));
    }
    found
}

/// A program in `dir` that says something on both its outputs, and has the server as its own child, as npx and uvx do.
pub fn wrapped(server: &Path, dir: &Path) -> PathBuf {
    let wrapper = dir.join("wrapper");
    let script = format!(
        "#!/bin/sh\nprintf 'INFO: warming up\\n' >&{}\necho 'no token found' >&2\nexec 3<&0\n\
         sh -c 'echo $$ >{}; exec {} \"$@\"' sh \"$@\" <&3 &\nwait $!\n",
        // A client of MCP may end at a line that is no JSON; the example of LSP goes on.
        if server.ends_with("pylsp") { 1 } else { 2 },
        dir.join("pid").display(),
        server.display(),
    );
    write_executable(&wrapper, &script);
    wrapper
}

/// That the server behind the wrapper is gone.
pub fn assert_gone(dir: &Path) {
    let pid = std::fs::read_to_string(dir.join("pid")).unwrap();
    let pid: i32 = pid.trim().parse().unwrap();
    run(eventually(
        "the server's end",
        || is_gone(pid).then_some(()),
        || format!("{pid} alive"),
    ));
}

/// That a client, which `client` makes, tells of a server that ends and of one that is not there.
pub fn assert_tells_of_no_server(client: impl Fn() -> Command) {
    let dir = tempfile::tempdir().unwrap();
    let fails = dir.path().join("fails");
    write_executable(&fails, "#!/bin/sh\necho 'no such database' >&2\nexit 3\n");
    let gone = "/fails` exited with code 3: no such database\n";
    let said = run_to_failure(client().arg(&fails));
    assert!(said.ends_with(gone), "{said}");
    let said = run_to_failure(client().arg("/no/such/server"));
    let start = "cannot execute: /no/such/server: ";
    assert!(said.starts_with(start), "{said}");
}
