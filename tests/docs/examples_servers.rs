//! Runs the examples that talk with real servers on standard input and output: `pylsp`, `mcp-server-time`.

use crate::common;

use std::path::{Path, PathBuf};

use common::census::is_gone;
use common::example::{example, path, run, run_to_failure};
use common::isolated::skipped;
use common::{eventually, run as run_async, write_executable};

/// The server, from the environment that `.ci/run` makes in the target directory, or from PATH.
fn server(name: &str) -> Option<PathBuf> {
    let example = path("lsp");
    let in_target = example.ancestors().map(|dir| dir.join("venv/bin"));
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
fn wrapped(server: &Path, dir: &Path) -> PathBuf {
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
fn assert_gone(dir: &Path) {
    let pid = std::fs::read_to_string(dir.join("pid")).unwrap();
    let pid: i32 = pid.trim().parse().unwrap();
    run_async(eventually(
        "the server's end",
        || is_gone(pid).then_some(()),
        || format!("{pid} alive"),
    ));
}

#[test]
fn lsp_hovers_and_completes() {
    let Some(pylsp) = server("pylsp") else { return };
    let (printed, said) = run(example("lsp").arg(pylsp));
    let expected = "the server: \"pylsp\"\nhover: Return the square root of x.\n\
                    completion: \"sqrt(x)\"\nthe end: exit status: 0\n";
    assert_eq!(printed, expected);
    assert_eq!(said, "");
}

#[test]
fn lsp_goes_on_after_a_line_of_a_log_and_reaches_a_server_behind_a_wrapper() {
    let Some(pylsp) = server("pylsp") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (printed, said) = run(example("lsp").arg(wrapped(&pylsp, dir.path())));
    assert!(
        printed.contains("hover: Return the square root of x.\n"),
        "{printed}"
    );
    let expected = "the server: noise in place of a header: INFO: warming up\\n\n";
    assert_eq!(said, expected);
    assert_gone(dir.path());
}

#[test]
fn lsp_tells_the_signal_that_killed_the_server_in_mid_request() {
    let Some(pylsp) = server("pylsp") else { return };
    let dir = tempfile::tempdir().unwrap();
    let wrapper = wrapped(&pylsp, dir.path());
    let said = run_to_failure(example("lsp").arg(wrapper).arg("--kill"));
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("`"), "{said}");
    assert!(
        last.contains("/wrapper` was killed by SIGKILL: no token found"),
        "{said}"
    );
    assert_gone(dir.path());
}

#[test]
fn mcp_lists_tools_and_calls_one() {
    let Some(time) = server("mcp-server-time") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (printed, said) = run(example("mcp").arg(wrapped(&time, dir.path())));
    assert!(
        printed.starts_with("tool: get_current_time\ntool: convert_time\n"),
        "{printed}"
    );
    assert!(printed.contains("T21:30:00+09:00"), "{printed}");
    assert!(
        printed.ends_with("the end: exit status: 0, by Eof\n"),
        "{printed}"
    );
    assert_eq!(said, "");
    assert_gone(dir.path());
}

#[test]
fn mcp_tells_the_signal_that_killed_the_server_in_mid_request() {
    let Some(time) = server("mcp-server-time") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let wrapper = wrapped(&time, dir.path());
    let said = run_to_failure(example("mcp").arg(wrapper).arg("--kill"));
    assert!(said.starts_with("Transport closed: `"), "{said}");
    assert!(said.contains("/wrapper` was killed by SIGKILL: "), "{said}");
    assert!(said.contains("no token found"), "{said}");
    assert_gone(dir.path());
}

#[test]
fn both_tell_of_a_server_that_ends_or_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let fails = dir.path().join("fails");
    write_executable(&fails, "#!/bin/sh\necho 'no such database' >&2\nexit 3\n");
    let gone = "/fails` exited with code 3: no such database\n";
    for name in ["lsp", "mcp"] {
        let said = run_to_failure(example(name).arg(&fails));
        assert!(said.ends_with(gone), "{name}: {said}");
        let said = run_to_failure(example(name).arg("/no/such/server"));
        assert!(
            said.starts_with("cannot execute: /no/such/server: "),
            "{name}: {said}"
        );
    }
}
