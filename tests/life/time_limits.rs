//! A child that is given so long to live.

use crate::common;

use std::time::Duration;

use actix_process::{Command, Ladder, NoProtocol, Signal};
use common::census::{is_gone, state_and_parent};
use common::helper::helper;
use common::trace::Trace;
use common::{DEADLINE, eventually, in_time, run};

const SHORT: Duration = Duration::from_millis(100);

fn ladder() -> Ladder {
    Ladder::new().term(SHORT).kill()
}

#[test]
fn a_child_that_lives_too_long_is_stopped_by_its_ladder_without_anybody_who_waits() {
    run(async {
        let command = helper(["pause"]).timeout(SHORT, ladder());
        let process = command.spawn(NoProtocol).await.unwrap();
        let status = in_time(process.ended()).await;
        assert_eq!(status.signal(), Some(Signal::TERM));
        assert!(process.has_timed_out());
    });
}

#[test]
fn one_that_ignores_the_first_step_gets_the_next_and_so_does_its_group() {
    run(async {
        let (trace, protocol) = Trace::start();
        let child = helper([
            "ignore", "15", "leave", "3", "ignore", "15", "pause", "pause",
        ]);
        let command = child.process_group(0).timeout(SHORT, ladder());
        let process = command.spawn(&protocol).await.unwrap();
        let said = trace.output(&process, 1, "held ").await;
        assert_eq!(in_time(process.exited()).await.signal(), Some(Signal::KILL));
        let said = String::from_utf8_lossy(&said);
        let member: i32 = said.trim().trim_start_matches("held ").parse().unwrap();
        let seen = || format!("{member} {:?}", state_and_parent(member));
        eventually("a death", || is_gone(member).then_some(()), seen).await;
    });
}

#[test]
fn a_child_that_ends_in_time_is_left_alone() {
    run(async {
        let command = helper(["exit", "3"]).timeout(DEADLINE, ladder());
        let process = command.spawn(NoProtocol).await.unwrap();
        assert_eq!(in_time(process.exited()).await.code(), Some(3));
        assert!(!process.has_timed_out());
    });
}

#[test]
fn the_time_is_that_of_each_child_of_the_command() {
    run(async {
        let command = helper(["pause"]).timeout(SHORT, Ladder::new().kill());
        for _ in 0..2 {
            let process = command.spawn(NoProtocol).await.unwrap();
            assert_eq!(in_time(process.exited()).await.signal(), Some(Signal::KILL));
        }
    });
}

#[test]
fn a_child_that_is_opened_or_streamed_has_its_time_too() {
    run(async {
        let command = Command::new("sleep").arg("600").timeout(SHORT, ladder());
        let child = command.open().await.unwrap();
        assert_eq!(in_time(child.wait()).await.signal(), Some(Signal::TERM));
    });
}
