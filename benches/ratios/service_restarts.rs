//! A service that dies, until its successor runs.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Instant;

use actix_process::Command;
use actix_process::monitor::{Backoff, Monitor, Restart, Service};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use tempfile::TempDir;

use crate::harness::{Bench, Metric, Rounds, Scale, Side, Skipped, median};
use crate::helper;
use crate::sides::Ours;

pub(crate) fn benches() -> Vec<Bench> {
    // A service is killed by SIGKILL; until its successor says by a FIFO that it runs, 200 times. No backoff;
    // supervisord with `startsecs=0`.
    vec![Bench {
        name: "monitor_react",
        metrics: vec![Metric::at_most("p50", "ms", 0.2, 0.05)],
        // supervisord takes most of a second each time.
        rounds: Rounds { least: 1, most: 1 },
        ours: react_ours,
        peer: react_supervisord,
    }]
}

/// Where the service writes its pid when it runs.
struct Births {
    lines: BufReader<File>,
    pid: i32,
    _dir: TempDir,
}

/// The FIFO, and how its first writer is called.
fn births() -> Result<(Births, PathBuf), Skipped> {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let path = dir.path().join("births");
    mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a FIFO can be made");
    // For both: so there is no end of file between two writers.
    let fifo = OpenOptions::new().read(true).write(true).open(&path);
    let births = Births {
        lines: BufReader::new(fifo.expect("a FIFO can be opened")),
        pid: 0,
        _dir: dir,
    };
    Ok((births, path))
}

impl Births {
    fn wait(&mut self) {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line);
        read.expect("a FIFO can be read");
        self.pid = line.trim_end().parse().expect("a pid");
    }

    /// The median time from the death of a service to the birth of its successor, in milliseconds.
    fn reaction(&mut self, count: usize) -> f64 {
        let once = |_| {
            let begun = Instant::now();
            kill(Pid::from_raw(self.pid), Signal::SIGKILL).expect("it lives");
            self.wait();
            begun.elapsed().as_secs_f64() * 1e3
        };
        let times: Vec<f64> = (0..count).map(once).collect();
        median(&times)
    }
}

fn react_ours(scale: Scale) -> Result<Side, Skipped> {
    let (mut births, path) = births()?;
    let ours = Ours::new();
    let command = Command::new(helper::program()).arg("@born").arg(path);
    let service = Service::new("one", command);
    let service = service.restart(Restart::always().backoff(Backoff::none()));
    let monitor = Monitor::new().service(service);
    let monitor = ours.run(async { monitor.start() });
    let monitor = monitor.expect("a monitor can be started");
    births.wait();
    Ok(Box::new(move || {
        let p50 = births.reaction(scale.pick(200, 3));
        let status = ours.run(monitor.status("one"));
        assert!(status.is_ok_and(|status| status.restarts > 0), "it runs");
        vec![p50]
    }))
}

/// A supervisord; its drop ends it and its program.
struct Supervisord(Child);

impl Drop for Supervisord {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

fn react_supervisord(scale: Scale) -> Result<Side, Skipped> {
    let (mut births, path) = births()?;
    let supervisord = supervisord(&path)?;
    births.wait();
    Ok(Box::new(move || {
        let Supervisord(_) = &supervisord;
        vec![births.reaction(scale.pick(200, 3))]
    }))
}

fn supervisord(births: &Path) -> Result<Supervisord, Skipped> {
    let missing = || Skipped("there is no supervisord: .ci/run installs it".into());
    let program = found("supervisord").ok_or_else(missing)?;
    let config = births.with_file_name("supervisord.conf");
    let text = format!(
        "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={}\n\
         [program:one]\ncommand={} @born {}\nautorestart=true\nstartsecs=0\n\
         stdout_logfile=NONE\nstderr_logfile=NONE\n",
        births.with_file_name("supervisord.pid").display(),
        helper::program(),
        births.display(),
    );
    std::fs::write(&config, text).expect("a file can be written");
    let child = std::process::Command::new(program)
        .arg("-c")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let failed = |error| Skipped(format!("supervisord: {error}"));
    child.map(Supervisord).map_err(failed)
}

/// A program of the environment that `.ci/run` makes in the target directory, or of PATH.
fn found(name: &str) -> Option<PathBuf> {
    let bench = std::env::current_exe().ok()?;
    let in_target = bench.ancestors().map(|dir| dir.join("venv/bin"));
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    in_target
        .chain(std::env::split_paths(&in_path))
        .map(|dir| dir.join(name))
        .find(|program| program.exists())
}
