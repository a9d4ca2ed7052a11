//! The verbs that say why there is no result.

use crate::common;

use std::future::IntoFuture;

use actix_process::{CollectError, Command, Fd, Why};
use common::helper::helper;
use common::{in_time, run};

#[test]
fn text_is_what_a_shells_substitution_gives() {
    run(async {
        let text = helper(["say", "  two words", "say", "", "say", " "]).text();
        assert_eq!(in_time(text.into_future()).await.unwrap(), "  two words");
        let empty = helper(["exit"]).text();
        assert_eq!(in_time(empty.into_future()).await.unwrap(), "");
    });
}

#[test]
fn text_that_is_none_is_an_error_with_the_bytes() {
    run(async {
        let odd = helper(["put", "1", "66ff"]).text();
        match in_time(odd.into_future()).await {
            Err(CollectError::NotText(output)) => assert_eq!(output.stdout, b"f\xff"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn lines_are_without_their_ends_and_empty_ones_count() {
    run(async {
        let lines = helper(["put", "1", "610d0a0a62"]).lines();
        assert_eq!(in_time(lines.into_future()).await.unwrap(), ["a", "", "b"]);
        let none = helper(["exit"]).lines();
        assert!(in_time(none.into_future()).await.unwrap().is_empty());
    });
}

#[test]
fn a_failure_reads_as_a_sentence_and_has_all_that_came() {
    run(async {
        let script = "echo half; echo first >&2; echo oops >&2; exit 3";
        let sh = Command::new("sh").args(["-c", script]);
        for error in [
            in_time(sh.text().into_future()).await.unwrap_err(),
            in_time(sh.lines().into_future()).await.unwrap_err(),
            in_time(sh.output().checked().into_future())
                .await
                .unwrap_err(),
            in_time(sh.probe().into_future()).await.unwrap_err(),
        ] {
            assert_eq!(error.to_string(), "`sh` exited with code 3: first\\noops");
            assert!(
                std::error::Error::source(&error).is_none(),
                "it is said once"
            );
            let CollectError::Failed {
                program, output, ..
            } = error
            else {
                panic!("{error:?}");
            };
            assert_eq!((&*program, output.status.code()), ("sh", Some(3)));
            assert_eq!(
                (output.why, &output.stderr[..]),
                (Why::Exited, &b"first\noops\n"[..])
            );
        }
        let killed = Command::new("sh").args(["-c", "kill -9 $$"]).text();
        let error = in_time(killed.into_future()).await.unwrap_err();
        assert_eq!(error.to_string(), "`sh` was killed by SIGKILL");
    });
}

#[test]
fn the_codes_that_are_a_success_are_the_callers() {
    run(async {
        let exits = |code: &str| helper(["say", "out", "exit", code]).output();
        let twice = exits("2").ok_codes([1, 2]);
        assert_eq!(in_time(twice.into_future()).await.unwrap().stdout, b"out\n");
        let zero = exits("0").ok_codes([1, 2]);
        assert!(matches!(
            in_time(zero.into_future()).await,
            Err(CollectError::Failed { .. })
        ));
        let killed = helper(["raise", "9"]).output().ok_codes([0, 9, 137]);
        assert!(matches!(
            in_time(killed.into_future()).await,
            Err(CollectError::Failed { .. })
        ));
        // Judged before what else the verb says.
        let complains = helper(["tell", "2", "hm", "exit", "1"]);
        let read = complains.read().checked();
        assert!(matches!(
            in_time(read.into_future()).await,
            Err(CollectError::Failed { .. })
        ));
        let status = complains.status().checked();
        let error = in_time(status.into_future()).await.unwrap_err();
        assert!(error.to_string().ends_with("exited with code 1"), "{error}");
    });
}

#[test]
fn a_probe_is_yes_no_or_an_error() {
    run(async {
        let asks = |code: &str| helper(["spam", "100000", "exit", code]).probe();
        assert!(in_time(asks("0").into_future()).await.unwrap());
        assert!(!in_time(asks("1").into_future()).await.unwrap());
        assert!(in_time(asks("2").into_future()).await.is_err());
        let missing = Command::new("/no/such").probe();
        let error = in_time(missing.into_future()).await.unwrap_err();
        assert!(matches!(error, CollectError::Spawn(_)));
    });
}

#[test]
fn a_probe_leaves_the_descriptors_that_the_command_maps() {
    run(async {
        let file = tempfile::NamedTempFile::new().unwrap();
        let command = helper(["say", "kept"]).stdout(Fd::create(file.path()).unwrap());
        assert!(in_time(command.probe().into_future()).await.unwrap());
        assert_eq!(std::fs::read(file.path()).unwrap(), b"kept\n");
    });
}

#[test]
fn no_text_of_an_error_shows_an_argument_or_an_input() {
    run(async {
        let command = helper(["drain", "0", "exit", "3", "secret-argument"]);
        let run = command.output().input("secret-input").checked();
        let error = in_time(run.into_future()).await.unwrap_err();
        for text in [format!("{error}"), format!("{error:?}")] {
            assert!(!text.contains("secret"), "{text}");
        }
    });
}
