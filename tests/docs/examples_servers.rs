//! Runs the example that talks with a real server on standard input and output: `pylsp`. The crate of the example `mcp` has the
//! tests of that one.

use crate::common;

use std::sync::{Mutex, MutexGuard, PoisonError};

use common::example::{example, run, run_to_failure};
use common::servers::{assert_gone, assert_tells_of_no_server, server, wrapped};

/// One pylsp at a time: they write one cache, and one that reads what another has half written completes nothing.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn lsp_hovers_and_completes() {
    let Some(pylsp) = server("pylsp") else { return };
    let _alone = alone();
    let (printed, said) = run(example("lsp").arg(pylsp));
    let expected = "the server: \"pylsp\"\nhover: Return the square root of x.\n\
                    completion: \"sqrt(x)\"\nthe end: exit status: 0\n";
    assert_eq!(printed, expected);
    assert_eq!(said, "");
}

#[test]
fn lsp_goes_on_after_a_line_of_a_log_and_reaches_a_server_behind_a_wrapper() {
    let Some(pylsp) = server("pylsp") else { return };
    let _alone = alone();
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
    let _alone = alone();
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
fn lsp_tells_of_a_server_that_ends_or_is_not_there() {
    assert_tells_of_no_server(|| example("lsp"));
}
