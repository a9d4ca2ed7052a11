//! What the compiler refuses, and says; and which types may cross threads.
//!
//! The expected texts (`tests/ui/*.stderr`) are the compiler's own, so that a new release may word
//! them anew: `TRYBUILD=overwrite cargo test --test compile_fail` writes them, to be read before
//! they are kept.

use std::time::Duration;

use actix_process::testing::{Recorded, TestProcess};
use actix_process::{
    CloseReason, Collect, CollectError, Collecting, Command, ExitStatus, Fd, FdMap, FromProcess,
    Gone, List, NoProtocol, OnOrphaned, Output, ProcessEvent, ProcessHandle, ProcessId,
    ProcessInfo, ProcessState, ProcessSupervisor, Protocol, Rusage, Shutdown, ShutdownReport,
    Signal, SignalError, Spawn, SpawnError, SpawnStep, Spawning, TerminalModes, TerminalModesError,
    WriteError,
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
    shared::<Gone>();
    shared::<List>();
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
    shared::<TerminalModes>();
    shared::<TerminalModesError>();
    shared::<TestProcess>();
    shared::<WriteError>();
    owned::<FromProcess>();
    owned::<Protocol>();
    owned::<Spawn>();

    // The futures of a handle outlive it.
    let process = TestProcess::new().handle();
    let (exited, ended) = (process.exited(), process.ended());
    let no_echo = |modes: &TerminalModes| !modes.echo;
    let waited = process.wait_for_terminal_modes(no_echo, Duration::ZERO);
    drop(process);
    held(&exited);
    held(&ended);
    held(&waited);
}
