//! What the compiler refuses, and says; and which types may cross threads.
//!
//! The expected texts (`tests/ui/*.stderr`) are the compiler's own, so that a new release may word
//! them anew: `TRYBUILD=overwrite cargo test --test compile_fail` writes them, to be read before
//! they are kept.

use actix_process::supervisor::{List, ProcessInfo, ProcessState, Shutdown, ShutdownReport};
use actix_process::testing::{Recorded, TestProcess};
use actix_process::{
    CloseReason, Collect, CollectError, Collecting, Command, ExitStatus, Fd, FdMap, FromProcess,
    KillOnDrop, NoProtocol, OnOrphaned, Output, ProcessEvent, ProcessHandle, ProcessId,
    ProcessSupervisor, Protocol, Rusage, Signal, SignalError, Spawn, SpawnError, SpawnStep,
    Spawning, WriteError,
};

#[test]
fn mistakes_are_refused_with_words_that_help() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

#[test]
fn types_cross_threads() {
    const fn owned<T: Send + 'static>() {}
    const fn shared<T: Send + Sync + 'static>() {}
    const fn held<T: Send + 'static>(_: &T) {}

    owned::<Collecting<Output>>();
    owned::<Spawning>();
    owned::<actix::Addr<ProcessSupervisor>>();
    shared::<CloseReason>();
    shared::<Collect<Output>>();
    shared::<CollectError>();
    shared::<Command>();
    shared::<ExitStatus>();
    shared::<Fd>();
    shared::<FdMap>();
    shared::<List>();
    shared::<KillOnDrop>();
    shared::<NoProtocol>();
    shared::<OnOrphaned>();
    shared::<Output>();
    shared::<ProcessEvent>();
    shared::<ProcessHandle>();
    shared::<ProcessId>();
    shared::<ProcessInfo>();
    shared::<ProcessState>();
    shared::<Recorded>();
    shared::<Rusage>();
    shared::<Shutdown>();
    shared::<ShutdownReport>();
    shared::<Signal>();
    shared::<SignalError>();
    shared::<SpawnError>();
    shared::<SpawnStep>();
    shared::<TestProcess>();
    shared::<WriteError>();
    owned::<FromProcess>();
    owned::<Protocol>();
    owned::<Spawn>();

    // The futures of a handle outlive it.
    let process = TestProcess::new().handle();
    let (exited, ended) = (process.exited(), process.ended());
    drop(process);
    held(&exited);
    held(&ended);
}
