//! From spawn to end: rate and CPU time.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Stdio;

use actix_process::{Command, Fd, FdMap, Resource};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::resource::{Resource as Limit, getrlimit, setrlimit};
use nix::sys::wait::waitpid;
use nix::unistd::{Uid, pipe2};

use crate::harness::{Bench, MANY, Metric, Scale, Side, Skipped, USUAL};
use crate::measure::{Cost, cost};
use crate::sides::{ByHand, Ours, Tokio};
use crate::{by_hand, crowd, peer};

const PROGRAM: &str = "/bin/true";
const AT_A_TIME: usize = 16;

pub(crate) fn benches() -> Vec<Bench> {
    vec![
        // 400 children with three pipes, 16 at a time, to `ProcessEnded`, against tokio.
        Bench {
            name: "spawn_plain",
            metrics: vec![
                Metric::at_least("rate", "children/s", 0.95, 1.05),
                Metric::at_most("cpu", "s", 1.30, 1.0),
            ],
            rounds: MANY,
            ours: |scale| Ok(ours(plain(), scale.pick(400, 20))),
            peer: |scale| Ok(tokios(plain_tokio(), scale.pick(400, 20))),
        },
        // The same against what an actix user would write by hand.
        Bench {
            name: "spawn_plain_by_hand",
            metrics: vec![
                Metric::at_least("rate", "children/s", 1.0, 1.05),
                Metric::at_most("cpu", "s", 1.0, 0.95),
            ],
            rounds: MANY,
            ours: |scale| Ok(ours(plain(), scale.pick(400, 20))),
            peer: |scale| Ok(by_hand(scale.pick(400, 20))),
        },
        // The same against the C library's posix_spawn and waitpid.
        Bench {
            name: "spawn_floor",
            metrics: vec![Metric::at_least("", "children/s", 0.93, 1.0)],
            rounds: MANY,
            ours: |scale| Ok(ours(plain(), scale.pick(400, 20))),
            peer: |scale| {
                let count = scale.pick(400, 20);
                let environment: Vec<CString> = std::env::vars()
                    .filter_map(|(key, value)| CString::new(format!("{key}={value}")).ok())
                    .collect();
                Ok(Box::new(move || {
                    vec![count as f64 / cost(|| posix_spawns(count, &environment)).wall]
                }))
            },
        },
        // 40 children with uid, gid, session, directory and limit, 16 at a time, from a parent of
        // 1 GiB, against tokio with the same by uid, gid and pre_exec.
        Bench {
            name: "spawn_features",
            metrics: vec![
                Metric::at_least("rate", "children/s", 12.0, 17.0),
                Metric::at_most("cpu", "s", 0.05, 0.02),
            ],
            rounds: USUAL,
            ours: |scale| heavy(scale, ours(featured(), scale.pick(40, 4))),
            peer: |scale| heavy(scale, tokios(featured_tokio(), scale.pick(40, 4))),
        },
        // 100 children with all of it against 100 with none: a second exec is the price of a memory of
        // their own.
        Bench {
            name: "spawn_features_flat",
            metrics: vec![Metric::at_most("", "s", 1.5, 1.2)],
            rounds: USUAL,
            ours: |scale| heavy(scale, time_of(featured(), scale.pick(100, 4))),
            peer: |scale| heavy(scale, time_of(plain(), scale.pick(100, 4))),
        },
        // 400 children as in spawn_plain, each in a cgroup of its own where this host makes them, against
        // the same without. (The rate itself is told beside it, and shall stay above 1,000 a second.)
        Bench {
            name: "spawn_contained",
            metrics: vec![
                Metric::at_least("rate", "children/s", 0.55, 0.80),
                Metric::at_most("cpu", "s", 1.80, 1.30),
            ],
            rounds: USUAL,
            ours: contained,
            peer: |scale| Ok(ours(plain(), scale.pick(400, 20))),
        },
        // 100 children, one after the other, while 16,000 descriptors are open, against std.
        Bench {
            name: "spawn_many_fds",
            metrics: vec![Metric::at_most("", "s", 0.70, 0.55)],
            rounds: MANY,
            ours: many_fds_ours,
            peer: many_fds_std,
        },
    ]
}

fn plain() -> Command {
    Command::new(PROGRAM)
}

fn plain_tokio() -> tokio::process::Command {
    peer::piped(PROGRAM, &[])
}

fn ours(command: Command, count: usize) -> Side {
    let ours = Ours::new();
    Box::new(move || {
        let work = crowd::relay(command.clone(), count, AT_A_TIME);
        rate_and_cpu(count, cost(|| _ = ours.run(work)))
    })
}

fn contained(scale: Scale) -> Result<Side, Skipped> {
    let command = plain().contained_by_cgroup();
    let one = Ours::new().run(async { command.status().await });
    one.map_err(|error| Skipped(error.to_string()))?;
    Ok(ours(command, scale.pick(400, 20)))
}

fn time_of(command: Command, count: usize) -> Side {
    let ours = Ours::new();
    Box::new(move || {
        let work = crowd::relay(command.clone(), count, AT_A_TIME);
        vec![cost(|| _ = ours.run(work)).wall]
    })
}

fn tokios(mut command: tokio::process::Command, count: usize) -> Side {
    let tokio = Tokio::new();
    Box::new(move || {
        let work = peer::relay(&mut command, count, AT_A_TIME);
        rate_and_cpu(count, cost(|| tokio.run(work)))
    })
}

