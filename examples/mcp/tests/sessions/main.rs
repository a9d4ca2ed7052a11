//! Runs the example, which talks with a real server on standard input and output: `mcp-server-time`.

mod common;

use std::process::Command;

use common::example::{program, run, run_to_failure};
use common::servers::{assert_gone, assert_tells_of_no_server, server, wrapped};

fn mcp() -> Command {
    program(env!("CARGO_BIN_EXE_mcp"))
}

#[test]
fn lists_tools_and_calls_one() {
    let Some(time) = server("mcp-server-time") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (printed, said) = run(mcp().arg(wrapped(&time, dir.path())));
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
fn tells_the_signal_that_killed_the_server_in_mid_request() {
    let Some(time) = server("mcp-server-time") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let wrapper = wrapped(&time, dir.path());
    let said = run_to_failure(mcp().arg(wrapper).arg("--kill"));
    assert!(said.starts_with("Transport closed: `"), "{said}");
    assert!(said.contains("/wrapper` was killed by SIGKILL: "), "{said}");
    assert!(said.contains("no token found"), "{said}");
    assert_gone(dir.path());
}

#[test]
fn tells_of_a_server_that_ends_or_is_not_there() {
    assert_tells_of_no_server(mcp);
}
