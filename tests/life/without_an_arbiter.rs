//! Children of threads that have no arbiter: under tokio alone, in another runtime's worker, with no runtime at all, beside
//! Systems that come and go.

use crate::common;

use std::future::IntoFuture;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::tools::echo::{Echo, echo, ended, of_no_system, on_a_thread, pausing};
use actix::System;
use actix_process::supervisor::{List, Shutdown};
use actix_process::{
    CollectError, Command, ExitStatus, Ladder, NoProtocol, ProcessSupervisor, Signal, SpawnStep,
    StoppedBy,
};
use common::example;
use common::hanging_exec::HangingExec;
use common::helper::helper;
use common::isolated::isolated;
use common::{DEADLINE, block_on_thread, in_time, on_tokio, run};
use futures::SinkExt;
use nix::libc;

/// Nothing here waits for the end of it.
const LONG: Duration = Duration::from_secs(600);

/// All that a program does with children. No clock but the crate's: there may be no runtime.
async fn everything() {
    let output = helper(["cat"]).output().input("through").await.unwrap();
    assert_eq!(output.stdout, b"through");
    let status = helper(["exit", "3"]).status().await.unwrap();
    assert_eq!(status.code(), Some(3));
    let complaint = helper(["tell", "2", "no"]).read().await;
    assert!(matches!(complaint, Err(CollectError::Stderr(_))));
    let endless = helper(["pause"])
        .output()
        .timeout(Duration::from_millis(20));
    match endless.grace(LONG).await {
        Err(CollectError::TimedOut(output)) => {
            // The time may be up before there is a child.
            let signal = output.status.signal();
            let unborn = output.status == ExitStatus::Unknown;
            assert!(unborn || signal == Some(Signal::TERM), "{output:?}");
        }
        other => panic!("{other:?}"),
    }
    let missing = Command::new("no-such-program").spawn(NoProtocol).await;
    assert_eq!(missing.unwrap_err().step(), SpawnStep::Exec);

    let mut echo = Echo::spawn(echo()).await;
    let supervisor = ProcessSupervisor::current().unwrap();
    let id = echo.process.id();
    let listed = supervisor.send(List).await.unwrap();
    assert!(listed.iter().any(|info| info.id == id), "{listed:?}");
    let mut sink = echo.process.stdin().unwrap();
    // More than the pipes hold, so that the sink waits for room.
    let sending = async {
        for round in 0..4000 {
            sink.send(format!("{round:063}\n").into()).await.unwrap();
        }
    };
    let reading = async {
        for round in 0..4000 {
            assert_eq!(echo.line().await, format!("{round:063}"));
        }
    };
    futures::join!(sending, reading);
    let stopped = echo.process.stop(Ladder::new().term(LONG).kill());
    let stopped = stopped.await.unwrap();
    assert_eq!(stopped.by, StoppedBy::Signal(Signal::TERM));
    assert_eq!(ended(&echo.process).await.signal(), Some(Signal::TERM));
    let listed = supervisor.send(List).await.unwrap();
    assert!(listed.iter().all(|info| info.id != id), "{listed:?}");
}

#[test]
fn everything_works_on_a_tokio_runtime_of_several_threads() {
    on_tokio(2, async {
        in_time(tokio::spawn(everything())).await.unwrap()
    });
}

#[test]
fn everything_works_on_a_tokio_runtime_of_one_thread() {
    on_tokio(0, everything());
}

#[test]
fn everything_works_in_a_worker_that_runs_local_tasks_and_is_no_arbiter() {
    let local = tokio::task::LocalSet::new();
    on_tokio(
        0,
        local.run_until(async {
            in_time(tokio::task::spawn_local(everything()))
                .await
                .unwrap();
        }),
    );
}

#[test]
fn everything_works_with_no_runtime_at_all() {
    on_a_thread(|| block_on_thread(everything()));
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        futures::executor::block_on(everything());
        tell.send(()).unwrap();
    });
    told.recv_timeout(DEADLINE).unwrap();
    // One that tells neither the time nor of descriptors.
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(everything());
}

#[test]
fn a_timeout_holds_with_no_runtime_where_the_spawn_itself_hangs() {
    isolated(|| {
        let hung = HangingExec::new();
        let output = hung.helper(["say", "hi"]).output();
        let result = block_on_thread(output.timeout(Duration::from_millis(50)).into_future());
        match result {
            Err(CollectError::TimedOut(output)) => {
                assert_eq!(output.status, ExitStatus::Unknown);
            }
            other => panic!("{other:?}"),
        }
        on_tokio(0, async { drop(hung.until_children(0).await) });
    });
}

