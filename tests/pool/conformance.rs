//! Workers keep to the wire format, and the conformance test finds each rule that one breaks.

use crate::common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use actix_process::pool::Pool;
use common::example::{example, finish, path, run};
use common::isolated::skipped;

use crate::ahead::answers;
use crate::workers::{ended, submit};

const WORKER: &str = include_str!("../../examples/workers/worker.py");

/// Its last rule; so many there are, and more for workers that take jobs ahead.
const LAST: &str = "exits with another status than 0 when 3 closes in a frame";
const RULES: usize = 17;
const PACKETS: &str = "jobs ahead come as packets, and each is read whole";
const IN_ORDER: &str = "jobs ahead are done in order, or given back";
const GIVEN_BACK: &str = "jobs ahead that are read during a job are given back";
const CANCELLED_AHEAD: &str = "jobs ahead may be cancelled";
const AHEAD: [&str; 4] = [PACKETS, IN_ORDER, GIVEN_BACK, CANCELLED_AHEAD];

pub(crate) fn has_python() -> bool {
    let found = Command::new("python3").arg("--version").output().is_ok();
    if !found {
        skipped("there is no python3");
    }
    found
}

/// That each rule holds.
fn assert_conforms(worker: &mut Command, takes_ahead: bool) {
    let (printed, said) = run(worker);
    let lines: Vec<&str> = printed.lines().collect();
    let rules = RULES + if takes_ahead { AHEAD.len() } else { 0 };
    assert_eq!(lines.len(), rules, "{printed}{said}");
    for rule in AHEAD {
        assert_eq!(printed.contains(rule), takes_ahead, "{printed}");
    }
    for line in &lines {
        assert!(line.starts_with("ok      "), "{printed}{said}");
    }
    assert!(lines.last().unwrap().ends_with(LAST), "{printed}");
}

#[test]
fn the_rust_worker_conforms() {
    assert_conforms(example("pool_conformance").arg(path("pool_worker")), true);
}

#[test]
fn the_python_worker_conforms() {
    if has_python() {
        let worker = ["python3", "examples/workers/worker.py"];
        assert_conforms(example("pool_conformance").args(worker), true);
    }
}

/// The Python worker with these changes, in a folder.
fn changed(folder: &Path, changes: &[(&str, &str)]) -> PathBuf {
    let mut worker = WORKER.to_owned();
    for (right, wrong) in changes {
        assert_eq!(WORKER.matches(right).count(), 1, "the worker lacks {right}");
        worker = worker.replace(right, wrong);
    }
    let file = folder.join("changed.py");
    fs::write(&file, worker).unwrap();
    file
}

const VERSION_1: &str = "send(READY, 0, b\"\\x01\" + name)";

#[test]
fn a_worker_that_takes_no_jobs_ahead_conforms() {
    if has_python() {
        let folder = tempfile::tempdir().unwrap();
        let file = changed(folder.path(), &[(READY, VERSION_1)]);
        let test = &mut example("pool_conformance");
        assert_conforms(test.arg("python3").arg(file), false);
    }
}

/// It is sent no packets, of which it would lose the bodies.
#[test]
fn a_worker_that_takes_no_jobs_ahead_may_read_heads_and_bodies() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = changed(folder.path(), &[(READY, VERSION_1), (READ, HEADS)]);
    let test = &mut example("pool_conformance");
    assert_conforms(test.arg("python3").arg(&file), false);
    common::run(async {
        let worker = actix_process::Command::new("python3").arg(file);
        let pool = Pool::new(worker).workers(1..=1).start().unwrap();
        let jobs = (0..20).map(|_| submit(&pool, "echo x")).collect();
        assert_eq!(answers(jobs).await, ["x"; 20]);
        ended(pool).await;
    });
}

