//! The thirteen delivery rules of the crate's documentation, each by a test named for it.

mod common;

use actix_process::{CloseReason, Command, ProcessEvent};
use common::helper::helper;
use common::run;
use common::trace::Trace;

#[test]
fn rule_01_connection_made_is_first_and_once() {
    run(async {
        let (trace, protocol) = Trace::start();
        let process = helper(["say", "hello"]).spawn(&protocol).await.unwrap();
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2]);
        assert_eq!(history.text(1), "hello\n");

        let failed = Command::new("/no/such/program").spawn(&protocol).await;
        assert!(failed.is_err());
        let made = trace.events().into_iter();
        let made = made.filter(|(_, event)| matches!(event, ProcessEvent::ConnectionMade));
        assert_eq!(made.count(), 1);
    });
}

#[test]
fn rule_10_the_childs_close_of_its_stdin_is_reported_at_once() {
    run(async {
        let (trace, protocol) = Trace::start();
        let child = helper(["close", "0", "say", "ready", "pause"]);
        let process = child.spawn(&protocol).await.unwrap();
        trace.output(&process, 1, "ready").await;
        assert_eq!(trace.lost(&process, 0).await, CloseReason::ByChild);
        process.kill().unwrap();
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}
