//! Our helpers beside processkit's, told and not judged: it does other things too.
//!
//! `cargo bench -p peers --bench processkit` runs each work of each side in a process of its own, in
//! turn, five times, and tells the medians of the rate and of the parent's CPU time. `-- --test` runs each once, small.
//!
//! processkit is used as its documents say: `output_all` for many, `start` and `stdout_lines` for lines, in tokio's default runtime
//! (a thread for each CPU). Ours runs in a System of one thread.

use std::io::Write;
use std::process::Stdio;
use std::time::Instant;

use futures::stream::{self, StreamExt};
use nix::sys::resource::{UsageWho, getrusage};
use processkit::JobRunner;

/// 400 children, 16 at a time.
const SHORT: &str = "short";
/// 1,000 children at once.
const CROWD: &str = "crowd";
/// 1 GB in lines of 100 bytes.
const LINES: &str = "lines";

const ROUNDS: usize = 5;
const LINE: usize = 100;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["@lines", count] => write_lines(number(count)),
        [side, work, size] => measure(side, work, number(size)),
        ["--test", ..] => tell_all([10, 10, 1000], 1),
        _ => tell_all([400, 1000, 10_000_000], ROUNDS),
    }
}

fn tell_all(sizes: [usize; 3], rounds: usize) {
    for (work, size) in [SHORT, CROWD, LINES].into_iter().zip(sizes) {
        tell(work, size, rounds);
    }
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

/// Measures both sides in turn, and tells the medians.
fn tell(work: &str, size: usize, rounds: usize) {
    let sides = ["ours", "processkit"];
    let mut results = sides.map(|_| Vec::new());
    for round in 0..rounds {
        // They take turns in being first.
        for index in [round % 2, 1 - round % 2] {
            results[index].push(one(sides[index], work, size));
        }
    }
    for (side, results) in sides.iter().zip(results) {
        let of = |part: fn(&(f64, f64)) -> f64| median(results.iter().map(part).collect());
        let rate = size as f64 / of(|result| result.0);
        println!(
            "{work} {side}: {rate:.0} a second, {:.3} s of CPU",
            of(|result| result.1)
        );
    }
}

/// Wall and CPU time of one side, in a process of its own.
fn one(side: &str, work: &str, size: usize) -> (f64, f64) {
    let output = std::process::Command::new(program())
        .args([side, work, &size.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .expect("this program can be executed");
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().flat_map(str::parse).collect();
    match numbers[..] {
        [wall, cpu] => (wall, cpu),
        _ => panic!("{side} {work} said {text:?}"),
    }
}

fn measure(side: &str, work: &str, size: usize) {
    let (system, runtime);
    let work: Box<dyn FnOnce()> = match side {
        "ours" => {
            system = actix::System::new();
            // Its threads are there from the first spawn on.
            system.block_on(ours(SHORT, 1));
            Box::new(move || system.block_on(ours(work, size)))
        }
        _ => {
            runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
            runtime.block_on(processkits(SHORT, 1));
            Box::new(move || runtime.block_on(processkits(work, size)))
        }
    };
    let (begun, cpu) = (Instant::now(), cpu_time());
    work();
    println!("{} {}", begun.elapsed().as_secs_f64(), cpu_time() - cpu);
}

async fn ours(work: &str, size: usize) {
    use actix_process::{Command, Fd, NoProtocol};
    if work == LINES {
        let command = Command::new(program()).args(["@lines", &size.to_string()]);
        let process = command.stdout(Fd::stream()).spawn(NoProtocol).await;
        let process = process.expect("this program can be spawned");
        let mut lines = process.take_stream(1).expect("it is a stream").lines(1024);
        let mut count = 0;
        while let Some(line) = lines.next().await {
            assert_eq!(line.expect("it is text").len(), LINE - 1);
            count += 1;
        }
        assert_eq!(count, size);
        let status = process.ended().await;
        assert!(status.success());
        return;
    }
    let command = Command::new("/bin/echo").arg("hello");
    let runs = stream::iter((0..size).map(|_| command.output().into_future()));
    let mut runs = runs.buffer_unordered(at_a_time(work));
    while let Some(output) = runs.next().await {
        assert_eq!(output.expect("echo runs").stdout, b"hello\n");
    }
}

async fn processkits(work: &str, size: usize) {
    use processkit::{Command, output_all};
    if work == LINES {
        let command = Command::new(program()).args(["@lines", &size.to_string()]);
        let process = command.start().await;
        let mut process = process.expect("this program can be spawned");
        let mut lines = process.stdout_lines().expect("it is piped");
        let mut count = 0;
        while let Some(line) = lines.next().await {
            assert_eq!(line.len(), LINE - 1);
            count += 1;
        }
        assert_eq!(count, size);
        let finished = process.finish().await.expect("it ends");
        assert_eq!(finished.outcome.code(), Some(0));
        return;
    }
    let commands = (0..size).map(|_| Command::new("/bin/echo").arg("hello"));
    for output in output_all(commands, at_a_time(work), &JobRunner).await {
        assert_eq!(output.expect("echo runs").stdout().trim_end(), "hello");
    }
}

fn at_a_time(work: &str) -> usize {
    if work == SHORT { 16 } else { 1000 }
}

fn program() -> String {
    let program = std::env::current_exe().expect("this program has a path");
    program
        .into_os_string()
        .into_string()
        .expect("cargo's paths are text")
}

fn write_lines(count: usize) {
    let mut line = [b'x'; LINE];
    line[LINE - 1] = b'\n';
    let mut out = std::io::BufWriter::with_capacity(64 * 1024, std::io::stdout().lock());
    for _ in 0..count {
        out.write_all(&line).expect("somebody reads");
    }
}

/// CPU time of all threads of this process, user and system.
fn cpu_time() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process may ask about itself");
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
