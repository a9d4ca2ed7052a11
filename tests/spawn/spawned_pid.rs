//! The number that a child was born with can always be told, however quickly the child ends.

use crate::common;

use actix::Addr;
use actix_process::supervisor::List;
use actix_process::{Command, Fd, ProcessSupervisor};
use common::helper::helper;
use common::trace::{Trace, Tracer, spawned};
use common::{in_time, run};

/// A child that tells its own pid and ends, and what is told of it.
async fn quick(trace: &Trace, protocol: &Addr<Tracer>) {
    let echo = Command::new("sh").args(["-c", "echo $$"]);
    let process = echo.spawn(protocol).await.unwrap();
    // Whether or not it is reaped by now.
    let told = process.spawned_pid();
    assert!(process.pid().is_none_or(|pid| pid == told), "{process:?}");
    let history = trace.ended(&process).await;
    assert_eq!(history.text(1), format!("{told}\n"));
    assert_eq!(process.pid(), None);
    assert_eq!(process.spawned_pid(), told);
    assert!(
        format!("{process:?}").contains(&format!("spawned_pid: {told}")),
        "{process:?}"
    );
}

#[test]
fn the_pid_of_a_quick_child_can_be_told_after_its_end() {
    run(async {
        let (trace, protocol) = Trace::start();
        for _ in 0..50 {
            quick(&trace, &protocol).await;
        }
    });
}

#[test]
fn the_list_tells_the_pid_of_a_child_that_was_reaped_and_whose_pipe_is_held() {
    run(async {
        let command = helper(["hold-until", "3", "exit"]).fd(3, Fd::write());
        let (trace, process) = spawned(command).await;
        trace.exited(&process).await;
        let supervisor = ProcessSupervisor::current().unwrap();
        let infos = in_time(supervisor.send(List)).await.unwrap();
        let info = infos.iter().find(|info| info.id == process.id()).unwrap();
        assert_eq!(info.pid, None, "{info:?}");
        assert_eq!(info.spawned_pid, process.spawned_pid(), "{info:?}");
        assert!(info.spawned_pid > 0, "{info:?}");
        process.close_child_fd(3);
        trace.ended(&process).await;
    });
}
