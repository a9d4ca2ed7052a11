//! The example `http`, as its users meet it: over loopback, by curl and by clients that leave, break off, hang or are slow.

use crate::common;
use crate::http_server::{HTTP, Server, gone, has_curl, read_head, read_until, soon};

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use common::census::is_gone;
use common::example::{program, run_to_failure};
use common::patterns::pattern;
use nix::sys::signal::Signal;

const MEGABYTE: usize = 1_000_000;

/// Silent, with a child, and with the grandchild of a shell that has exited; all tell who they are in a file.
const SILENT: &str =
    "silent=sleep 300 & sh -c 'sleep 300 & echo $! > heir'; echo $$ $! $(cat heir) > pids; wait";

#[test]
fn run_streams_what_a_program_prints_as_it_comes() {
    let server = Server::start(&["two=echo one; mkfifo gate; echo > ready; cat gate; echo two"]);
    let mut client = server.get("/run/two");
    read_head(&mut client);
    assert_eq!(read_until(&mut client, "one\n\r\n"), "4\r\none\n\r\n");
    soon(
        || server.path("ready").exists().then_some(()),
        || server.log(),
    );
    fs::write(server.path("gate"), "and ").unwrap();
    let rest = read_until(&mut client, "\r\n0\r\n\r\n");
    assert!(rest.contains("two\n"), "{rest}");
}

#[test]
fn convert_pipes_a_body_through_a_program() {
    if !has_curl() {
        return;
    }
    let server = Server::start(&["upper=exec tr a-z A-Z"]);
    let body = server.path("body");
    fs::write(&body, "some text\n".repeat(300_000)).unwrap();
    let at = format!("@{}", body.display());
    let output = server.curl(&["--data-binary", &at], "/convert/upper");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout == "SOME TEXT\n".repeat(300_000).into_bytes());
    assert_eq!(server.log(), "");
}

#[test]
fn a_request_names_a_program_and_makes_none() {
    let server = Server::start(&["echo=echo \"$0\" \"$@\""]);
    for path in [
        "/run/sh",
        "/run/echo%20x",
        "/run/echo;id",
        "/run/..%2fbin%2fid",
        "/run/",
    ] {
        let head = read_until(&mut server.get(path), "\r\n");
        assert_eq!(head, "HTTP/1.1 404 Not Found\r\n", "{path}");
    }
    let mut client = server.get("/run/echo?x=y");
    read_head(&mut client);
    assert_eq!(
        read_until(&mut client, "0\r\n\r\n"),
        "3\r\nsh\n\r\n0\r\n\r\n"
    );
}

#[test]
fn a_program_without_a_script_is_refused() {
    let said = run_to_failure(program(HTTP).args(["0", "cat"]));
    assert!(said.contains("NAME=SCRIPT"), "{said}");
}

#[test]
fn a_client_that_leaves_kills_the_tree_of_a_silent_child() {
    let server = Server::start(&[SILENT]);
    let end_half = |client: TcpStream| {
        client.shutdown(Shutdown::Write).unwrap();
        // It reads on, and gets nothing.
        client
    };
    for round in 0..4 {
        let _ = fs::remove_file(server.path("pids"));
        let mut client = if round % 2 == 0 {
            server.get("/run/silent")
        } else {
            let mut client = server.post("/convert/silent", 5);
            client.write_all(b"whole").unwrap();
            client
        };
        read_head(&mut client);
        let pids = server.pids("pids", 3);
        assert!(pids.iter().all(|pid| !is_gone(*pid)), "{pids:?}");
        let _kept = if round < 2 {
            drop(client);
            None
        } else {
            Some(end_half(client))
        };
        gone(&pids);
    }
}

#[test]
fn a_client_that_leaves_a_flood_ends_it() {
    let server = Server::start(&["yes=echo $$ > pid; exec yes"]);
    let mut client = server.get("/run/yes");
    read_head(&mut client);
    let pids = server.pids("pid", 1);
    // Its socket is full: the server waits to write.
    drop(client);
    gone(&pids);
}

#[test]
fn a_curl_that_is_killed_takes_the_child_with_it() {
    if !has_curl() {
        return;
    }
    let server = Server::start(&[SILENT]);
    let url = format!("http://{}/run/silent", server.address);
    let mut curl = Command::new("curl").args(["-sN", &url]).spawn().unwrap();
    let pids = server.pids("pids", 3);
    curl.kill().unwrap();
    curl.wait().unwrap();
    gone(&pids);
}

#[test]
fn what_an_exited_shell_leaves_neither_lives_on_nor_holds_up_the_answer() {
    let server = Server::start(&["heir=sleep 300 & echo $!"]);
    let mut client = server.get("/run/heir");
    read_head(&mut client);
    let answer = read_until(&mut client, "\r\n0\r\n\r\n");
    let heir: i32 = answer.lines().nth(1).unwrap().parse().unwrap();
    gone(&[heir]);
}

