//! Many children held at once, and their deaths.

use actix_process::Command;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

use crate::harness::{Bench, Metric, Rounds, Scale, Side, Skipped, USUAL};
use crate::measure::{Cost, cost, cpu_time};
use crate::sides::{ByHand, Ours, Tokio};
use crate::{by_hand, crowd, peer};

pub(crate) fn benches() -> Vec<Bench> {
    vec![
        // The parent's CPU time of one exit while 1,000 children live, against 100, and against a
        // host that looks at each of 1,000 at every SIGCHLD.
        Bench {
            name: "reap_flat",
            metrics: vec![
                Metric::at_most("1000_to_100", "us of CPU an exit", 1.5, 1.0),
                Metric::at_most("to_sweep", "us of CPU an exit", 0.40, 0.18),
            ],
            rounds: USUAL,
            ours: reap_among_many,
            peer: reap_among_few_and_sweep,
        },
        // 1,000 children killed at once, to the last `ProcessEnded`, against tokio.
        Bench {
            name: "mass_exit",
            metrics: wall_and_cpu(1.2, 1.6, 1.0, 1.0),
            rounds: USUAL,
            ours: mass_exit_ours,
            peer: mass_exit_tokio,
        },
        // The same against what an actix user would write by hand.
        Bench {
            name: "mass_exit_by_hand",
            metrics: vec![
                Metric::at_least("rate", "exits/s", 1.0, 1.05),
                Metric::at_most("cpu", "s", 1.0, 0.95),
            ],
            rounds: USUAL,
            ours: |scale| Ok(as_rate(scale, mass_exit_ours(scale)?)),
            peer: |scale| Ok(as_rate(scale, mass_exit_by_hand(scale)?)),
        },
        // 4,000 children with three pipes live at once, from the first spawn to the last end,
        // against tokio.
        Bench {
            name: "hold_4000",
            metrics: wall_and_cpu(1.1, 1.3, 0.9, 1.0),
            rounds: Rounds { least: 3, most: 7 },
            ours: hold_ours,
            peer: hold_tokio,
        },
    ]
}

fn wall_and_cpu(wall: f64, cpu: f64, wall_aim: f64, cpu_aim: f64) -> Vec<Metric> {
    vec![
        Metric::at_most("wall", "s", wall, wall_aim),
        Metric::at_most("cpu", "s", cpu, cpu_aim),
    ]
}

/// Waits for ever, with three pipes.
const SLEEP: &str = "/bin/sleep";

fn sleep() -> Command {
    Command::new(SLEEP).arg("1000")
}

fn sleep_tokio() -> tokio::process::Command {
    peer::piped(SLEEP, &["1000".to_owned()])
}

fn reap_among_many(scale: Scale) -> Result<Side, Skipped> {
    raise_descriptor_limit()?;
    let ours = Ours::new();
    let (held, exits) = scale.pick((1000, 50), (20, 5));
    Ok(Box::new(move || {
        let cpu = ours.run(exit_singly(held, exits));
        vec![cpu, cpu]
    }))
}

fn reap_among_few_and_sweep(scale: Scale) -> Result<Side, Skipped> {
    raise_descriptor_limit()?;
    let ours = Ours::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Skipped(error.to_string()))?;
    let (few, many, exits) = scale.pick((100, 1000, 50), (10, 20, 5));
    Ok(Box::new(move || {
        let few = ours.run(exit_singly(few, exits));
        vec![few, runtime.block_on(sweep_singly(many, exits))]
    }))
}

async fn exit_singly(held: usize, exits: usize) -> f64 {
    let crowd = crowd::hold(sleep(), held).await;
    let before = cpu_time();
    for process in crowd.handles.iter().take(exits) {
        assert!(process.kill(), "it lives");
        process.ended().await;
    }
    let cpu = (cpu_time() - before) / exits as f64 * 1e6;
    crowd.kill().await;
    cpu
}