fn by_hand(count: usize) -> Side {
    let system = ByHand::new();
    Box::new(move || {
        let work = by_hand::relay(plain_tokio(), count, AT_A_TIME);
        rate_and_cpu(count, cost(|| _ = system.run(work)))
    })
}

fn rate_and_cpu(count: usize, cost: Cost) -> Vec<f64> {
    vec![count as f64 / cost.wall, cost.cpu]
}

/// A ring of 16 children: the oldest is waited for before the next is spawned. Each has three
/// pipes; both outputs are read to their ends.
fn posix_spawns(count: usize, environment: &[CString]) {
    let mut ring = std::collections::VecDeque::with_capacity(AT_A_TIME);
    for _ in 0..count {
        if ring.len() == AT_A_TIME
            && let Some(oldest) = ring.pop_front()
        {
            finish(oldest);
        }
        ring.push_back(posix_spawn_one(environment));
    }
    ring.into_iter().for_each(finish);

    fn finish((pid, outputs): (nix::unistd::Pid, [OwnedFd; 2])) {
        for output in outputs {
            let mut buffer = [0; 4096];
            while nix::unistd::read(&output, &mut buffer).is_ok_and(|n| n > 0) {}
        }
        waitpid(pid, None).expect("it is our child");
    }
}

fn posix_spawn_one(environment: &[CString]) -> (nix::unistd::Pid, [OwnedFd; 2]) {
    let pipe = || pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("there is room for a pipe");
    let ((stdin, input), (out, stdout), (err, stderr)) = (pipe(), pipe(), pipe());
    let mut actions = PosixSpawnFileActions::init().expect("there is memory");
    for (number, end) in [(0, &stdin), (1, &stdout), (2, &stderr)] {
        actions
            .add_dup2(end.as_raw_fd(), number)
            .expect("there is memory");
    }
    let attributes = PosixSpawnAttr::init().expect("there is memory");
    let pid = posix_spawn(
        c"/bin/true",
        &actions,
        &attributes,
        &[c"/bin/true"],
        environment,
    )
    .expect("true can be spawned");
    drop(input);
    (pid, [out, err])
}

/// `side` with as many bytes of this process's memory as weigh on a fork.
fn heavy(scale: Scale, mut side: Side) -> Result<Side, Skipped> {
    if !Uid::effective().is_root() {
        let why = "only root may give its children another uid";
        return Err(Skipped(why.into()));
    }
    let ballast = vec![1_u8; scale.pick(1 << 30, 1 << 20)];
    Ok(Box::new(move || {
        std::hint::black_box(&ballast);
        side()
    }))
}

/// Somebody without privilege.
const NOBODY: u32 = 65534;

fn featured() -> Command {
    plain()
        .uid(NOBODY)
        .gid(NOBODY)
        .setsid(true)
        .current_dir("/")
        .rlimit(Resource::OpenFiles, 256, 256)
}

fn featured_tokio() -> tokio::process::Command {
    let mut command = plain_tokio();
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    let before_exec = || {
        nix::unistd::setsid()?;
        setrlimit(Limit::RLIMIT_NOFILE, 256, 256)?;
        Ok(())
    };
    // SAFETY: two system calls, which neither allocate nor lock.
    unsafe { command.pre_exec(before_exec) };
    command
}

fn many_fds_ours(scale: Scale) -> Result<Side, Skipped> {
    let count = scale.pick(100, 10);
    // The first spawn comes first, as in a program that grows.
    let ours = Ours::new();
    let held = many_descriptors()?;
    let nothing = [(0, Fd::null()), (1, Fd::null()), (2, Fd::null())];
    let command = plain().fds(FdMap::from(nothing));
    Ok(Box::new(move || {
        std::hint::black_box(&held);
        let work = crowd::relay(command.clone(), count, 1);
        vec![cost(|| _ = ours.run(work)).wall]
    }))
}

fn many_fds_std(scale: Scale) -> Result<Side, Skipped> {
    let count = scale.pick(100, 10);
    let held = many_descriptors()?;
    Ok(Box::new(move || {
        std::hint::black_box(&held);
        vec![cost(|| (0..count).for_each(|_| std_one())).wall]
    }))
}

fn std_one() {
    let status = std::process::Command::new(PROGRAM)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("true can be spawned").success());
}

/// 16,000 open descriptors, or what the limit allows.
fn many_descriptors() -> Result<Vec<File>, Skipped> {
    const WANTED: usize = 16_000;
    let failed = |error: std::io::Error| Skipped(format!("many descriptors: {error}"));
    let (_, hard) = getrlimit(Limit::RLIMIT_NOFILE).map_err(|error| failed(error.into()))?;
    setrlimit(Limit::RLIMIT_NOFILE, hard, hard).map_err(|error| failed(error.into()))?;
    let open = WANTED.min(usize::try_from(hard).unwrap_or(WANTED).saturating_sub(500));
    if open < 4_000 {
        let why = format!("only {hard} descriptors may be open, and 4,000 show little");
        return Err(Skipped(why));
    }
    if open < WANTED {
        eprintln!("    {open} descriptors are open, as the limit of {hard} allows");
    }
    let null = File::open("/dev/null").map_err(failed)?;
    let clones = (0..open).map(|_| null.try_clone());
    clones.collect::<Result<_, _>>().map_err(failed)
}
