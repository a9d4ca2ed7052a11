//! How we compare: each line is a ratio of ours to a peer that does the same work, both measured in
//! turn in one run, so that a busy or slow machine weighs on both.
//!
//! `cargo bench --bench ratios` runs all, `-- NAME...` some. A line is
//! `NAME ratio [min-max] bar OP VALUE ok|SHORT`; what it was made of goes to standard error.
//! The exit status is 1 if any falls short, else 2 if any could not run, else 0.
//! `--test` runs each once with small numbers and judges nothing.

mod crowd;
mod dying;
mod flowing;
mod harness;
mod helper;
mod idle;
mod measure;
mod peer;
mod sides;
mod spawning;
mod stalls;
mod streaming;

use std::process::{Command, ExitCode};

use harness::{Bench, Scale, Verdict};

#[global_allocator]
static COUNTING: measure::Counting = measure::Counting;

fn benches() -> Vec<Bench> {
    let all = [
        spawning::benches(),
        stalls::benches(),
        dying::benches(),
        streaming::benches(),
        flowing::benches(),
        idle::benches(),
    ];
    all.into_iter().flatten().collect()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if helper::run(&args) {
        return ExitCode::SUCCESS;
    }
    let smoke = args.iter().any(|arg| arg == "--test");
    let names: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let benches = benches();
    if let Some(unknown) = names.iter().find(|n| benches.iter().all(|b| b.name != **n)) {
        let known: Vec<_> = benches.iter().map(|bench| bench.name).collect();
        eprintln!(
            "there is no bench {unknown}; there are {}",
            known.join(", ")
        );
        return ExitCode::FAILURE;
    }
    let verdict = match names[..] {
        [name] => {
            let bench = benches.into_iter().find(|bench| bench.name == *name);
            let scale = if smoke { Scale::Smoke } else { Scale::Full };
            bench.map_or(Verdict::Short, |bench| bench.run(scale))
        }
        _ => {
            let wanted =
                |bench: &&Bench| names.is_empty() || names.iter().any(|n| *n == bench.name);
            let each = benches.iter().filter(wanted);
            each.map(|bench| in_a_process_of_its_own(bench.name, smoke))
                .fold(Verdict::Ok, Verdict::worse)
        }
    };
    ExitCode::from(verdict as u8)
}

/// So that none finds the threads, memory or affinity of another.
fn in_a_process_of_its_own(name: &str, smoke: bool) -> Verdict {
    let program = std::env::current_exe().expect("this program has a path");
    let status = Command::new(program)
        .arg(name)
        .args(smoke.then_some("--test"))
        .status();
    match status.expect("this program can be executed").code() {
        Some(0) => Verdict::Ok,
        Some(2) => Verdict::Skipped,
        _ => Verdict::Short,
    }
}