/// What a manager does that knows of no pidfd: `waitpid` with WNOHANG for every child it has.
async fn sweep_singly(held: usize, exits: usize) -> f64 {
    let mut signals = signal(SignalKind::child()).expect("a handler can be installed");
    let mut children = Vec::with_capacity(held);
    for _ in 0..held {
        let mut command = std::process::Command::new(SLEEP);
        command.arg("1000").stdin(std::process::Stdio::null());
        children.push(command.spawn().expect("sleep can be spawned"));
    }
    let pids = |children: &[std::process::Child]| -> Vec<Pid> {
        let pids = children.iter().map(|child| child.id().cast_signed());
        pids.map(Pid::from_raw).collect()
    };
    let mut living = pids(&children);
    let before = cpu_time();
    for _ in 0..exits {
        kill(living[0], Signal::SIGKILL).expect("it lives");
        let left = living.len() - 1;
        while living.len() > left {
            signals.recv().await;
            living.retain(|pid| {
                let status = waitpid(*pid, Some(WaitPidFlag::WNOHANG));
                matches!(status, Ok(WaitStatus::StillAlive))
            });
        }
    }
    let cpu = (cpu_time() - before) / exits as f64 * 1e6;
    for pid in living {
        kill(pid, Signal::SIGKILL).expect("it lives");
        waitpid(pid, None).expect("it is our child");
    }
    cpu
}

fn mass_exit_ours(scale: Scale) -> Result<Side, Skipped> {
    raise_descriptor_limit()?;
    let count = scale.pick(1000, 20);
    let ours = Ours::new();
    Ok(Box::new(move || {
        let held = ours.run(crowd::hold(sleep(), count));
        both(cost(|| ours.run(held.kill())))
    }))
}

fn mass_exit_tokio(scale: Scale) -> Result<Side, Skipped> {
    raise_descriptor_limit()?;
    let count = scale.pick(1000, 20);
    let tokio = Tokio::new();
    Ok(Box::new(move || {
        let held = tokio.run(peer::hold(&mut sleep_tokio(), count));
        both(cost(|| tokio.run(held.kill())))
    }))
}

fn mass_exit_by_hand(scale: Scale) -> Result<Side, Skipped> {
    raise_descriptor_limit()?;
    let count = scale.pick(1000, 20);
    let system = ByHand::new();
    Ok(Box::new(move || {
        let held = system.run(by_hand::hold(sleep_tokio(), count));
        both(cost(|| system.run(held.kill())))
    }))
}

/// A side of `mass_exit`, with exits a second in place of the wall time.
fn as_rate(scale: Scale, mut side: Side) -> Side {
    let count = scale.pick(1000.0, 20.0);
    Box::new(move || {
        let mut results = side();
        results[0] = count / results[0];
        results
    })
}

fn hold_ours(scale: Scale) -> Result<Side, Skipped> {
    let count = how_many_to_hold(scale)?;
    let ours = Ours::new();
    Ok(Box::new(move || {
        let work = async { crowd::hold(sleep(), count).await.kill().await };
        both(cost(|| ours.run(work)))
    }))
}

fn hold_tokio(scale: Scale) -> Result<Side, Skipped> {
    let count = how_many_to_hold(scale)?;
    let tokio = Tokio::new();
    Ok(Box::new(move || {
        let work = async { peer::hold(&mut sleep_tokio(), count).await.kill().await };
        both(cost(|| tokio.run(work)))
    }))
}

fn how_many_to_hold(scale: Scale) -> Result<usize, Skipped> {
    const WANTED: usize = 4000;
    /// Three pipes and a pidfd.
    const EACH: usize = 4;
    let limit = raise_descriptor_limit()?;
    let count = WANTED.min(limit.saturating_sub(200) / EACH);
    if count < WANTED && scale == Scale::Full {
        eprintln!("    {count} children live, as the limit of {limit} descriptors allows");
    }
    Ok(scale.pick(count, 20))
}

fn both(cost: Cost) -> Vec<f64> {
    vec![cost.wall, cost.cpu]
}

/// Takes the whole of the hard limit; gives it.
pub(crate) fn raise_descriptor_limit() -> Result<usize, Skipped> {
    let failed = |error: nix::Error| Skipped(format!("the limit of descriptors: {error}"));
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(failed)?;
    Ok(usize::try_from(hard).unwrap_or(usize::MAX))
}
