//! A worker that does what its jobs say, and what the tests wait for. It is this test program, called with `@pool-worker`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{abort, exit, id};
use std::thread::{park, sleep};
use std::time::Duration;

use actix_process::pool::worker::{Worker, WorkerJob};
use actix_process::pool::{
    Job, JobError, PoolEventKind, PoolEvents, PoolHandle, PoolReported, PoolStats,
};
use actix_process::{Bytes, Command};
use futures::{FutureExt, StreamExt};
use tempfile::TempDir;

use crate::common::{DEADLINE, in_time};

/// A worker that does this before it is ready:
///
/// | option | does |
/// |---|---|
/// | `slow MS` | sleeps |
/// | `progress N MS` | says so often that it goes on, and sleeps after each |
/// | `needs PATH` | exits with 3 unless there is this file |
/// | `unready` | waits for ever |
/// | `tag TEXT` | nothing: it is what the job `tag` answers |
///
/// and then these jobs:
///
/// | job | does |
/// |---|---|
/// | `echo TEXT`, `pid`, `tag` | answers with it |
/// | `size N` | answers with so many bytes |
/// | `sleep MS` | whatever the pool says |
/// | `gate PATH` | waits until there is this file; answers with its pid |
/// | `wait` | waits for its cancel, and answers that |
/// | `deaf` | never answers |
/// | `note PATH TEXT` | adds a line to the file; answers with its pid |
/// | `slowly PATH TEXT` | adds `begin TEXT`, and `end TEXT` a little later; answers with its pid |
/// | `die PATH` | adds its pid to the file, and aborts |
/// | `die-once PATH` | the same if there is no such file; answers with its pid |
/// | `chunk-die PATH` | the same as `die` after a part of an answer |
/// | `chunk-error` | an error after a part of an answer |
/// | `chunks N SIZE` | so many parts of so many bytes |
/// | `memory MIB` | has so much more memory from now on; answers with its pid |
/// | `memory-deaf MIB` | the same, and never answers |
pub(crate) fn worker<'a>(options: impl IntoIterator<Item = &'a str>) -> Command {
    Command::new(std::env::current_exe().unwrap())
        .arg("@pool-worker")
        .args(options)
}

// SAFETY: the loader runs it before main, on the main thread, after std has noted the arguments; it touches nothing but its own
// process.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let mut args = std::env::args().skip(1);
    if args.next().is_some_and(|arg| arg == "@pool-worker") {
        run(&args.collect::<Vec<_>>());
        exit(0);
    }
}

fn millis(text: &str) -> Duration {
    Duration::from_millis(text.parse().unwrap())
}

fn run(options: &[String]) {
    let worker = Worker::new().unwrap().name("told");
    let mut tag = String::new();
    let mut options = options.iter().map(String::as_str);
    while let Some(option) = options.next() {
        let mut next = || options.next().unwrap();
        match option {
            "slow" => sleep(millis(next())),
            "progress" => {
                let (times, pause) = (next().parse::<u32>().unwrap(), millis(next()));
                for _ in 0..times {
                    worker.progress("loading").unwrap();
                    sleep(pause);
                }
            }
            "needs" => {
                if !Path::new(next()).exists() {
                    exit(3);
                }
            }
            "unready" => wait_for_ever(),
            "tag" => tag = next().to_owned(),
            other => panic!("no option is named {other}"),
        }
    }
    let mut memory = Vec::new();
    let _ = worker.serve(|job| answer(job, &tag, &mut memory));
}

fn wait_for_ever() -> ! {
    loop {
        park();
    }
}

fn add_line(path: &str, text: impl std::fmt::Display) {
    let mut file = fs::OpenOptions::new();
    let mut file = file.append(true).create(true).open(path).unwrap();
    file.write_all(format!("{text}\n").as_bytes()).unwrap();
}

