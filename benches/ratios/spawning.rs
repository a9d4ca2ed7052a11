//! From spawn to end: rate and CPU time.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Stdio;

use actix_process::{Command, Fd, FdMap, Resource};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::resource::{Resource as Limit, getrlimit, setrlimit};
use nix::sys::wait::waitpid;
use nix::unistd::{Uid, pipe2};

use crate::harness::{Bar, Bench, Metric, Round, Sample, Scale, Skipped, USUAL};
use crate::measure::{Cost, cost};
use crate::sides::Sides;
use crate::{crowd, peer};

const PROGRAM: &str = "/bin/true";
const AT_A_TIME: usize = 16;

pub(crate) fn benches() -> Vec<Bench> {
    vec![
        Bench {
            name: "spawn_plain",
            metrics: vec![
                rate(0.95, 1.05),
                Metric {
                    name: "cpu",
                    unit: "s",
                    bar: Bar::AtMost(1.30),
                    aim: Bar::AtMost(1.0),
                },
            ],
            rounds: USUAL,
            setup: plain,
        },
        Bench {
            name: "spawn_floor",
            metrics: vec![Metric {
                name: "",
                ..rate(0.93, 1.0)
            }],
            rounds: USUAL,
            setup: floor,
        },
        Bench {
            name: "spawn_features",
            metrics: vec![
                rate(12.0, 17.0),
                Metric {
                    name: "cpu",
                    unit: "s",
                    bar: Bar::AtMost(0.05),
                    aim: Bar::AtMost(0.02),
                },
            ],
            rounds: USUAL,
            setup: features,
        },
        Bench {
            name: "spawn_features_flat",
            metrics: vec![time(1.25, 1.05)],
            rounds: USUAL,
            setup: features_flat,
        },
        Bench {
            name: "spawn_many_fds",
            metrics: vec![time(0.70, 0.55)],
            rounds: USUAL,
            setup: many_fds,
        },
    ]
}

fn rate(bar: f64, aim: f64) -> Metric {
    Metric {
        name: "rate",
        unit: "children/s",
        bar: Bar::AtLeast(bar),
        aim: Bar::AtLeast(aim),
    }
}

fn time(bar: f64, aim: f64) -> Metric {
    Metric {
        name: "",
        unit: "s",
        bar: Bar::AtMost(bar),
        aim: Bar::AtMost(aim),
    }
}

/// The rates of two costs.
fn rates(count: usize, ours: Cost, peer: Cost) -> Sample {
    Sample {
        ours: count as f64 / ours.wall,
        peer: count as f64 / peer.wall,
    }
}

fn cpus(ours: Cost, peer: Cost) -> Sample {
    Sample {
        ours: ours.cpu,
        peer: peer.cpu,
    }
}

/// 400 children with three pipes, 16 at a time, to `ProcessEnded`, against tokio.
fn plain(scale: Scale) -> Result<Round, Skipped> {
    let count = scale.pick(400, 20);
    Ok(Box::new(move |sides, order| {
        let (ours, peer) = order.run(
            || ours(sides, Command::new(PROGRAM), count),
            || tokios(sides, peer::piped(PROGRAM, &[]), count),
        );
        vec![rates(count, ours, peer), cpus(ours, peer)]
    }))
}

fn ours(sides: &Sides, command: Command, count: usize) -> Cost {
    let work = crowd::relay(command, count, AT_A_TIME);
    cost(|| _ = sides.ours(work))
}

fn tokios(sides: &Sides, command: tokio::process::Command, count: usize) -> Cost {
    let work = peer::relay(command, count, AT_A_TIME);
    cost(|| sides.tokio(work))
}

/// The same against the C library's posix_spawn and waitpid, 16 at a time.
fn floor(scale: Scale) -> Result<Round, Skipped> {
    let count = scale.pick(400, 20);
    Ok(Box::new(move |sides, order| {
        let (ours, peer) = order.run(
            || ours(sides, Command::new(PROGRAM), count),
            || cost(|| posix_spawns(count)),
        );
        vec![rates(count, ours, peer)]
    }))
}

