//! Runs the example programs and looks at what they print.

use crate::common;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::DEADLINE;
use common::example::{example, places, run, run_to_failure};
use nix::sys::stat::Mode;

#[test]
fn wc_counts_lines_words_and_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let small = dir.path().join("small");
    let empty = dir.path().join("empty");
    std::fs::write(&small, "one two\nthree\n").unwrap();
    std::fs::write(&empty, "").unwrap();
    // More than a pipe holds.
    let big = dir.path().join("big");
    std::fs::write(&big, "ab cd ef\n".repeat(100_000)).unwrap();

    let (printed, _) = run(example("wc").args([&small, &empty, &big]));
    let expected = format!(
        "{}: 2 lines, 3 words, 14 bytes\n{}: 0 lines, 0 words, 0 bytes\n\
         {}: 100000 lines, 300000 words, 900000 bytes\n",
        small.display(),
        empty.display(),
        big.display()
    );
    assert_eq!(printed, expected);
}

#[test]
fn wc_fails_on_a_file_that_is_not_there() {
    let said = run_to_failure(example("wc").arg("/no/such/file"));
    assert!(said.contains("/no/such/file"), "{said}");
}

#[test]
fn transcript_counts_ten_verses_in_order() {
    let (printed, _) = run(&mut example("transcript"));
    let counted: Vec<&str> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("child_data_received: fd 1, "))
        .collect();
    // Ten verses of four lines and an empty one.
    assert_eq!(counted.len(), 1, "{printed}");
    let lines = counted[0].trim_matches('"').split_whitespace().next();
    assert_eq!(lines, Some("50"), "{printed}");

    let [made, stdin, stdout, stderr, exited, ended] = places(
        &printed,
        [
            "connection_made: wc",
            "child_connection_lost: fd 0, ByParent",
            "child_connection_lost: fd 1, ByChild",
            "child_connection_lost: fd 2, ByChild",
            "process_exited: exit status: 0",
            "process_ended: exit status: 0",
        ],
    );
    assert_eq!(made, 0, "{printed}");
    assert_eq!(ended, printed.lines().count() - 1, "{printed}");
    assert!(exited < ended && stdin < ended && stdout < ended && stderr < ended);
}

#[test]
fn transcript_tells_of_any_command() {
    let (printed, _) = run(example("transcript").args(["sh", "-c", "cat; echo bad >&2; exit 3"]));
    places(
        &printed,
        [
            "connection_made: sh",
            "child_data_received: fd 2, \"bad\\n\"",
            "process_ended: exit status: 3",
        ],
    );
    assert!(!printed.contains("fd 1, \""), "{printed}");
}

#[test]
fn transcript_fails_on_a_missing_program() {
    let said = run_to_failure(example("transcript").arg("/no/such/program"));
    assert!(said.contains("/no/such/program"), "{said}");
}

#[test]
fn true_and_false_prints_both_exit_codes() {
    let (printed, _) = run(&mut example("true_and_false"));
    assert_eq!(printed, "true: exit code 0\nfalse: exit code 1\n");
}

#[test]
fn parent_logs_the_answers_and_the_life_of_its_worker() {
    let (_, logged) = run(&mut example("parent"));
    let line = |text: &str| {
        logged
            .lines()
            .position(|line| line.ends_with(text))
            .unwrap_or_else(|| panic!("{text:?} in\n{logged}"))
    };
    let runs = line("examples/word_counter");
    let closed = line("the worker's input is closed: ByParent");
    let exited = line("the worker has exited: exit status: 0");
    let ended = line("the worker has ended: exit status: 0");
    assert!(
        runs < closed && closed < ended && exited < ended,
        "{logged}"
    );
    assert!(line("that was the text") < closed, "{logged}");

    let answers: Vec<&str> = logged
        .lines()
        .filter_map(|line| Some(line.split_once("answer: ")?.1))
        .collect();
    let sent = logged.lines().filter(|line| line.contains("sent \""));
    let words: Vec<String> = sent
        .map(|line| {
            let text = line.split_once("sent ").unwrap().1.trim_matches('"');
            text.split_whitespace().count().to_string()
        })
        .collect();
    assert_eq!(words.len(), 5, "{logged}");
    assert_eq!(answers[..answers.len() - 1], words, "{logged}");
    assert_eq!(answers.last(), Some(&"total 31"), "{logged}");
}

#[test]
fn parent_fails_with_its_worker() {
    let logged = run_to_failure(example("parent").arg("false"));
    assert!(
        logged.contains("the worker has ended: exit status: 1"),
        "{logged}"
    );
}

#[test]
fn parent_says_how_to_make_a_missing_worker() {
    let said = run_to_failure(example("parent").arg("/no/such/worker"));
    assert!(said.contains("cargo build --examples"), "{said}");
}

/// A server that is killed with the test.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(command: &[&str]) -> Self {
        let mut process = example("quotes")
            .args(command)
            .env_remove("PORT")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().strip_prefix("listening on ");
        let address = address.unwrap_or_else(|| panic!("it said {line:?}"));
        Self {
            address: address.to_owned(),
            process,
        }
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(&self.address).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// All that the server says, to the end of the connection.
fn answer(mut client: TcpStream) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn quotes_answers_each_of_many_connections() {
    let server = Server::start(&["echo", "hello"]);
    assert!(server.address.starts_with("127.0.0.1:"));
    assert_eq!(answer(server.connect()), "hello\n");
    // All connected before one is read.
    let clients: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
    for client in clients {
        assert_eq!(answer(client), "hello\n");
    }
}

#[test]
fn quotes_serves_others_while_one_command_is_slow() {
    let dir = tempfile::tempdir().unwrap();
    // The first one waits for the gate; those after it do not.
    let gate = dir.path().join("gate");
    nix::unistd::mkfifo(&gate, Mode::S_IRWXU).unwrap();
    let script = "cd \"$1\"; mkdir taken 2>/dev/null && echo > ready && cat gate; echo go";
    let server = Server::start(&["sh", "-c", script, "sh", dir.path().to_str().unwrap()]);
    let slow = server.connect();
    let begun = Instant::now();
    while !dir.path().join("ready").exists() {
        assert!(begun.elapsed() < DEADLINE, "the first command never ran");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(answer(server.connect()), "go\n");
    std::fs::write(&gate, "slow and ").unwrap();
    assert_eq!(answer(slow), "slow and go\n");
}

#[test]
fn quotes_tells_a_client_of_a_command_that_fails() {
    let server = Server::start(&["/no/such/program"]);
    let text = answer(server.connect());
    assert!(
        text.starts_with("no quote: ") && text.contains("/no/such/program"),
        "{text}"
    );
    // It serves on.
    assert!(answer(server.connect()).starts_with("no quote: "));
}
