//! Actors.

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]
#[cfg(not(target_os = "linux"))]
compile_error!("actix-process runs on Linux only");

mod cell;
mod child;
mod clock;
mod collect;
mod command;
mod credit;
mod error;
mod event;
mod explain;
mod fds;
mod handle;
mod home;
mod janitor;
mod lifecycle;
mod message;
mod outcome;
mod pipe;
mod port;
mod prepare;
mod process;
mod protocol;
mod recorder;
mod signal;
mod spawner;
mod status;
mod supervisor;
mod sync;
#[expect(unsafe_code, reason = "the kernel: the only place that may")]
mod sys;
pub mod testing;

pub use bytes::Bytes;
pub use child::ProcessId;
pub use collect::{Collect, CollectError, Collecting, Output};
pub use command::{Command, OnOrphaned};
pub use error::{Gone, SignalError, SpawnError, SpawnStep, WriteError};
pub use event::{CloseReason, ProcessEvent};
pub use fds::{Fd, FdMap};
pub use handle::ProcessHandle;
pub use message::FromProcess;
pub use protocol::{IntoProtocol, NoProtocol, ProcessProtocol, Protocol};
pub use signal::{ParseSignalError, Signal};
pub use status::{ExitStatus, Rusage};
pub use supervisor::{
    List, ProcessInfo, ProcessState, ProcessSupervisor, Shutdown, ShutdownReport, Spawn, Spawning,
};
