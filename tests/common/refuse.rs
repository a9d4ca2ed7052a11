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
    /// Only with this first argument and this third one.
    FirstAndThird(libc::c_long, i32, i32),
}

/// From now on the kernel answers `call` with `errno`, in all threads and in all children.
///
/// A sandbox that looks at the flags of clone cannot see those of clone3, which are in memory: it refuses clone3 as a call that
/// the kernel does not have, and so does this.
pub fn refuse(call: Call, errno: i32) {
    if let Call::Flag(libc::SYS_clone, _) | Call::NoFlag(libc::SYS_clone, _) = call {
        refuse_one(Call::Any(libc::SYS_clone3), libc::ENOSYS);
    }
    refuse_one(call, errno);
}

fn refuse_one(call: Call, errno: i32) {
    let bits = |value: i32| u64::from(value.cast_unsigned());
    let is = |index, comparison, value: i32| {
        let word = SeccompCmpArgLen::Dword;
        SeccompCondition::new(index, word, comparison, bits(value)).unwrap()
    };
    let rule = |index, comparison, value| {
        vec![SeccompRule::new(vec![is(index, comparison, value)]).unwrap()]
    };
    let (call, rules) = match call {
        Call::Any(call) => (call, Vec::new()),
        Call::Flag(call, flag) => (call, rule(0, SeccompCmpOp::MaskedEq(bits(flag)), flag)),
        Call::NoFlag(call, flag) => (call, rule(0, SeccompCmpOp::MaskedEq(bits(flag)), 0)),
        Call::First(call, value) => (call, rule(0, SeccompCmpOp::Eq, value)),
        Call::Second(call, value) => (call, rule(1, SeccompCmpOp::Eq, value)),
        Call::Third(call, value) => (call, rule(2, SeccompCmpOp::Eq, value)),
        Call::FirstAndThird(call, first, third) => {
            let both = vec![
                is(0, SeccompCmpOp::Eq, first),
                is(2, SeccompCmpOp::Eq, third),
            ];
            (call, vec![SeccompRule::new(both).unwrap()])
        }
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
