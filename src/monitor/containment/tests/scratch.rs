//! A cgroup for one test, and a process for one test.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use futures::FutureExt;

use super::super::mounts::{directories, own_cgroup};
use super::super::{CgroupPlace, ServiceCgroups};

const MARK: &str = "ACTIX_PROCESS_TEST_OF_CONTAINMENT";
const LONG: Duration = Duration::from_secs(60);

/// A new cgroup, which is empty. The drop kills all that is in it, and removes it.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// None where this process may make none: the reason is printed.
    pub(super) fn make(purpose: &str) -> Option<Self> {
        let own = fs::read("/proc/self/cgroup").unwrap();
        let mounts = fs::read("/proc/self/mountinfo").unwrap();
        let own = own_cgroup(&own).map(|own| directories(&mounts, own));
        // A test beside this one may have mounted and unmounted it just now.
        let made = own.unwrap_or_default().into_iter().find_map(|directory| {
            let name = format!("test-of-containment-{purpose}-{}", std::process::id());
            let path = directory.join(name);
            fs::create_dir(&path).ok()?;
            Some(Self(path))
        });
        if made.is_none() {
            eprintln!("skipped: no cgroup can be made");
        }
        made
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.clone()
    }

    pub(super) fn cgroups(&self) -> ServiceCgroups {
        ServiceCgroups::find(&CgroupPlace::Directory(self.path())).unwrap()
    }

    /// The cgroups right below it.
    pub(super) fn names(&self) -> Vec<String> {
        below(&self.0)
    }

    pub(super) fn members(&self, name: &str) -> Vec<i32> {
        let procs = fs::read_to_string(self.0.join(name).join("cgroup.procs"));
        let procs = procs.unwrap_or_default();
        procs.lines().map(|pid| pid.parse().unwrap()).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        let begun = Instant::now();
        while !remove(&self.0) && begun.elapsed() < LONG {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn below(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap().flatten();
    let directories = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let mut names: Vec<String> = directories
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn remove(path: &Path) -> bool {
    below(path).iter().all(|name| remove(&path.join(name))) && fs::remove_dir(path).is_ok()
}

/// This process joins the cgroup of this directory.
pub(super) fn enter(directory: &Path) {
    let pid = std::process::id().to_string();
    fs::write(directory.join("cgroup.procs"), pid).unwrap();
}

/// Runs `body` in a process that runs nothing but this test. `prepared` is what it is given; `None` runs nothing.
pub(super) fn isolated(prepare: impl FnOnce() -> Option<Scratch>, body: impl FnOnce(&Path)) {
    if let Some(path) = std::env::var_os(MARK) {
        return body(Path::new(&path));
    }
    let Some(scratch) = prepare() else { return };
    let output = in_new_process(&scratch.0).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("1 passed"), "{text}\n{errors}");
}

/// This test, to be run in another process, with this directory.
fn in_new_process(path: &Path) -> Command {
    let test = std::thread::current();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        test.name().unwrap(),
        "--exact",
        "--nocapture",
        "--test-threads=1",
    ]);
    command.env(MARK, path);
    command
}

/// As [`isolated`], and the process of `body` is killed by SIGKILL when it has printed "ready". Gives the cgroup that was prepared;
/// `None` in that process, or if there is none.
pub(super) fn killed_when_ready(
    prepare: impl FnOnce() -> Option<Scratch>,
    body: impl FnOnce(&Path),
) -> Option<Scratch> {
    use std::io::{BufRead, BufReader};
    if let Some(path) = std::env::var_os(MARK) {
        body(Path::new(&path));
        println!("\nready");
        std::thread::sleep(LONG);
        return None;
    }
    let scratch = prepare()?;
    let mut command = in_new_process(&scratch.0);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_ready = lines.map_while(Result::ok).any(|line| line == "ready");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(is_ready, "it was not ready");
    Some(scratch)
}

pub(super) fn run<T>(body: impl Future<Output = T>) -> T {
    actix::System::new().block_on(body.boxed_local())
}

pub(super) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.expect("in time")
}

pub(super) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
