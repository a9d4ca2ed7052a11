//! The children that no ordinary program is: this program, called with `@` words.

use std::io::{self, Read, Write};
use std::time::Duration;

use actix_process::Bytes;
use actix_process::pool::worker;
use nix::sys::signal::{SigSet, Signal};

use crate::measure::pin;

/// The arguments that make this program a child: see [`run`].
pub(crate) fn args(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

pub(crate) fn program() -> String {
    let program = std::env::current_exe().expect("this program has a path");
    program
        .into_os_string()
        .into_string()
        .expect("cargo's paths are text")
}

/// Runs the child that `args` name; false if they name none.
///
/// | arguments | does |
/// |---|---|
/// | `@pour BYTES CHUNK` | writes BYTES to standard output, CHUNK at a time |
/// | `@lines N BLOCK` | writes N lines of 100 bytes, in blocks of so many bytes; 4096 without it, as stdio does |
/// | `@drip MICROS` | when its input has ended, writes single bytes until nobody reads, MICROS apart; 0: without pause |
/// | `@deaf` | ignores SIGTERM, writes a line, and waits for ever |
/// | `@born FIFO` | writes its pid to FIFO, and waits for ever |
/// | `@length` | answers each job with itself: four bytes of its length, and the job, on its standard input and output |
/// | `@worker` | answers each job of a pool with itself, or `pour BYTES` with so many, 64 KiB at a time |
/// | `@on CPU WORD...` | the same as the words after it, on that CPU |
pub(crate) fn run(args: &[String]) -> bool {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse::<usize>().expect("a number");
    // What nobody reads any more is written in vain, and no error.
    let _ = match words[..] {
        ["@on", cpu, ..] => {
            pin(number(cpu));
            return run(&args[2..]);
        }
        ["@pour", bytes, chunk] => pour(number(bytes), number(chunk)),
        ["@lines", lines] => write_lines(number(lines), 4096),
        ["@lines", lines, block] => write_lines(number(lines), number(block)),
        ["@drip", micros] => drip(Duration::from_micros(number(micros) as u64)),
        ["@deaf"] => deaf(),
        ["@born", fifo] => born(fifo),
        ["@length"] => length(),
        ["@worker"] => worker(),
        _ => return false,
    };
    true
}

fn pour(mut bytes: usize, chunk: usize) -> io::Result<()> {
    let chunk = vec![b'x'; chunk];
    while bytes > 0 {
        bytes -= write(&chunk[..bytes.min(chunk.len())])?;
    }
    Ok(())
}

fn write_lines(lines: usize, block: usize) -> io::Result<()> {
    let mut line = [b'x'; 100];
    line[99] = b'\n';
    let mut blocks = io::BufWriter::with_capacity(block, Stdout);
    for _ in 0..lines {
        blocks.write_all(&line)?;
    }
    blocks.flush()
}

fn drip(pause: Duration) -> io::Result<()> {
    io::stdin().read_to_end(&mut Vec::new())?;
    loop {
        write(b".")?;
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
}

fn deaf() -> io::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    // Blocked is as good as ignored: nobody takes it.
    signals.thread_block()?;
    write(b"deaf\n")?;
    wait_for_ever()
}

fn born(fifo: &str) -> io::Result<()> {
    std::fs::write(fifo, format!("{}\n", std::process::id()))?;
    wait_for_ever()
}

fn length() -> io::Result<()> {
    let (mut jobs, mut job) = (io::BufReader::with_capacity(64 * 1024, Stdin), Vec::new());
    loop {
        let mut length = [0; 4];
        if jobs.read_exact(&mut length).is_err() {
            return Ok(());
        }
        job.clear();
        job.extend_from_slice(&length);
        job.resize(4 + u32::from_be_bytes(length) as usize, 0);
        jobs.read_exact(&mut job[4..])?;
        Stdout.write_all(&job)?;
    }
}

fn worker() -> io::Result<()> {
    let chunk = vec![b'x'; 64 * 1024];
    worker::serve(|job| {
        let pour = job
            .body()
            .strip_prefix(b"pour ")
            .map(String::from_utf8_lossy);
        let Some(bytes) = pour else {
            return Ok(job.body().clone());
        };
        let mut left: usize = bytes.parse().expect("a number");
        while left > 0 {
            let part = left.min(chunk.len());
            job.chunk(&chunk[..part])?;
            left -= part;
        }
        Ok::<_, worker::Cancelled>(Bytes::new())
    })
}

/// Standard input without std's buffer.
struct Stdin;

impl Read for Stdin {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        Ok(nix::unistd::read(io::stdin(), space)?)
    }
}

fn wait_for_ever() -> ! {
    loop {
        nix::unistd::pause();
    }
}

/// Standard output without std's buffer.
struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(bytes: &[u8]) -> io::Result<usize> {
    Ok(nix::unistd::write(io::stdout(), bytes)?)
}
