//! The wait for a prompt or a ready line.

use crate::common;

use std::time::{Duration, Instant};

use actix_process::{Command, FindError, PtySize};
use common::helper::{helper, pattern};
use common::streams::{bytes, next};
use common::{DEADLINE, in_time, run};
use futures::{FutureExt, SinkExt};

#[test]
fn what_came_before_is_given_and_the_stream_goes_on_behind() {
    run(async {
        let mut child = helper(["say", "noise", "say", "ready 7", "say", "more"])
            .open()
            .await
            .unwrap();
        let before = child.stdout.find("ready ", DEADLINE).await.unwrap();
        assert_eq!(before, "noise\n");
        assert_eq!(bytes(child.stdout).await, b"7\nmore\n");
    });
}

#[test]
fn a_needle_that_comes_in_pieces_is_found_wherever_it_is_cut() {
    run(async {
        // One byte a write: "aab" has a false start before its place.
        let hex = common::helper::hex("xaaab|");
        let mut child = helper(["dribble", "1", &hex, "say", "end"])
            .open()
            .await
            .unwrap();
        assert_eq!(child.stdout.find(b"aab", DEADLINE).await.unwrap(), "xa");
        assert_eq!(bytes(child.stdout).await, b"|end\n");
    });
}

#[test]
fn a_closure_looks_for_more_than_one_thing() {
    run(async {
        let mut child = helper(["say", "login: ", "pause"]).open().await.unwrap();
        let either = |hay: &[u8]| {
            let found = |needle: &[u8]| hay.windows(needle.len()).position(|w| w == needle);
            let prompts: [&[u8]; 2] = [b"$ ", b"login: "];
            prompts
                .iter()
                .find_map(|prompt| found(prompt).map(|at| at..at + prompt.len()))
        };
        assert_eq!(child.stdout.find(either, DEADLINE).await.unwrap(), "");
        // Beyond the end is the end.
        let odd = |hay: &[u8]| (!hay.is_empty()).then_some(5..500);
        let mut child = helper(["say", "word"]).open().await.unwrap();
        assert_eq!(child.stdout.find(odd, DEADLINE).await.unwrap(), "word\n");
        assert_eq!(next(&mut child.stdout).await, None);
    });
}

#[test]
fn a_child_that_dies_first_is_told_at_once_and_as_something_else_than_a_late_one() {
    run(async {
        let begun = Instant::now();
        let mut child = helper(["say", "oops", "exit", "1"]).open().await.unwrap();
        let error = child.stdout.find("ready", 10 * DEADLINE).await.unwrap_err();
        assert_eq!(error, FindError::Ended { seen: 5 });
        assert!(begun.elapsed() < DEADLINE);
        assert_eq!(bytes(child.stdout).await, b"oops\n", "lost");

        let within = Duration::from_millis(50);
        let mut child = helper(["say", "slow", "cat"]).open().await.unwrap();
        child.stdout.find("slow", DEADLINE).await.unwrap();
        let error = child.stdout.find("ready", within).await.unwrap_err();
        assert_eq!(error, FindError::TimedOut { seen: 1, within });
        // It can be looked for again.
        child.stdin.send("ready\n".into()).await.unwrap();
        assert_eq!(child.stdout.find("ready", DEADLINE).await.unwrap(), "\n");
    });
}

#[test]
fn a_flood_without_it_ends_the_search_and_loses_nothing() {
    run(async {
        let mut child = helper(["pour", "3000000"]).open().await.unwrap();
        let error = in_time(child.stdout.find("\0\0never", DEADLINE)).await;
        match error.unwrap_err() {
            FindError::TooMuch { seen } => assert!((1 << 20..2 << 20).contains(&seen), "{seen}"),
            other => panic!("{other}"),
        }
        assert_eq!(bytes(child.stdout).await.len(), 3_000_000);
    });
}

#[test]
fn a_search_that_drops_puts_back_what_it_read() {
    run(async {
        let mut child = helper(["spam", "1000", "cat"]).open().await.unwrap();
        let mut seen = 0;
        while seen < 1000 {
            let watch = |hay: &[u8]| {
                seen = hay.len();
                None
            };
            assert!(child.stdout.find(watch, DEADLINE).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        drop(child.stdin);
        assert!(bytes(child.stdout).await == pattern(1000));
    });
}

#[test]
fn a_prompt_of_a_terminal_is_waited_for_before_it_is_answered() {
    run(async {
        let script = "printf 'Name: '; read name; echo Hello $name";
        let shell = Command::new("sh").args(["-c", script]);
        let mut child = shell.pty(PtySize::new(24, 80)).open().await.unwrap();
        child.stdout.find("Name: ", DEADLINE).await.unwrap();
        child.stdin.send("Ann\n".into()).await.unwrap();
        child.stdout.find("Hello Ann", DEADLINE).await.unwrap();
    });
}

#[test]
fn the_text_of_the_errors_says_what_happened() {
    let within = Duration::from_secs(3);
    let texts = [
        FindError::Ended { seen: 5 }.to_string(),
        FindError::TimedOut { seen: 5, within }.to_string(),
    ];
    assert!(texts[0].contains("ended, after 5 bytes"), "{texts:?}");
    assert!(texts[1].contains("within 3s"), "{texts:?}");
}
