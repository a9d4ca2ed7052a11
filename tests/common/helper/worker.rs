//! The helper as a worker of a pool, in the framing of descriptors 3 and 4: it does what each job's first word says, faults included.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};

use nix::libc;

use super::{file, grandchild, number, pattern, tell};

const JOB: u8 = 1;
const CHUNK: u8 = 2;
const END: u8 = 3;
const ERROR: u8 = 4;
const CANCEL: u8 = 5;
const READY: u8 = 6;
const PROGRESS: u8 = 7;
const PING: u8 = 8;

/// A frame, by one write.
fn send(kind: u8, id: u64, body: &[u8]) {
    let _ = file(4).write_all(&frame(kind, id, body));
}

fn frame(kind: u8, id: u64, body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32 + 9).to_be_bytes().to_vec();
    frame.push(kind);
    frame.extend(id.to_be_bytes());
    frame.extend(body);
    frame
}

/// The next frame: its type, its job, its body. `None` at the end.
fn receive() -> Option<(u8, u64, Vec<u8>)> {
    let mut head = [0; 13];
    match file(3).read_exact(&mut head) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return None,
        result => result.unwrap(),
    }
    let length = u32::from_be_bytes(head[..4].try_into().unwrap());
    let mut body = vec![0; length as usize - 9];
    file(3).read_exact(&mut body).unwrap();
    Some((
        head[4],
        u64::from_be_bytes(head[5..].try_into().unwrap()),
        body,
    ))
}

/// Does jobs until 3 ends. A job is a word, and a text after a space:
///
/// | job | what it does |
/// |---|---|
/// | `echo TEXT` | answers TEXT |
/// | `fail TEXT` | answers with the error TEXT |
/// | `chunks N` | answers N parts of 1,000 bytes |
/// | `once PATH` | makes this file and dies; if the file is there, answers `again` |
/// | `begin PATH` | as `once`, and sends a part of an answer before it dies |
/// | `wait PATH` | as `once`; if the file is there, waits for its cancel |
/// | `count` | answers how many jobs it had before |
/// | `noisy TEXT` | writes a line to 1 and 200 KiB to 2, then answers TEXT |
/// | `pid`, `leave` | answers its own pid; or that of a grandchild with all descriptors of this one |
/// | `raise SIGNAL`, `exit CODE` | ends |
/// | `hang` | neither answers nor reads |
/// | `garble` | answers bytes that are no frame |
/// | `twice TEXT` | answers TEXT, twice |
/// | `other TEXT` | answers TEXT, as the answer of the job whose id is the next higher one |
/// | `huge` | sends the head of a frame of 4 GiB |
/// | `half` | sends half a frame, and exits with 0 |
/// | `close FD` | closes FD and lives on, without an answer |
/// | `last FD` | answers, closes FD and lives on |
/// | `cancelled TEXT` | waits for its cancel, and answers TEXT then |
/// | `ping` | sends pings, and reads nothing |
/// | `pings` | the same with empty ones, thousands by one write |
/// | `pinged N PATH` | sends N pings of 4 KiB, answers, and reads on when there is this file |
/// | `dust N SIZE` | answers N parts of SIZE bytes, thousands by one write |
/// | `flood N PATH` | when there is `PATH.go`: says N times that it goes on and answers, by one write, and makes `PATH.done` |
/// | `steps TEXT` | says that it goes on (`half`), and answers TEXT |
/// | `stray ID` | says that the job of this id goes on |
/// | `first FD` | closes FD, answers, and lives on |
/// | `input` | reads 0 to its end, and answers how many bytes came |
pub(super) fn work() {
    send(READY, 0, b"\x01helper");
    let mut jobs = 0;
    while let Some((kind, id, body)) = receive() {
        if kind == JOB {
            let text = String::from_utf8_lossy(&body);
            let (what, text) = text.split_once(' ').unwrap_or((&text, ""));
            match what {
                "count" => send(END, id, jobs.to_string().as_bytes()),
                _ => work_on(id, what, text),
            }
            jobs += 1;
        }
    }
}

