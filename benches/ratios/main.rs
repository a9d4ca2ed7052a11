//! How we compare: each line is a ratio of ours to a peer that does the same work, each in a process
//! of its own, measured in turn in one run: so a busy or slow machine weighs on both.
//!
//! `cargo bench --bench ratios` runs all, `-- NAME...` some. A line is
//! `NAME ratio [min-max] bar OP VALUE ok|SHORT`; what it was made of goes to standard error.
//! The exit status is 1 if any falls short, else 2 if any could not run, else 0.
//!
//! `--test` runs each once with small numbers and judges nothing. `NAME --profile ours ROUNDS` runs
//! one side only (`peer` for the other), for a profiler to watch, and counts its allocations.
//! `nats_scale` prints the figures of `docs/scale.md`.

mod by_hand;
mod crowd;
mod dying;
mod flowing;
mod harness;
mod helper;
mod idle;
mod measure;
#[cfg(feature = "nats")]
mod nats_jobs;
#[cfg(feature = "nats")]
mod nats_scale;
#[cfg(feature = "nats")]
mod nats_server;
mod peer;
mod pool_peers;
mod pools;
mod service_lines;
mod service_restarts;
mod services;
mod sides;
mod spawning;
mod stalls;
mod streaming;
mod talking;
mod worker;

use std::process::ExitCode;

use harness::{Bench, Scale, Verdict};
use worker::Who;

#[global_allocator]
static COUNTING: measure::Counting = measure::Counting;

fn benches() -> Vec<Bench> {
    let all = [
        spawning::benches(),
        stalls::benches(),
        dying::benches(),
        streaming::benches(),
        talking::benches(),
        flowing::benches(),
        idle::benches(),
        services::benches(),
        service_restarts::benches(),
        service_lines::benches(),
        pools::benches(),
        #[cfg(feature = "nats")]
        nats_jobs::benches(),
    ];
    all.into_iter().flatten().collect()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if helper::run(&args) {
        return ExitCode::SUCCESS;
    }
    // Cargo says `--bench`.
    let words = args.iter().map(String::as_str);
    let words: Vec<&str> = words.filter(|word| *word != "--bench").collect();
    let scale = if words.contains(&"--test") {
        Scale::Smoke
    } else {
        Scale::Full
    };
    let words: Vec<&str> = words.into_iter().filter(|word| *word != "--test").collect();
    let benches = benches();
    let find = |name: &str| benches.iter().find(|bench| bench.name == name);
    let verdict = match words[..] {
        [name, "--worker", who] => {
            let (Some(bench), Some(who)) = (find(name), who_is(who)) else {
                return usage(&benches);
            };
            worker::serve(bench, who, scale);
            Verdict::Ok
        }
        [name, "--profile", who, rounds] => {
            let (Some(bench), Some(who), Ok(rounds)) = (find(name), who_is(who), rounds.parse())
            else {
                return usage(&benches);
            };
            bench.profile(who, rounds, scale)
        }
        #[cfg(feature = "nats")]
        ["nats_scale"] => nats_scale::print(scale),
        _ if words.iter().any(|name| find(name).is_none()) => return usage(&benches),
        _ => {
            let wanted = |bench: &&Bench| words.is_empty() || words.contains(&bench.name);
            let verdicts = benches.iter().filter(wanted).map(|bench| bench.run(scale));
            verdicts.fold(Verdict::Ok, Verdict::worse)
        }
    };
    ExitCode::from(verdict as u8)
}

fn who_is(name: &str) -> Option<Who> {
    [Who::Ours, Who::Peer]
        .into_iter()
        .find(|who| who.name() == name)
}

fn usage(benches: &[Bench]) -> ExitCode {
    let names: Vec<_> = benches.iter().map(|bench| bench.name).collect();
    eprintln!("[NAME...] [--test], or NAME --profile ours|peer ROUNDS, with NAME of {names:?}");
    ExitCode::FAILURE
}
