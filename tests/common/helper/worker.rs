//! The helper as a worker of a pool, in the framing of descriptors 3 and 4: it does what each job's first word says, faults included.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

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
const BACK: u8 = 10;

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

thread_local! {
    /// Of a worker that takes jobs ahead: a read takes one packet, all of it.
    static PACKETS: RefCell<Option<BufReader<File>>> = const { RefCell::new(None) };
}

fn read_exact(bytes: &mut [u8]) -> std::io::Result<()> {
    PACKETS.with_borrow_mut(|packets| match packets {
        Some(packets) => packets.read_exact(bytes),
        None => file(3).read_exact(bytes),
    })
}

/// The next frame: its type, its job, its body. `None` at the end.
fn receive() -> Option<(u8, u64, Vec<u8>)> {
    let mut head = [0; 13];
    match read_exact(&mut head) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return None,
        result => result.unwrap(),
    }
    let length = u32::from_be_bytes(head[..4].try_into().unwrap());
    let mut body = vec![0; length as usize - 9];
    read_exact(&mut body).unwrap();
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
/// | `behind` | answers how many bytes wait in its pipe, as soon as some do, or nothing after 50 ms |
/// | `hold PATH` | when some do, adds its pid to `PATH.held`, waits until there is this file and answers its pid; or answers nothing after 50 ms |
/// | `leaves PATH` | the same, and exits then |
/// | `note PATH` | makes this file, and answers |
pub(super) fn work(ahead: bool) {
    if ahead {
        let jobs = ManuallyDrop::into_inner(file(3));
        PACKETS.set(Some(BufReader::with_capacity(64 * 1024, jobs)));
    }
    send(READY, 0, if ahead { b"\x02helper" } else { b"\x01helper" });
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
                match kind {
                    CANCEL if of == id => return end(text),
                    JOB => send(BACK, of, b""),
                    _ => {}
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
        "behind" => {
            let behind = behind();
            end(&behind.map(|bytes| bytes.to_string()).unwrap_or_default());
        }
        "hold" | "leaves" => {
            if behind().is_none() {
                return end("");
            }
            let pid = std::process::id().to_string();
            let held = File::options()
                .create(true)
                .append(true)
                .open(format!("{text}.held"));
            held.unwrap()
                .write_all(format!("{pid}\n").as_bytes())
                .unwrap();
            until_there(text);
            end(&pid);
            if what == "leaves" {
                std::process::exit(0);
            }
        }
        "note" => {
            File::create(text).unwrap();
            end("");
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
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How many bytes wait in its pipe, unless none do for 50 ms.
fn behind() -> Option<i32> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(50) {
        let mut bytes = 0;
        // SAFETY: the pointer is to a live integer.
        let asked = unsafe { libc::ioctl(3, libc::FIONREAD, &raw mut bytes) };
        assert_eq!(asked, 0);
        if bytes > 0 {
            return Some(bytes);
        }
        std::thread::yield_now();
    }
    None
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