/// A ring of 16 children: the oldest is waited for before the next is spawned. Each has three
/// pipes; both outputs are read to their ends.
fn posix_spawns(count: usize) {
    let mut ring = std::collections::VecDeque::with_capacity(AT_A_TIME);
    for _ in 0..count {
        if ring.len() == AT_A_TIME {
            ring.pop_front().map(finish);
        }
        ring.push_back(posix_spawn_one());
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

fn posix_spawn_one() -> (nix::unistd::Pid, [OwnedFd; 2]) {
    let pipe = || pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("there is room for a pipe");
    let ((stdin, input), (out, stdout), (err, stderr)) = (pipe(), pipe(), pipe());
    let mut actions = PosixSpawnFileActions::init().expect("there is memory");
    for (number, end) in [(0, &stdin), (1, &stdout), (2, &stderr)] {
        actions
            .add_dup2(end.as_raw_fd(), number)
            .expect("there is memory");
    }
    let attributes = PosixSpawnAttr::init().expect("there is memory");
    let environment: Vec<_> = std::env::vars()
        .filter_map(|(key, value)| std::ffi::CString::new(format!("{key}={value}")).ok())
        .collect();
    let pid = posix_spawn(
        c"/bin/true",
        &actions,
        &attributes,
        &[c"/bin/true"],
        &environment,
    )
    .expect("true can be spawned");
    drop(input);
    (pid, [out, err])
}

/// As many bytes of this process's memory as weigh on a fork.
fn ballast(scale: Scale) -> Vec<u8> {
    vec![1; scale.pick(1 << 30, 1 << 20)]
}

/// Somebody without privilege.
const NOBODY: u32 = 65534;

/// uid, gid, setsid, a directory and a limit.
fn featured(command: Command) -> Command {
    command
        .uid(NOBODY)
        .gid(NOBODY)
        .setsid(true)
        .current_dir("/")
        .rlimit(Resource::OpenFiles, 256, 256)
}

fn needs_root() -> Result<(), Skipped> {
    if Uid::effective().is_root() {
        return Ok(());
    }
    Err(Skipped(
        "only root may give its children another uid".into(),
    ))
}

/// 40 children with all of it, 16 at a time, against tokio with the same by uid, gid and pre_exec.
fn features(scale: Scale) -> Result<Round, Skipped> {
    needs_root()?;
    let count = scale.pick(40, 4);
    let ballast = ballast(scale);
    Ok(Box::new(move |sides, order| {
        std::hint::black_box(&ballast);
        let (ours, peer) = order.run(
            || ours(sides, featured(Command::new(PROGRAM)), count),
            || tokios(sides, featured_tokio(), count),
        );
        vec![rates(count, ours, peer), cpus(ours, peer)]
    }))
}

fn featured_tokio() -> tokio::process::Command {
    let mut command = peer::piped(PROGRAM, &[]);
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

/// 100 children with all of it against 100 with none.
fn features_flat(scale: Scale) -> Result<Round, Skipped> {
    needs_root()?;
    let count = scale.pick(100, 4);
    let ballast = ballast(scale);
    Ok(Box::new(move |sides, order| {
        std::hint::black_box(&ballast);
        let (with, without) = order.run(
            || ours(sides, featured(Command::new(PROGRAM)), count),
            || ours(sides, Command::new(PROGRAM), count),
        );
        vec![walls(with, without)]
    }))
}

fn walls(ours: Cost, peer: Cost) -> Sample {
    Sample {
        ours: ours.wall,
        peer: peer.wall,
    }
}

/// 100 children, one after the other, while 16,000 descriptors are open, against std.
fn many_fds(scale: Scale) -> Result<Round, Skipped> {
    const WANTED: usize = 16_000;
    let count = scale.pick(100, 10);
    let (_, hard) = getrlimit(Limit::RLIMIT_NOFILE).map_err(|e| Skipped(e.to_string()))?;
    setrlimit(Limit::RLIMIT_NOFILE, hard, hard).map_err(|e| Skipped(e.to_string()))?;
    let open = WANTED.min(usize::try_from(hard).unwrap_or(WANTED).saturating_sub(500));
    if open < 4_000 {
        return Err(Skipped(format!(
            "only {hard} descriptors may be open, and 4,000 show little"
        )));
    }
    if open < WANTED {
        eprintln!("    {open} descriptors are open, as the limit of {hard} allows");
    }
    let null = File::open("/dev/null").map_err(|e| Skipped(e.to_string()))?;
    let held: Vec<File> = (0..open)
        .map(|_| null.try_clone())
        .collect::<Result<_, _>>()
        .map_err(|e| Skipped(e.to_string()))?;
    Ok(Box::new(move |sides, order| {
        std::hint::black_box(&held);
        let (ours, peer) = order.run(
            || {
                let nothing = [(0, Fd::null()), (1, Fd::null()), (2, Fd::null())];
                let command = Command::new(PROGRAM).fds(FdMap::from(nothing));
                let work = crowd::relay(command, count, 1);
                cost(|| _ = sides.ours(work))
            },
            || cost(|| (0..count).for_each(|_| std_one())),
        );
        vec![walls(ours, peer)]
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