#[test]
fn a_system_that_stops_does_nothing_to_children_that_were_spawned_outside_of_it() {
    let mut outside = of_no_system(echo());
    let inside = on_a_thread(|| {
        let system = System::new();
        let inside = system.block_on(async { in_time(Echo::spawn(pausing())).await });
        system.block_on(async { System::current().stop() });
        system.run().unwrap();
        inside
    });
    block_on_thread(async {
        assert_eq!(ended(&inside.process).await.signal(), Some(Signal::KILL));
        outside.assert_alive().await;
        outside.end().await;
    });
}

#[test]
fn each_system_beside_it_lists_its_own_children_only() {
    let outside = of_no_system(echo());
    let ids = |listed: Vec<actix_process::supervisor::ProcessInfo>| {
        listed.iter().map(|info| info.id).collect::<Vec<_>>()
    };
    let list = move || async move {
        let supervisor = ProcessSupervisor::current().unwrap();
        ids(supervisor.send(List).await.unwrap())
    };
    let in_a_system = move || {
        thread::spawn(move || {
            run(async move {
                let inside = Echo::spawn(echo()).await;
                assert_eq!(list().await, [inside.process.id()]);
                inside
            })
        })
    };
    let systems = [in_a_system(), in_a_system()];
    let inside = systems.map(|system| system.join().unwrap().process.id());
    let listed = on_a_thread(move || block_on_thread(list()));
    assert!(listed.contains(&outside.process.id()), "{listed:?}");
    for id in inside {
        assert!(!listed.contains(&id), "{listed:?}, of a System: {id:?}");
    }
    block_on_thread(outside.end());
}

#[test]
fn all_threads_without_a_system_have_one_supervisor() {
    let ask = || on_a_thread(|| ProcessSupervisor::current().unwrap());
    let first = ask();
    assert_eq!(ask(), first);
    assert_ne!(run(async { ProcessSupervisor::current().unwrap() }), first);
}

#[test]
fn a_shutdown_of_the_supervisor_of_no_system_ends_its_children_and_is_final() {
    isolated(|| {
        let outside = of_no_system(echo());
        on_tokio(2, async {
            let supervisor = ProcessSupervisor::current().unwrap();
            let report = in_time(supervisor.send(Shutdown { grace: LONG })).await;
            assert!(report.unwrap().unreaped.is_empty());
            assert_eq!(ended(&outside.process).await.signal(), Some(Signal::TERM));
            let refused = echo().spawn(NoProtocol).await.unwrap_err();
            assert_eq!(refused.step(), SpawnStep::Register, "{refused}");
        });
        // A System has its own.
        on_a_thread(|| run(async { Echo::spawn(echo()).await.end().await }));
    });
}

#[test]
fn a_copy_by_fork_is_refused_at_once_without_an_arbiter() {
    isolated(|| {
        let mut child = of_no_system(echo());
        // SAFETY: the copy has this thread only, and ends without unwinding into the harness.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Parent { child } => {
                let status = nix::sys::wait::waitpid(child, None).unwrap();
                let held = nix::sys::wait::WaitStatus::Exited(child, 0);
                assert_eq!(status, held);
            }
            nix::unistd::ForkResult::Child => {
                // SAFETY: integers. One that hangs dies of SIGALRM.
                unsafe { libc::alarm(20) };
                let register = |step| step == SpawnStep::Register;
                let spawned = block_on_thread(echo().spawn(NoProtocol));
                let output = block_on_thread(echo().output().into_future());
                let held = spawned.is_err_and(|error| register(error.step()))
                    && matches!(output, Err(CollectError::Spawn(error)) if register(error.step()))
                    && ProcessSupervisor::current().is_err_and(|error| register(error.step()));
                // SAFETY: ends the copy at once.
                unsafe { libc::_exit(i32::from(!held)) }
            }
        }
        block_on_thread(async {
            child.assert_alive().await;
            child.end().await;
        });
    });
}

#[test]
fn the_tokio_main_example_runs_a_tool_and_reads_lines() {
    let (printed, _) = example::run(&mut example::example("tokio_main"));
    assert_eq!(
        printed,
        "Linux\nseq says 1\nseq says 2\nseq says 3\nexit status: 0\n"
    );
}
