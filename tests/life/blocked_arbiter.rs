//! What goes on while the arbiter that asked for a child is blocked.

use crate::common;

use std::time::Duration;

use actix_process::ProcessSupervisor;
use actix_process::supervisor::Shutdown;
use common::helper::helper;
use common::trace::spawned;
use common::{DEADLINE, block_on_thread, run};

#[test]
fn a_shutdown_meanwhile_leaves_no_dead_child_unreaped() {
    run(async {
        let (trace, process) = spawned(helper(["pause"])).await;
        let supervisor = ProcessSupervisor::current().unwrap();
        let (answer, answered) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let grace = Duration::ZERO;
            let report = block_on_thread(supervisor.send(Shutdown { grace }));
            answer.send(report.unwrap()).unwrap();
        });
        // This thread is the arbiter: it handles nothing before the answer.
        let report = answered.recv_timeout(DEADLINE).unwrap();
        assert!(report.unreaped.is_empty(), "{report:?}");
        assert!(process.try_status().is_some());
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}
