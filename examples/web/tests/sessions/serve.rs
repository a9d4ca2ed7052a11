//! The example `serve`, as its clients meet it: over loopback, with converters that fail, hang, die and are slow, and a model that crashes.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::http_server::{Server, gone, read_until, soon};
use crate::tools::http::head_of;

use nix::sys::signal::Signal;

/// With this shell script as the converter.
fn serving(script: &str) -> Server {
    Server::start_of(env!("CARGO_BIN_EXE_serve"), &["sh", "-c", script])
}

fn posted(server: &Server, path: &str, body: &str) -> TcpStream {
    let mut client = server.ask(&format!("POST {path}"));
    write!(client, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    client
}

/// The status and the body.
fn answered(client: TcpStream) -> (u16, String) {
    let mut answer = BufReader::new(client);
    let (status, length) = head_of(&mut answer);
    let mut body = vec![0; length];
    answer.read_exact(&mut body).unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn converted(server: &Server, body: &str) -> (u16, String) {
    answered(posted(server, "/convert", body))
}

#[test]
fn a_body_is_converted_by_a_process_of_its_own() {
    let server = serving("tr a-z A-Z");
    assert_eq!(converted(&server, "loud"), (200, "LOUD".to_owned()));
    let large = "x".repeat(1_000_000);
    assert_eq!(converted(&server, &large), (200, large.to_uppercase()));
}

#[test]
fn each_failure_has_its_status() {
    let script = "read -r what; case $what in fail) exit 3;; die) kill -KILL $$;; hang) exec sleep 600;; esac";
    let server = serving(script);
    assert_eq!(converted(&server, "fail\n").0, 422);
    assert_eq!(converted(&server, "die\n").0, 502);
    assert_eq!(converted(&server, "hang\n").0, 504);
    // The length is refused before the body.
    let mut client = server.ask("POST /convert");
    write!(client, "Content-Length: {}\r\n\r\n", 17 << 20).unwrap();
    assert_eq!(answered(client).0, 413);
    assert_eq!(converted(&server, "go\n").0, 200);
}

#[test]
fn a_full_queue_is_told_with_the_time_of_the_next_try() {
    let server = serving("echo $$ >> pids; exec sleep 600");
    // Two run, and ten have a place: two more than the queue of eight.
    let clients: Vec<TcpStream> = (0..10).map(|_| posted(&server, "/convert", "x")).collect();
    server.pids("pids", 2);
    let refused = soon(
        || {
            let mut client = posted(&server, "/convert", "x");
            let head = read_until(&mut client, "\r\n");
            // Others may still be on their way to the queue.
            head.starts_with("HTTP/1.1 503 ")
                .then(|| head + &read_until(&mut client, "\r\n\r\n"))
        },
        || server.log(),
    );
    assert!(
        refused.to_lowercase().contains("\r\nretry-after: 1\r\n"),
        "{refused}"
    );
    drop(clients);
}

#[test]
fn a_client_that_leaves_cancels_its_job() {
    let server = serving("echo $$ >> pids; exec sleep 600");
    let client = posted(&server, "/convert", "x");
    let pids = server.pids("pids", 1);
    drop(client);
    gone(&pids);
}

#[test]
fn a_client_that_leaves_a_chat_frees_its_model() {
    let server = serving("cat");
    let endless = r#"{"prompt": "hello", "words": 1000000}"#;
    // Both models are busy.
    let mut talks: Vec<TcpStream> = (0..2).map(|_| posted(&server, "/chat", endless)).collect();
    talks
        .iter_mut()
        .for_each(|talk| drop(read_until(talk, "dog ")));
    let begun = Instant::now();
    drop(talks);
    let mut next = posted(&server, "/chat", r#"{"prompt": "hello", "words": 3}"#);
    read_until(&mut next, "brown ");
    // A job that nobody takes back runs for a minute.
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{}",
        server.log()
    );
}

#[test]
fn a_chat_is_streamed_word_by_word_and_a_crash_breaks_it_off() {
    let server = serving("cat");
    let mut client = posted(&server, "/chat", r#"{"prompt": "hello", "words": 3}"#);
    let head = read_until(&mut client, "\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let words = read_until(&mut client, "\r\n0\r\n\r\n");
    assert!(
        words.contains("the ") && words.contains("quick ") && words.contains("brown "),
        "{words}"
    );
    let (status, told) = answered(posted(
        &server,
        "/chat",
        r#"{"prompt": "crash", "words": 3}"#,
    ));
    assert_eq!(status, 502, "{told}");
    assert_eq!(answered(posted(&server, "/chat", "no json")).0, 422);
}

#[test]
fn a_stop_of_the_server_drains() {
    let server = serving("echo $$ >> pids; cat go; echo done");
    let gate = server.path("go");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let client = posted(&server, "/convert", "x");
    let pids = server.pids("pids", 1);
    server.signal(Signal::SIGTERM);
    // It takes no more connections, and what runs goes on.
    let refused = || TcpStream::connect(&server.address).is_err().then_some(());
    soon(refused, || server.log());
    std::fs::write(&gate, "and ").unwrap();
    assert_eq!(answered(client), (200, "and done\n".to_owned()));
    gone(&pids);
}
