//! Runs the examples that drive real tools: gpg, a pipeline, tar.

use crate::common;

use std::path::Path;

use actix_process::{Command, PtySize};
use common::example::{example, path, places, run, run_to_failure};
use common::trace::spawned;

const TEXT: &str = "the text: The spare key is under the blue flower pot.";

/// Command lines, of all processes, with `word` in them.
fn processes_with(word: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|entry| std::fs::read(entry.unwrap().path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(word))
        .collect()
}

/// That nothing is left in the directory for temporary files, and nobody who works there.
fn assert_nothing_left(tmp: &Path) {
    let left: Vec<_> = std::fs::read_dir(tmp).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    // It is in the command line of an agent that was started for a home in there.
    let left = processes_with(tmp.to_str().unwrap());
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn gpg_reads_its_message() {
    let tmp = tempfile::tempdir().unwrap();
    let (printed, said) = run(example("gpg").env("TMPDIR", tmp.path()));
    let [encrypted, begun, okay, text] = places(
        &printed,
        [
            "gpg says: END_ENCRYPTION",
            "gpg says: BEGIN_DECRYPTION",
            "gpg says: DECRYPTION_OKAY",
            TEXT,
        ],
    );
    assert!(
        encrypted < begun && begun < okay && okay < text,
        "{printed}"
    );
    assert!(!said.to_lowercase().contains("warning"), "{said}");
    assert_nothing_left(tmp.path());
}

#[test]
fn gpg_says_that_the_passphrase_is_wrong() {
    let tmp = tempfile::tempdir().unwrap();
    let said = run_to_failure(example("gpg").arg("wrong").env("TMPDIR", tmp.path()));
    let last = said.lines().last();
    let expected = "reading the message: wrong passphrase, or a damaged message";
    assert_eq!(last, Some(expected), "{said}");
    assert!(!said.contains(TEXT), "{said}");
    assert_nothing_left(tmp.path());
}

#[test]
fn gpg_says_at_which_step_there_was_no_gpg() {
    let empty = tempfile::tempdir().unwrap();
    let said = run_to_failure(example("gpg").env("PATH", empty.path()));
    assert!(
        said.starts_with("making the message: cannot execute: gpg: "),
        "{said}"
    );
}

#[test]
fn pipeline_joins_three_and_tells_of_each_end() {
    let (printed, told) = run(&mut example("pipeline"));
    let counted: Vec<&str> = printed.split_whitespace().collect();
    assert_eq!(counted, ["1000", "1000", "2000"]);
    places(
        &told,
        [
            "yes: signal: 13 (SIGPIPE)",
            "head: exit status: 0",
            "wc: exit status: 0",
        ],
    );
    assert_eq!(told.lines().count(), 3, "{told}");
}

#[test]
fn pipeline_takes_other_programs_and_the_last_one_decides() {
    let words = [
        "sh",
        "-c",
        "echo b; echo a; exit 3",
        "|",
        "sort",
        "|",
        "cat",
    ];
    let (printed, told) = run(example("pipeline").args(words));
    assert_eq!(printed, "a\nb\n");
    places(&told, ["sh: exit status: 3", "sort: exit status: 0"]);

    let told = run_to_failure(example("pipeline").args(["true", "|", "false"]));
    places(&told, ["true: exit status: 0", "false: exit status: 1"]);
}

#[test]
fn pipeline_says_which_program_is_missing() {
    // The one before it would run for ever.
    let words = ["yes", "|", "/no/such/program", "|", "wc"];
    let told = run_to_failure(example("pipeline").args(words));
    assert!(
        told.starts_with("cannot execute: /no/such/program"),
        "{told}"
    );
    let told = run_to_failure(example("pipeline").args(["yes", "|"]));
    assert!(told.starts_with("there is no command"), "{told}");
}

#[test]
fn progress_writes_the_archive_that_tar_announced() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("src.tar");
    let (printed, said) = run(example("progress").arg("src").arg(&archive));
    let size = std::fs::metadata(&archive).unwrap().len();
    assert!(size > 100_000, "{size}");
    assert_eq!(printed, format!("{}: {size} bytes\n", archive.display()));
    // No terminal, no bar.
    assert_eq!(said, "");
    let mut list = std::process::Command::new("tar");
    let (names, _) = run(list.arg("-tf").arg(&archive));
    places(&names, ["./lib.rs", "./sys/tty.rs"]);
}

/// A tar that writes its lines when a key is pressed.
const SLOW_TAR: &str = r#"#!/bin/sh
case "$*" in *--totals*)
    echo "Total bytes written: 102400 (100KiB, 1GiB/s)" >&2
    exit;;
esac
echo "tar: Write checkpoint 5" >&2
read key </dev/tty
echo "tar: ./log: file changed as we read it" >&2
exit 1
"#;

#[test]
fn progress_moves_its_bar_by_tars_lines_and_passes_the_others_on() {
    common::run(async {
        let dir = tempfile::tempdir().unwrap();
        common::write_executable(&dir.path().join("tar"), SLOW_TAR);
        let path_of_system = std::env::var("PATH").unwrap();
        let (trace, process) = spawned(
            Command::new(path("progress"))
                .arg(dir.path())
                .arg(dir.path().join("archive"))
                .env("PATH", format!("{}:{path_of_system}", dir.path().display()))
                .env("TERM", "xterm")
                .pty(PtySize::new(24, 80)),
        )
        .await;
        let bar = " 50% [===============>              ] 50.00 KiB/100.00 KiB";
        trace.output(&process, 1, bar).await;
        process.write("\n").unwrap();
        let history = trace.ended(&process).await;
        let text = history.text(1);
        assert!(
            text.contains("tar: ./log: file changed as we read it\r\n"),
            "{text:?}"
        );
        assert!(
            text.ends_with("archive: tar failed (exit status: 1)\r\n"),
            "{text:?}"
        );
        assert_eq!(history.status().code(), Some(1));
    });
}

#[test]
fn progress_says_at_which_step_it_failed() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("archive");
    let said = run_to_failure(example("progress").arg("/no/such/dir").arg(&archive));
    assert!(
        said.starts_with("asking for the length: tar failed (exit status: 2):\ntar: /no/such/dir"),
        "{said}"
    );
    assert!(!archive.exists());
    let said = run_to_failure(example("progress").args(["src", "/no/such/dir/archive"]));
    assert!(said.starts_with("making /no/such/dir/archive: "), "{said}");
    let empty = dir.path();
    let mut no_tar = example("progress");
    let said = run_to_failure(no_tar.arg("src").arg(&archive).env("PATH", empty));
    assert!(
        said.starts_with("asking for the length: cannot execute: tar: "),
        "{said}"
    );
    let said = run_to_failure(&mut example("progress"));
    assert!(said.starts_with("usage: "), "{said}");
}
