//! What is done at the end of a child that is a filter.

use crate::common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_process::{Bytes, Command};
use common::helper::helper;
use common::streams::next;
use common::{DEADLINE, in_time, run};
use futures::{StreamExt, TryStreamExt, stream};

#[test]
fn all_that_is_said_to_standard_error_is_told_before_the_end() {
    run(async {
        for _ in 0..20 {
            // More pieces than a turn of a stream has, behind the end of the output.
            let script = "exec >&-; for i in $(seq 200); do echo $i >&2; done";
            let told = Arc::new(Mutex::new(Vec::<u8>::new()));
            let into = Arc::clone(&told);
            let command = Command::new("sh").args(["-c", script]);
            let stream = command
                .stream()
                .on_stderr(move |said| into.lock().unwrap().extend(said));
            let output = stream.start().await.unwrap();
            assert!(
                in_time(output.try_collect::<Vec<Bytes>>())
                    .await
                    .unwrap()
                    .is_empty()
            );
            assert!(told.lock().unwrap().ends_with(b"\n200\n"));
        }
    });
}

#[test]
fn the_input_is_let_go_of_when_the_output_is_over() {
    run(async {
        let held = Arc::new(());
        let weak = Arc::downgrade(&held);
        let body = stream::pending::<Result<Bytes, std::io::Error>>().map(move |item| {
            let _ = &held;
            item
        });
        // A child that lives on, within its grace.
        let command = helper(["ignore", "15", "pause"]);
        let limit = Duration::from_millis(50);
        let stream = command.stream().input(body).timeout(limit).grace(DEADLINE);
        let mut output = stream.start().await.unwrap();
        assert!(next(&mut output).await.unwrap().is_err());
        assert!(weak.upgrade().is_none(), "held by an output that is over");
        output.process().kill();
    });
}
