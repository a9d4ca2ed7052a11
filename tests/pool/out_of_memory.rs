//! A worker that the kernel kills for want of memory, in a cgroup with a limit: that is the loss of its own job alone.

use std::fs;
use std::path::{Path, PathBuf};

use actix_process::Command;
use actix_process::monitor::ExitKind;
use actix_process::pool::{Job, JobError, Pool};

use crate::common::cgroups::own_directory;
use crate::common::isolated::skipped;
use crate::common::{in_time, run};
use crate::told_worker::{Folder, ask, ended, refused, stats_when};

/// A cgroup whose processes have so much memory together. Its drop removes it.
struct MemoryCgroup(PathBuf);

impl MemoryCgroup {
    fn new(bytes: usize) -> Option<Self> {
        let version_2 = own_directory().map(|parent| (parent, "memory.max"));
        let version_1 =
            own_directory_of_version_1().map(|parent| (parent, "memory.limit_in_bytes"));
        let name = format!("test-of-pool-{}", std::process::id());
        let made = |(parent, limit): (PathBuf, &str)| {
            let path = parent.join(&name);
            fs::create_dir(&path).ok()?;
            let cgroup = Self(path);
            // Else it is made as a file of its own on some file systems.
            let is_there = cgroup.0.join(limit).exists();
            let is_set = is_there && fs::write(cgroup.0.join(limit), bytes.to_string()).is_ok();
            is_set.then_some(cgroup)
        };
        let cgroup = [version_2, version_1].into_iter().flatten().find_map(made);
        if cgroup.is_none() {
            skipped("no cgroup with a limit of memory can be made");
        }
        cgroup
    }

    /// The command, in this cgroup.
    fn holding(&self, command: &Command) -> Command {
        let join = "echo $$ > \"$0\" && exec \"$@\"";
        let procs = self.0.join("cgroup.procs");
        let joined = Command::new("sh").args(["-c", join]).arg(procs);
        joined.arg(command.get_program()).args(command.get_args())
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        // The last of its members may not be reaped yet.
        for _ in 0..1000 {
            if fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// Where version 1 has this process's cgroup of the controller of memory.
fn own_directory_of_version_1() -> Option<PathBuf> {
    let cgroups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = cgroups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let has_memory = controllers.split(',').any(|name| name == "memory");
        has_memory.then_some(path)
    })?;
    let path = Path::new("/sys/fs/cgroup/memory").join(own.trim_start_matches('/'));
    path.exists().then_some(path)
}

#[test]
fn one_that_takes_too_much_is_the_loss_of_its_own_job() {
    let Some(cgroup) = MemoryCgroup::new(96 << 20) else {
        return;
    };
    run(async {
        let folder = Folder::new();
        let command = cgroup.holding(&crate::told_worker::worker([]));
        let pool = Pool::new(command).workers(2..=2).start().unwrap();
        let waits = pool.submit(Job::new(folder.job("gate", "gate")));
        stats_when(&pool, "a job", |stats| stats.running == 1).await;
        // The kernel kills the largest of those in the cgroup.
        let error = refused(&pool, Job::new("memory-deaf 400")).await;
        let JobError::WorkerLost {
            status: Some(status),
            kind: ExitKind::Signal,
            over_max_rss: false,
            attempts: 1,
            ..
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!(
            status.signal().map(|signal| signal.number()),
            Some(9),
            "{error:?}"
        );
        folder.make("gate");
        in_time(waits).await.unwrap();
        stats_when(&pool, "another worker", |stats| stats.idle == 2).await;
        ask(&pool, "echo after").await;
        ended(pool).await;
    });
}