fn work_on(id: u64, what: &str, text: &str) {
    let end = |text: &str| send(END, id, text.as_bytes());
    match what {
        "echo" => end(text),
        "fail" => send(ERROR, id, text.as_bytes()),
        "chunks" => {
            for _ in 0..number(text) {
                send(CHUNK, id, &[b'c'; 1000]);
            }
            end("");
        }
        "once" | "begin" | "wait" => {
            if File::create_new(text).is_err() {
                return match what {
                    "wait" => work_on(id, "cancelled", "again"),
                    _ => end("again"),
                };
            }
            if what == "begin" {
                send(CHUNK, id, b"begun");
            }
            // SAFETY: an integer.
            let _ = unsafe { libc::raise(libc::SIGKILL) };
        }
        "noisy" => {
            tell(1, "this is no answer\n");
            let _ = file(2).write_all(&pattern(200 * 1024));
            end(text);
        }
        "pid" => end(&std::process::id().to_string()),
        "leave" => end(&grandchild(&["pause"]).to_string()),
        // SAFETY: an integer.
        "raise" => drop(unsafe { libc::raise(number(text)) }),
        "exit" => std::process::exit(number(text)),
        "hang" => hang(),
        "garble" => drop(file(4).write_all(&[0xff; 64])),
        "twice" => {
            let answer = frame(END, id, text.as_bytes());
            let _ = file(4).write_all(&[&answer[..], &answer].concat());
        }
        "other" => send(END, id + 1, text.as_bytes()),
        "huge" => {
            let mut head = frame(END, id, b"");
            head[..4].fill(0xff);
            let _ = file(4).write_all(&head);
        }
        "half" => {
            let answer = frame(END, id, &[b'h'; 100]);
            let _ = file(4).write_all(&answer[..50]);
            std::process::exit(0);
        }
        "close" => close(text),
        "last" => {
            end("");
            close(text);
        }
        "cancelled" => {
            while let Some((kind, of, _)) = receive() {
                if kind == CANCEL && of == id {
                    return end(text);
                }
            }
        }
        "steps" => {
            send(PROGRESS, id, b"half");
            end(text);
        }
        "stray" => send(PROGRESS, number(text) as u64, b""),
        "first" => {
            // SAFETY: nothing here owns it.
            unsafe { libc::close(number(text)) };
            end("");
            hang();
        }
        "input" => {
            let mut all = Vec::new();
            file(0).read_to_end(&mut all).unwrap();
            end(&all.len().to_string());
        }
        "dust" => {
            let (count, size) = text.split_once(' ').unwrap();
            let (mut left, part) = (number(count), vec![b'd'; number(size) as usize]);
            while left > 0 {
                let some = left.min(4_000);
                let _ = file(4).write_all(&frame(CHUNK, id, &part).repeat(some as usize));
                left -= some;
            }
            end("");
        }
        "flood" => {
            let (count, path) = text.split_once(' ').unwrap();
            until_there(&format!("{path}.go"));
            let mut all = frame(PROGRESS, id, b"").repeat(number(count) as usize);
            all.extend(frame(END, id, b""));
            file(4).write_all(&all).unwrap();
            File::create(format!("{path}.done")).unwrap();
        }
        "pinged" => {
            let (count, path) = text.split_once(' ').unwrap();
            for _ in 0..number(count) {
                send(PING, 0, &[b'p'; 4096]);
            }
            end("");
            until_there(path);
        }
        "pings" => loop {
            let _ = file(4).write_all(&frame(PING, 0, b"").repeat(4_000));
        },
        "ping" => loop {
            send(PING, 0, &[b'p'; 4096]);
        },
        other => panic!("no job is named {other}"),
    }
}

fn until_there(path: &str) {
    while !std::path::Path::new(path).exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

fn close(fd: &str) {
    // SAFETY: nothing here owns it.
    unsafe { libc::close(number(fd)) };
    hang();
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}
