//! What is easily got wrong of a filter and of an opened child: their policies, terminals, and what counts as a sign of life.

use crate::common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_process::{Command, Fd, IntoInput, OnLeftovers, PtySize};
use common::census::is_gone;
use common::{in_time, run};
use futures::TryStreamExt;

#[test]
fn a_wait_on_a_terminal_ends() {
    run(async {
        let child = Command::new("cat")
            .pty(PtySize::new(24, 80))
            .open()
            .await
            .unwrap();
        let waited = actix_rt::time::timeout(Duration::from_secs(5), child.wait()).await;
        assert!(
            waited.is_ok(),
            "it waits for ever; `output()` types the end of input there"
        );
    });
}

#[test]
fn what_a_command_leaves_by_its_policy_outlives_a_wait_and_a_whole_stream() {
    run(async {
        let daemon = "sleep 20 </dev/null >/dev/null 2>&1 & echo $! > \"$0\"";
        let dir = tempfile::tempdir().unwrap();
        let mut killed = Vec::new();
        for way in ["output", "wait", "stream"] {
            let file = dir.path().join(way);
            let command = Command::new("sh")
                .args(["-c", daemon])
                .arg(&file)
                .on_leftovers(OnLeftovers::Leave);
            match way {
                "output" => assert!(command.output().own_group().await.unwrap().status.success()),
                "wait" => assert!(command.open().await.unwrap().wait().await.success()),
                _ => assert!(
                    command
                        .stream()
                        .start()
                        .await
                        .unwrap()
                        .try_collect::<Vec<_>>()
                        .await
                        .unwrap()
                        .is_empty()
                ),
            }
            actix_rt::time::sleep(Duration::from_millis(300)).await;
            let pid: i32 = std::fs::read_to_string(&file)
                .unwrap()
                .trim()
                .parse()
                .unwrap();
            if !is_gone(pid) {
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL)
                    .unwrap();
            } else {
                killed.push(way);
            }
        }
        assert!(
            killed.is_empty(),
            "killed although the policy is Leave: {killed:?}"
        );
    });
}

#[test]
fn a_child_that_complains_is_not_idle() {
    run(async {
        let script = "for i in $(seq 12); do echo $i >&2; sleep 0.1; done; echo done";
        let command = Command::new("sh").args(["-c", script]);
        let stream = command
            .stream()
            .on_stderr(|_| ())
            .idle_timeout(Duration::from_millis(500));
        let output = stream.start().await.unwrap().try_collect::<Vec<_>>().await;
        assert!(output.is_ok(), "{output:?}");
    });
}

#[test]
fn on_stderr_is_told_where_the_command_has_a_tail() {
    run(async {
        let told = Arc::new(Mutex::new(0));
        let count = told.clone();
        let command = Command::new("sh")
            .args(["-c", "echo oops >&2"])
            .stderr(Fd::tail(100));
        let stream = command
            .stream()
            .on_stderr(move |said| *count.lock().unwrap() += said.len());
        stream
            .start()
            .await
            .unwrap()
            .try_collect::<Vec<_>>()
            .await
            .unwrap();
        assert_eq!(*told.lock().unwrap(), 5);
    });
}

#[test]
fn an_input_shows_no_byte_in_debug() {
    let pieces = IntoInput::into_pieces("secret");
    assert!(!format!("{pieces:?}").contains("secret"), "{pieces:?}");
}

#[test]
fn a_filter_on_a_terminal_gets_the_end_of_an_input_that_it_has_not() {
    run(async {
        let cat = Command::new("cat").pty(PtySize::new(24, 80));
        let output = cat.stream().start().await.unwrap();
        in_time(output.try_collect::<Vec<_>>()).await.unwrap();
    });
}

#[test]
fn a_tail_that_grows_is_a_sign_of_life() {
    run(async {
        let script = "for i in $(seq 12); do echo $i >&2; sleep 0.1; done; echo done";
        let command = Command::new("sh").args(["-c", script]);
        let stream = command.stream().idle_timeout(Duration::from_millis(500));
        let output = stream.start().await.unwrap().try_collect::<Vec<_>>().await;
        assert!(output.is_ok(), "{output:?}");
    });
}