#[test]
fn a_child_that_fails_breaks_its_answer_off() {
    let fails = "fails=echo half; echo oops >&2; exit 3";
    let server = Server::start(&[fails, "dies=cat > /dev/null; echo half; kill -9 $$"]);
    for head in ["GET /run/fails", "POST /convert/dies"] {
        let mut client = server.ask(head);
        client.write_all(b"Content-Length: 0\r\n\r\n").unwrap();
        read_head(&mut client);
        let mut rest = String::new();
        client.read_to_string(&mut rest).unwrap();
        // No last chunk.
        assert_eq!(rest, "5\r\nhalf\n\r\n");
    }
    assert!(
        server
            .log()
            .contains("fails: `sh` exited with code 3: oops\n"),
        "{}",
        server.log()
    );
    assert!(
        server.log().contains("dies: `sh` was killed by SIGKILL\n"),
        "{}",
        server.log()
    );
    if !has_curl() {
        return;
    }
    for (args, path) in [(&[][..], "/run/fails"), (&["-d", "x"], "/convert/dies")] {
        let output = server.curl(args, path);
        assert_eq!(output.stdout, b"half\n");
        // A partial file, or a failure to receive.
        assert!(matches!(output.status.code(), Some(18 | 56)), "{output:?}");
    }
}

#[test]
fn a_body_that_breaks_off_kills_the_filter_which_never_sees_an_end() {
    let server = Server::start(&["eat=echo $$ > pid; cat > /dev/null; echo > whole; sleep 300"]);
    for _ in 0..5 {
        let _ = fs::remove_file(server.path("pid"));
        let mut client = server.post("/convert/eat", 1000);
        client.write_all(b"not a thousand").unwrap();
        let pids = server.pids("pid", 1);
        drop(client);
        gone(&pids);
    }
    assert!(!server.path("whole").exists());
}

/// Reads an answer of this length, no faster than 20 MB a second; gives it to `take` in pieces.
fn read_slowly(client: TcpStream, length: usize, mut take: impl FnMut(&[u8])) {
    let begun = Instant::now();
    let mut client = BufReader::new(client);
    let mut seen = 0;
    let mut line = String::new();
    loop {
        line.clear();
        client.read_line(&mut line).unwrap();
        let size = usize::from_str_radix(line.trim_end(), 16);
        let size = size.unwrap_or_else(|_| panic!("{line:?} after {seen} bytes"));
        let mut chunk = vec![0; size + 2];
        client.read_exact(&mut chunk).unwrap();
        if size == 0 {
            break;
        }
        take(&chunk[..size]);
        seen += size;
        let due = Duration::from_secs_f64(seen as f64 / (20 * MEGABYTE) as f64);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    assert_eq!(seen, length);
}

fn through_cat(server: &Server, sample: &[u8], megabytes: usize) {
    let mut client = server.post("/convert/cat", megabytes * MEGABYTE);
    let mut up = client.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..megabytes {
                up.write_all(sample).unwrap();
            }
        });
        read_head(&mut client);
        let mut seen = 0;
        read_slowly(client, megabytes * MEGABYTE, |chunk| {
            let (first, second) = chunk.split_at(chunk.len().min(MEGABYTE - seen));
            assert!(sample[seen..].starts_with(first) && sample.starts_with(second));
            seen = (seen + chunk.len()) % MEGABYTE;
        });
    });
}

#[test]
fn many_megabytes_go_up_and_down_with_a_slow_client_in_flat_memory() {
    let server = Server::start(&["cat=exec cat"]);
    let sample = pattern(MEGABYTE);
    // On each of its workers.
    for _ in 0..8 {
        through_cat(&server, &sample, 2);
    }
    let before = server.peak_memory();
    through_cat(&server, &sample, common::amount(100, 30));
    let grown = server.peak_memory().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more than for 2 MB");
}

#[test]
fn sigterm_leaves_nobody() {
    let server = Server::start(&[SILENT, "yes=echo $$ > yes; exec yes"]);
    let mut clients = vec![server.get("/run/silent")];
    let mut pids = server.pids("pids", 3);
    // This one does not read.
    clients.push(server.get("/run/yes"));
    pids.extend(server.pids("yes", 1));
    server.signal(Signal::SIGTERM);
    ended(server);
    gone(&pids);
}

/// It ends by itself, as a success.
fn ended(mut server: Server) {
    let status = soon(
        || server.process.try_wait().unwrap(),
        || "the server runs on".into(),
    );
    assert!(status.success(), "{status}: {}", server.log());
}

#[test]
fn an_answer_that_ends_soon_after_a_sigterm_is_whole() {
    let server = Server::start(&["slow=mkfifo gate; echo > ready; cat gate"]);
    let mut client = server.get("/run/slow");
    read_head(&mut client);
    soon(
        || server.path("ready").exists().then_some(()),
        || server.log(),
    );
    server.signal(Signal::SIGTERM);
    // It takes no others any more.
    let refused = || TcpStream::connect(&server.address).is_err().then_some(());
    soon(refused, || "it still takes clients".into());
    fs::write(server.path("gate"), "last\n").unwrap();
    assert_eq!(
        read_until(&mut client, "0\r\n\r\n"),
        "5\r\nlast\n\r\n0\r\n\r\n"
    );
    ended(server);
}
