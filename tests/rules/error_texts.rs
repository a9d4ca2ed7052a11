//! Errors say everything once: what their text has is not below them again.

use crate::common;

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::time::Duration;

use actix_process::producer::ProducerError;
use actix_process::{
    CollectError, Command, Fd, NoProtocol, PtySize, ResizeError, Signal, SignalError, SpawnStep,
    StreamError, WriteError,
};
use common::helper::helper;
use common::run;

/// An error and what is below it, as anyhow's `{:#}` prints them.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut below = error.source();
    while let Some(error) = below {
        texts.push(error.to_string());
        below = error.source();
    }
    texts.join(": ")
}

/// What must not be in the chain of an error twice: its parts, and the kernel's words.
fn assert_once(error: &(dyn Error + 'static)) {
    let chain = chain(error);
    let mut seen = BTreeSet::new();
    for phrase in chain.split(": ") {
        assert!(seen.insert(phrase), "{phrase:?} twice in {chain:?}");
    }
    assert!(chain.matches("os error").count() <= 1, "{chain:?}");
    assert!(!chain.contains('\n'), "{chain:?}");
}

#[test]
fn an_error_of_a_spawn_prints_once_and_with_the_kernels_words() {
    run(async {
        for (command, words) in [
            (Command::new("/no/such"), Some("No such file or directory")),
            (Command::new("no-such"), Some("No such file or directory")),
            (Command::new("/"), Some("Permission denied")),
            (
                Command::new("true").current_dir("/no/such"),
                Some("No such file"),
            ),
            (
                Command::new("true").process_group(i32::MAX),
                Some("not permitted"),
            ),
            (
                Command::new("true").fd(3, Fd::inherit(700)),
                Some("Bad file descriptor"),
            ),
            (Command::new("true").nice(99), None),
            (Command::new(""), None),
        ] {
            let error = command.spawn(NoProtocol).await.unwrap_err();
            assert_once(&error);
            if let Some(words) = words {
                assert!(error.to_string().contains(words), "{error}");
            }
            let text = error.to_string();
            let collected = command.output().await.unwrap_err();
            assert_once(&collected);
            assert_eq!(collected.to_string(), text);
            let io_error = io::Error::from(error);
            assert_once(&io_error);
            assert_eq!(io_error.to_string(), text);
        }
    });
}

#[test]
fn the_errors_of_collecting_print_once() {
    run(async {
        let slow = helper(["pause"])
            .output()
            .timeout(Duration::from_millis(100));
        let timed_out = slow.await.unwrap_err();
        assert!(matches!(timed_out, CollectError::TimedOut(_)));
        assert_once(&timed_out);
        let complains = Command::new("sh").args(["-c", "printf 'no\\nERROR forged\\033[2J' >&2"]);
        let complained = complains.read().await.unwrap_err();
        assert!(matches!(complained, CollectError::Stderr(_)));
        assert_once(&complained);
        let text = complained.to_string();
        assert!(text.ends_with("no\\nERROR forged\\u{1b}[2J"), "{text}");
        assert_once(&CollectError::Gone);
    });
}

#[test]
fn the_other_errors_print_once() {
    let refused = io::Error::from_raw_os_error(nix::libc::EINVAL);
    assert_once(&SignalError::Io(refused));
    for error in [
        SignalError::Exited,
        SignalError::NotPermitted,
        SignalError::NotGroupLeader,
    ] {
        assert_once(&error);
    }
    for error in [
        WriteError::NotWritable { fd: 3 },
        WriteError::Closed { fd: 3 },
    ] {
        assert_once(&error);
        assert_once(&io::Error::from(error));
    }
    for error in [
        ProducerError::Write(WriteError::NotWritable { fd: 3 }),
        ProducerError::Write(WriteError::Closed { fd: 3 }),
        ProducerError::AlreadyRegistered { fd: 3 },
    ] {
        assert_once(&error);
    }
    for error in [
        StreamError::NotStream { fd: 3 },
        StreamError::Taken { fd: 3 },
    ] {
        assert_once(&error);
    }
    for error in [ResizeError::NoTerminal, ResizeError::Closed] {
        assert_once(&error);
    }
    assert_once(&"no signal".parse::<Signal>().unwrap_err());
    if let Err(error) = PtySize::of(std::fs::File::open("/dev/null").unwrap()) {
        assert_once(&error);
    }
}

#[test]
fn a_failure_to_register_prints_once() {
    run(async {
        let arbiter = actix::Arbiter::new();
        let gone = arbiter.handle();
        arbiter.stop();
        arbiter.join().unwrap();
        let spawning = Command::new("true").on(&gone).spawn(NoProtocol);
        let error = common::in_time(spawning).await.unwrap_err();
        assert_eq!(error.step(), SpawnStep::Register);
        assert_once(&error);
    });
}