fn answer(job: &WorkerJob, tag: &str, memory: &mut Vec<Vec<u8>>) -> Result<Bytes, String> {
    let text = String::from_utf8_lossy(job.body()).into_owned();
    let (what, rest) = text.split_once(' ').unwrap_or((&text, ""));
    let mut words = rest.split(' ');
    let mut next = || words.next().unwrap();
    match what {
        "echo" => return Ok(rest.to_owned().into()),
        "pid" => {}
        "tag" => return Ok(tag.to_owned().into()),
        "size" => return Ok(vec![b'x'; rest.parse().unwrap()].into()),
        "sleep" => sleep(millis(rest)),
        "gate" => {
            while !Path::new(rest).exists() {
                sleep(Duration::from_millis(2));
            }
        }
        "wait" => {
            while !job.is_cancelled() {
                sleep(Duration::from_millis(1));
            }
            return Err("cancelled".to_owned());
        }
        "deaf" => wait_for_ever(),
        "note" => add_line(next(), next()),
        "slowly" => {
            let (path, text) = (next(), next());
            add_line(path, format_args!("begin {text}"));
            sleep(Duration::from_millis(2));
            add_line(path, format_args!("end {text}"));
        }
        "die" => {
            add_line(next(), id());
            abort();
        }
        "die-once" => {
            if !Path::new(rest).exists() {
                add_line(rest, id());
                abort();
            }
        }
        "chunk-die" => {
            job.chunk("part").unwrap();
            add_line(next(), id());
            abort();
        }
        "chunk-error" => {
            job.chunk("part").unwrap();
            return Err("and no more".to_owned());
        }
        "chunks" => {
            let (times, size) = (next().parse::<u64>().unwrap(), next().parse().unwrap());
            let piece = vec![b'x'; size];
            for _ in 0..times {
                job.chunk(&piece).map_err(|error| error.to_string())?;
            }
            return Ok(Bytes::new());
        }
        "memory" | "memory-deaf" => {
            memory.push(vec![1; rest.parse::<usize>().unwrap() << 20]);
            if what == "memory-deaf" {
                wait_for_ever();
            }
        }
        other => panic!("no job is named {other}"),
    }
    Ok(id().to_string().into())
}

/// A folder for what the jobs of a test write and wait for.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A job that does this with the file of this name.
    pub(crate) fn job(&self, what: &str, name: &str) -> String {
        format!("{what} {}", self.path(name).display())
    }

    pub(crate) fn make(&self, name: &str) {
        fs::write(self.path(name), "").unwrap();
    }

    /// The lines of a file; none if it is not there.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// The answer to this job, as a text.
pub(crate) async fn ask(pool: &PoolHandle, job: impl Into<String>) -> String {
    let answer = in_time(pool.submit(Job::new(job.into()))).await;
    String::from_utf8(answer.unwrap().to_vec()).unwrap()
}

/// Why there is no answer.
pub(crate) async fn refused(pool: &PoolHandle, job: Job) -> JobError {
    in_time(pool.submit(job)).await.unwrap_err()
}

/// What the pool says when this is so.
pub(crate) async fn stats_when(
    pool: &PoolHandle,
    what: &str,
    is_so: impl Fn(&PoolStats) -> bool,
) -> PoolStats {
    let begun = std::time::Instant::now();
    loop {
        let stats = in_time(pool.stats()).await.unwrap();
        if is_so(&stats) {
            return stats;
        }
        assert!(
            begun.elapsed() < DEADLINE,
            "waited for {what}; saw {stats:?}"
        );
        actix_rt::time::sleep(Duration::from_millis(3)).await;
    }
}

/// The first thing that happens of which `found` makes something.
pub(crate) async fn event<T>(
    events: &mut PoolEvents,
    found: impl Fn(&PoolEventKind) -> Option<T>,
) -> T {
    in_time(async {
        while let Some(PoolReported::Event(event)) = events.next().await {
            if let Some(value) = found(&event.what) {
                return value;
            }
        }
        panic!("the events end");
    })
    .await
}

/// What has happened by now: the last of it.
pub(crate) fn events_until_now(events: &mut PoolEvents) -> Vec<PoolEventKind> {
    let next = || events.next().now_or_never().flatten();
    let events = std::iter::from_fn(next).filter_map(|reported| match reported {
        PoolReported::Event(event) => Some(event.what),
        _ => None,
    });
    events.collect()
}

/// Ends a pool that has nothing left to do.
pub(crate) async fn ended(pool: PoolHandle) {
    let report = in_time(pool.drain(DEADLINE)).await;
    let left = (
        report.killed,
        report.unkillable,
        report.ended,
        report.leftovers,
    );
    assert_eq!(left, (0, 0, 0, 0), "{report:?}");
}

/// Ends a pool of which a worker does not answer.
pub(crate) async fn shut(pool: PoolHandle) {
    let report = in_time(pool.shutdown(DEADLINE)).await;
    assert_eq!(report.unkillable, 0, "{report:?}");
}