/// What is changed in the Python worker, and the lines that its faults give: the rule, and the beginning of what was seen.
type Fault = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const ECHO: &str = "        return rest\n";
const READY: &str = "send(READY, 0, b\"\\x02\" + name)";
const CHUNK: &str = "b\"%d\" % (number + 1)";
const READ: &str = "os.read(3, 1 << 16)";
/// As of a stream: a head, and then its body.
const HEADS: &str = "os.read(3, max(13, 4 + int.from_bytes(arrived[:4], 'big')) - len(arrived))";
const CANCELLED: &str = "return send(ERROR, job, b\"cancelled\")";

const FAULTS: [Fault; 20] = [
    (
        READY,
        "send(READY, 0, b\"\\x03\" + name)",
        &[("ready comes first", "first came ready 0 of 10 bytes")],
    ),
    (
        READY,
        "send(END, 1)",
        &[("ready comes first", "first came end 1 of 0 bytes")],
    ),
    (
        READY,
        "print('ready'); sys.exit(3)",
        &[("ready comes first", "the worker closed 4")],
    ),
    (
        READY,
        "os.write(4, b'GET / HTTP/1.1\\r\\n\\r\\n')",
        &[("ready comes first", "a frame of the length 1195725856")],
    ),
    (
        ECHO,
        "        return rest[:1000]\n",
        &[
            ("1 KiB comes back", "came end"),
            ("1 MiB comes back", "came end"),
            (PACKETS, "came end"),
        ],
    ),
    (
        CHUNK,
        "b\"%d\" % (int(rest) - number)",
        &[("chunks come in order", "500 chunks came, and end")],
    ),
    (
        "send(ERROR, job, str(error).encode())",
        "send(END, job, str(error).encode())",
        &[("an error is one, and the next job is right", "came end")],
    ),
    (
        "send(ERROR, job, str(error).encode())",
        "send(ERROR, job, str(error).encode()); send(END, job)",
        &[("an error is one, and the next job is right", "in job")],
    ),
    (
        CANCELLED,
        "return",
        &[
            (
                "a cancel is answered, and the next job is right",
                "nothing came in time",
            ),
            (
                "a cancel of an answered job is ignored",
                "nothing came in time",
            ),
            ("a ping during a job is answered", "nothing came in time"),
            (GIVEN_BACK, "nothing came in time"),
            (CANCELLED_AHEAD, "nothing came in time"),
        ],
    ),
    (
        "kind == CANCEL and of == job",
        "kind == CANCEL",
        &[("a cancel of an answered job is ignored", "came error")],
    ),
    (
        "send(PONG, job, body)",
        "pass",
        &[
            ("a ping between jobs is answered", "nothing came in time"),
            ("a ping during a job is answered", "no end of it after"),
        ],
    ),
    (
        "send(BACK, of)",
        "send(BACK, job)",
        &[(IN_ORDER, "in job"), (GIVEN_BACK, "in job")],
    ),
    (
        " and send(BACK, of)",
        "",
        &[
            (IN_ORDER, "nothing came in time"),
            (GIVEN_BACK, "job 2 was read while job 1 was done"),
        ],
    ),
    (
        READ,
        HEADS,
        &[
            (
                PACKETS,
                "nothing came in time; a job of 19 bytes came as one packet, and a read of 3 with less room than 4096 bytes loses",
            ),
            (IN_ORDER, "in job 1 came error 1"),
            // In time, or no end of it.
            (GIVEN_BACK, "no"),
            (CANCELLED_AHEAD, "came error 1"),
        ],
    ),
    (
        READ,
        "os.read(3, 4095)",
        &[(
            PACKETS,
            "nothing came in time; a job of 4096 bytes came as one packet",
        )],
    ),
    (
        "while frame := receive(wait=False)",
        "while select.select([3], [], [], 0)[0] and (frame := receive())",
        &[("a ping during a job is answered", "no end of it after")],
    ),
    (
        "print(\"1\" * 100_000, flush=True)",
        "os.write(4, b'1' * 100_000)",
        &[(
            "prints on 1 and 2 harm nothing",
            "a frame of the length 825307441",
        )],
    ),
    (
        "sys.exit(\"half a frame\" if arrived else 0)",
        "send(END, 0) or sys.exit(1)",
        &[(
            "exits with 0 when 3 closes, and writes no more",
            "after 3 was closed came end 0 of 0 bytes",
        )],
    ),
    (
        "sys.exit(\"half a frame\" if arrived else 0)",
        "sys.exit(0)",
        &[(LAST, "exit status: 0")],
    ),
    (
        "sys.exit(\"a frame of the type %d\" % kind)",
        "pass",
        &[(
            "exits with another status than 0 after a frame of an unknown type",
            "exit status: 0",
        )],
    ),
];

