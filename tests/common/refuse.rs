//! Makes the kernel refuse a system call, as a sandbox does. For tests in a process of their own.

use std::collections::BTreeMap;

use actix_process::{Command, SpawnError, SpawnStep};
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::trace::Trace;
use super::{in_time, start_all_threads};

/// A system call that will be refused.
#[derive(Clone, Copy)]
pub enum Call {
    Any(libc::c_long),
    /// Only with this bit in its first argument.
    Flag(libc::c_long, i32),
    /// Only without this bit in its first argument.
    NoFlag(libc::c_long, i32),
    /// Only with this first argument.
    First(libc::c_long, i32),
    /// Only with this second argument.
    Second(libc::c_long, i32),
    /// Only with this third argument.
    Third(libc::c_long, i32),
}

/// From now on the kernel answers `call` with `errno`, in all threads and in all children.
pub fn refuse(call: Call, errno: i32) {
    let bits = |value: i32| u64::from(value.cast_unsigned());
    let rule = |index, comparison, value: i32| {
        let word = SeccompCmpArgLen::Dword;
        let condition = SeccompCondition::new(index, word, comparison, bits(value)).unwrap();
        vec![SeccompRule::new(vec![condition]).unwrap()]
    };
    let (call, rules) = match call {
        Call::Any(call) => (call, Vec::new()),
        Call::Flag(call, flag) => (call, rule(0, SeccompCmpOp::MaskedEq(bits(flag)), flag)),
        Call::NoFlag(call, flag) => (call, rule(0, SeccompCmpOp::MaskedEq(bits(flag)), 0)),
        Call::First(call, value) => (call, rule(0, SeccompCmpOp::Eq, value)),
        Call::Second(call, value) => (call, rule(1, SeccompCmpOp::Eq, value)),
        Call::Third(call, value) => (call, rule(2, SeccompCmpOp::Eq, value)),
    };
    let filter: BpfProgram = SeccompFilter::new(
        BTreeMap::from([(call, rules)]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno.cast_unsigned()),
        TargetArch::try_from(std::env::consts::ARCH).unwrap(),
    )
    .unwrap()
    .try_into()
    .unwrap();
    seccompiler::apply_filter_all_threads(&filter).unwrap();
}

/// A spawn of `command` after `call` was refused must fail at `step`, with `errno`.
pub async fn assert_fails(
    command: Command,
    refused: Call,
    (step, errno): (SpawnStep, i32),
) -> SpawnError {
    let (trace, protocol) = Trace::start();
    let before = start_all_threads().await;
    refuse(refused, errno);
    let mut last = None;
    for _ in 0..3 {
        let error = in_time(command.spawn(&protocol)).await.unwrap_err();
        assert_eq!(
            (error.step(), error.errno()),
            (step, Some(errno)),
            "{error}"
        );
        assert!(trace.events().is_empty());
        before.assert_restored_but_spawners().await;
        last = Some(error);
    }
    last.unwrap()
}
