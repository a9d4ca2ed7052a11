//! Every kind of end under every policy.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::Command;
use crate::NoProtocol;

fn code(code: u8) -> Option<ExitStatus> {
    Some(ExitStatus::from_code(code))
}

fn signal(signal: Signal) -> Option<ExitStatus> {
    Some(ExitStatus::from_signal(signal))
}

/// 3 and SIGHUP count as success, 78 is fatal, and 4 is a success that is fatal.
fn policies() -> [Restart; 3] {
    [Restart::always(), Restart::on_failure(), Restart::never()].map(|restart| {
        restart
            .success_codes([3, 4])
            .success_signals([Signal::HUP])
            .fatal([78, 4])
    })
}

#[test]
fn each_end_by_itself_has_its_kind_and_its_successor() {
    use AfterEnd::{Exited, Failed, Restart};
    for (status, kind, next) in [
        (code(0), ExitKind::Ok, [Restart, Exited, Exited]),
        (code(3), ExitKind::Ok, [Restart, Exited, Exited]),
        (code(4), ExitKind::Ok, [Exited, Exited, Exited]),
        (code(1), ExitKind::Code, [Restart, Restart, Failed]),
        (code(78), ExitKind::Code, [Failed, Failed, Failed]),
        (code(255), ExitKind::Code, [Restart, Restart, Failed]),
        (signal(Signal::HUP), ExitKind::Ok, [Restart, Exited, Exited]),
        (
            signal(Signal::KILL),
            ExitKind::Signal,
            [Restart, Restart, Failed],
        ),
        (
            signal(Signal::TERM),
            ExitKind::Signal,
            [Restart, Restart, Failed],
        ),
        (
            Some(ExitStatus::Unknown),
            ExitKind::Code,
            [Restart, Restart, Failed],
        ),
        (None, ExitKind::Unready, [Restart, Restart, Failed]),
    ] {
        for (restart, next) in policies().iter().zip(next) {
            let expected = Verdict { kind, next };
            assert_eq!(
                restart.judge(status, None),
                expected,
                "{status:?} {restart:?}"
            );
            // What the status tells, the caller need not know.
            for known in [ExitKind::Ok, ExitKind::Code, ExitKind::Signal] {
                assert_eq!(restart.judge(status, Some(known)), expected);
            }
        }
    }
}

#[test]
fn what_the_monitor_knows_is_a_failure_also_if_the_program_ended_with_0() {
    use AfterEnd::{Failed, Restart};
    for kind in [
        ExitKind::OutOfMemory,
        ExitKind::Watchdog,
        ExitKind::Unready,
        ExitKind::Unhealthy,
    ] {
        for (status, next) in [
            (code(0), [Restart, Restart, Failed]),
            (code(1), [Restart, Restart, Failed]),
            (code(78), [Failed, Failed, Failed]),
            (signal(Signal::HUP), [Restart, Restart, Failed]),
            (None, [Restart, Restart, Failed]),
        ] {
            for (restart, next) in policies().iter().zip(next) {
                let expected = Verdict { kind, next };
                assert_eq!(
                    restart.judge(status, Some(kind)),
                    expected,
                    "{status:?} {restart:?}"
                );
            }
        }
    }
}

#[test]
fn what_was_stopped_stays_stopped() {
    for kind in [ExitKind::Stopped, ExitKind::Escalated] {
        for status in [code(0), code(1), code(78), signal(Signal::KILL), None] {
            for restart in policies() {
                let next = AfterEnd::Stopped;
                assert_eq!(restart.judge(status, Some(kind)), Verdict { kind, next });
            }
        }
    }
}

#[test]
fn a_start_that_cannot_succeed_is_tried_again_only_if_asked() {
    use AfterEnd::{Failed, Restart};
    let [always, on_failure, never] = policies();
    for (restart, hopeful, hopeless) in [
        (always.clone(), Restart, Failed),
        (on_failure.clone(), Restart, Failed),
        (never.clone(), Failed, Failed),
        (always.retry_missing(), Restart, Restart),
        (on_failure.retry_missing(), Restart, Restart),
        (never.retry_missing(), Failed, Failed),
    ] {
        assert_eq!(restart.judge_failed_start(false), hopeful, "{restart:?}");
        assert_eq!(restart.judge_failed_start(true), hopeless, "{restart:?}");
    }
}

#[test]
fn a_program_that_is_not_there_or_no_program_is_hopeless() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "no program").unwrap();
    let executable = folder.path().join("executable");
    std::fs::write(&executable, "no program either").unwrap();
    std::fs::set_permissions(&executable, Permissions::from_mode(0o755)).unwrap();
    actix::System::new().block_on(async {
        for command in [
            Command::new("actix-process-no-such-program"),
            Command::new("/no/such/program"),
            Command::new(&plain),
            Command::new(&executable),
            Command::new(folder.path()),
            Command::new(""),
            Command::new("true\0"),
            Command::new("true").current_dir("/no/such/directory"),
        ] {
            let error = command.spawn(NoProtocol).await.unwrap_err();
            assert!(is_hopeless(&error), "{error}");
        }
    });
}

#[test]
fn settings_that_make_no_sense_are_told_with_their_field() {
    let second = Duration::from_secs(1);
    for (restart, field, problem) in [
        (
            Restart::always().limit(0, second),
            "restart.limit",
            "is 0 restarts; `never` has none",
        ),
        (
            Restart::always().limit(1, Duration::ZERO),
            "restart.limit",
            "its window is zero",
        ),
        (
            Restart::never().fatal([1, 256]),
            "restart.fatal",
            "no program exits with 256",
        ),
        (
            Restart::never().success_codes([-1]),
            "restart.success_codes",
            "no program exits with -1",
        ),
        (
            Restart::default().backoff(Backoff::new().factor(0.5)),
            "restart.backoff",
            "the factor is 0.5; it must be 1 or more",
        ),
    ] {
        assert_eq!(restart.check(), Err(SpecProblem::new(field, problem)));
    }
    for restart in policies() {
        assert_eq!(restart.check(), Ok(()));
        assert_eq!(restart.limit(1, second).check(), Ok(()));
    }
}