/// What the conformance test says of the worker with this fault, and whether that is as expected.
fn tried(folder: &Path, number: usize, within: &str) -> (String, bool) {
    let (right, wrong, expected) = FAULTS[number];
    let folder = folder.join(number.to_string());
    fs::create_dir_all(&folder).unwrap();
    let file = changed(&folder, &[(right, wrong)]);
    let mut test = example("pool_conformance");
    let output = finish(test.args(["--within", within, "python3"]).arg(file));
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines = printed.lines();
    let failed = lines.filter_map(|line| line.strip_prefix("FAILED  "));
    let failed: Vec<&str> = failed.collect();
    let as_expected = output.status.code() == Some(1)
        && failed.len() == expected.len()
        && failed
            .iter()
            .zip(expected)
            .all(|(line, (rule, saw))| line.starts_with(&format!("{rule}: {saw}")));
    (printed, as_expected)
}

/// So many workers are tried at a time.
const AT_A_TIME: usize = 4;

/// What is said of faults that are silences costs the whole time, so that is short at first. On a busy machine a right worker may take longer than
/// that, so it is longer where something else came out.
const WITHIN: [&str; 3] = ["1", "3", "15"];

#[test]
fn each_fault_of_a_worker_fails_its_rule_and_no_other() {
    if !has_python() {
        return;
    }
    // Else each of the threads builds it.
    path("pool_conformance");
    let folder = tempfile::tempdir().unwrap();
    let next = AtomicUsize::new(0);
    let try_faults = || {
        let mut unlike = String::new();
        while let number = next.fetch_add(1, Ordering::Relaxed)
            && number < FAULTS.len()
        {
            let mut printed = String::new();
            let as_expected = WITHIN.iter().any(|within| {
                let tried = tried(folder.path(), number, within);
                printed = tried.0;
                tried.1
            });
            if !as_expected {
                unlike += &format!("{}:\n{printed}\n", FAULTS[number].1);
            }
        }
        unlike
    };
    let unlike: String = thread::scope(|threads| {
        let tries = [(); AT_A_TIME].map(|()| threads.spawn(try_faults));
        tries.map(|tries| tries.join().unwrap()).concat()
    });
    assert!(unlike.is_empty(), "{unlike}");
}

#[test]
fn a_worker_that_never_says_that_it_is_ready_fails() {
    let output = finish(example("pool_conformance").args(["--within", "1", "sleep", "60"]));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, "FAILED  ready comes first: nothing came in time\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_command_that_is_not_there_fails() {
    let output = finish(example("pool_conformance").arg("/no/such/worker"));
    let printed = String::from_utf8(output.stdout).unwrap();
    let said = printed.strip_prefix("FAILED  ready comes first: ");
    assert!(
        said.is_some_and(|said| said.contains("/no/such/worker")),
        "{printed}"
    );
    assert_eq!(output.status.code(), Some(1));
}

/// A worker of Rust's that a shell started: what it says of itself.
#[test]
fn a_worker_that_no_pool_has_started_says_so() {
    let output = finish(
        Command::new("sh")
            .args(["-c", "exec \"$0\" 3<&- 4<&-"])
            .arg(path("pool_worker")),
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("descriptor 3 of a pool's worker"), "{said}");
    assert!(!output.status.success());
}
