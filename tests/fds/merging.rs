//! Standard error merged with standard output, in the order of the child.

use crate::common;

use actix_process::{Collect, Command, Fd, Output, PtySize};
use common::helper::helper;
use common::run;

async fn stdout(collect: Collect<Output>) -> String {
    let output = collect.await.unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Writes its lines in turn to standard output and standard error.
fn alternating() -> Command {
    let script = "n=0; while [ $n -lt 200 ]; do echo out $n; echo err $n >&2; n=$((n+1)); done";
    Command::new("sh").args(["-c", script])
}

fn in_order() -> String {
    let both = |n| format!("out {n}\nerr {n}\n");
    (0..200).map(both).collect()
}

#[test]
fn merged_lines_come_in_the_order_in_which_the_child_wrote_them() {
    run(async {
        for _ in 0..10 {
            assert_eq!(
                stdout(alternating().output().merge_stderr()).await,
                in_order()
            );
        }
        assert_eq!(
            stdout(alternating().read().merge_stderr()).await,
            in_order()
        );
    });
}

#[test]
fn merged_descriptors_are_one_pipe() {
    run(async {
        let child = helper(["link", "1", "1", "link", "2", "2"]);
        let text = stdout(child.output().merge_stderr()).await;
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("pipe:"), "{text}");
        assert_eq!(lines[0], lines[1], "{text}");
    });
}

#[test]
fn merging_follows_standard_output_wherever_the_command_sends_it() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file = std::fs::File::create(&path).unwrap();
        let child = alternating().stdout(Fd::from(file));
        assert_eq!(stdout(child.output().merge_stderr()).await, "");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), in_order());
        // As `2>&1` after `2>/dev/null`.
        let child = alternating().stderr(Fd::null());
        assert_eq!(stdout(child.output().merge_stderr()).await, in_order());
        let child = alternating().stdout(Fd::stream()).stderr(Fd::stream());
        assert_eq!(stdout(child.output().merge_stderr()).await, in_order());
        let child = alternating().pty(PtySize::new(24, 80)).stderr(Fd::read());
        let terminals = in_order().replace('\n', "\r\n");
        assert_eq!(stdout(child.output().merge_stderr()).await, terminals);
    });
}

#[test]
fn without_a_standard_output_merged_standard_error_is_all_there_is() {
    run(async {
        let child = helper(["tell", "2", "err"]).fds([(2, Fd::read())].into());
        assert_eq!(stdout(child.output().merge_stderr()).await, "err\n");
    });
}

#[test]
fn one_pipe_for_both_is_standard_output_whatever_its_number() {
    run(async {
        let one = |n| Fd::same_as(n);
        for child in [
            alternating().stderr(one(1)),
            alternating().stdout(one(2)),
            alternating()
                .stdout(one(7))
                .stderr(one(7))
                .fd(7, Fd::read()),
        ] {
            assert_eq!(stdout(child.output()).await, in_order());
            assert_eq!(stdout(child.read()).await, in_order());
            assert_eq!(stdout(child.output().merge_stderr()).await, in_order());
            assert!(child.status().await.unwrap().success());
        }
    });
}
