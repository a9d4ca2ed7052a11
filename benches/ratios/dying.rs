//! Many children held at once, and their deaths.

use actix_process::Command;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

use crate::harness::{Bar, Bench, Metric, Round, Rounds, Sample, Scale, Skipped, USUAL};
use crate::measure::{cost, cpu_time};
use crate::{crowd, peer};

pub(crate) fn benches() -> Vec<Bench> {
    vec![
        Bench {
            name: "reap_flat",
            metrics: vec![
                at_most("1000_to_100", "us of CPU an exit", 1.5, 1.0),
                at_most("to_sweep", "us of CPU an exit", 0.40, 0.18),
            ],
            rounds: USUAL,
            setup: reap_flat,
        },
        Bench {
            name: "mass_exit",
            metrics: vec![
                at_most("wall", "s", 1.2, 1.0),
                at_most("cpu", "s", 1.6, 1.0),
            ],
            rounds: USUAL,
            setup: mass_exit,
        },
        Bench {
            name: "hold_4000",
            metrics: vec![
                at_most("wall", "s", 1.1, 0.9),
                at_most("cpu", "s", 1.3, 1.0),
            ],
            rounds: Rounds { least: 3, most: 7 },
            setup: hold_many,
        },
    ]
}

fn at_most(name: &'static str, unit: &'static str, bar: f64, aim: f64) -> Metric {
    Metric {
        name,
        unit,
        bar: Bar::AtMost(bar),
        aim: Bar::AtMost(aim),
    }
}

/// Waits for ever, with three pipes.
const SLEEP: &str = "/bin/sleep";

fn sleep() -> Command {
    Command::new(SLEEP).arg("1000")
}

fn sleep_tokio() -> tokio::process::Command {
    peer::piped(SLEEP, &["1000".to_owned()])
}

/// The parent's CPU time of one exit while 1,000 children live, against 100, and against a host
/// that looks at each of 1,000 at every SIGCHLD.
fn reap_flat(scale: Scale) -> Result<Round, Skipped> {
    raise_descriptor_limit()?;
    let (many, few, exits) = scale.pick((1000, 100, 50), (20, 10, 5));
    Ok(Box::new(move |sides, order| {
        let ours = |held| sides.ours(exit_singly(held, exits));
        let (many_held, few_held) = order.run(|| ours(many), || ours(few));
        let sweep = sides.tokio(sweep_singly(many, exits));
        vec![
            Sample {
                ours: many_held,
                peer: few_held,
            },
            Sample {
                ours: many_held,
                peer: sweep,
            },
        ]
    }))
}

async fn exit_singly(held: usize, exits: usize) -> f64 {
    let crowd = crowd::hold(sleep(), held).await;
    let before = cpu_time();
    for process in crowd.handles.iter().take(exits) {
        process.kill().expect("it lives");
        process.ended().await.expect("it ends");
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

/// 1,000 children killed at once, to the last `ProcessEnded`, against tokio.
fn mass_exit(scale: Scale) -> Result<Round, Skipped> {
    raise_descriptor_limit()?;
    let count = scale.pick(1000, 20);
    Ok(Box::new(move |sides, order| {
        let (ours, peer) = order.run(
            || {
                let held = sides.ours(crowd::hold(sleep(), count));
                cost(|| sides.ours(held.kill()))
            },
            || {
                let held = sides.tokio(peer::hold(sleep_tokio(), count));
                cost(|| sides.tokio(held.kill()))
            },
        );
        costs(ours, peer)
    }))
}

/// 4,000 children with three pipes live at once, from the first spawn to the last end, against
/// tokio.
fn hold_many(scale: Scale) -> Result<Round, Skipped> {
    const WANTED: usize = 4000;
    /// Three pipes and a pidfd.
    const EACH: usize = 4;
    let limit = raise_descriptor_limit()?;
    let room = limit.saturating_sub(200) / EACH;
    let count = scale.pick(WANTED.min(room), 20);
    if count < WANTED && scale == Scale::Full {
        eprintln!("    {count} children live, as the limit of {limit} descriptors allows");
    }
    Ok(Box::new(move |sides, order| {
        let (ours, peer) = order.run(
            || {
                cost(|| {
                    sides.ours(async { crowd::hold(sleep(), count).await.kill().await });
                })
            },
            || {
                cost(|| {
                    sides.tokio(async { peer::hold(sleep_tokio(), count).await.kill().await });
                })
            },
        );
        costs(ours, peer)
    }))
}

fn costs(ours: crate::measure::Cost, peer: crate::measure::Cost) -> Vec<Sample> {
    vec![
        Sample {
            ours: ours.wall,
            peer: peer.wall,
        },
        Sample {
            ours: ours.cpu,
            peer: peer.cpu,
        },
    ]
}

/// Takes the whole of the hard limit; gives it.
fn raise_descriptor_limit() -> Result<usize, Skipped> {
    let failed = |error: nix::Error| Skipped(format!("the limit of descriptors: {error}"));
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(failed)?;
    Ok(usize::try_from(hard).unwrap_or(usize::MAX))
}
