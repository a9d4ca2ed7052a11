//! A worker that this host may not kill: its job has its outcome, the pool says so, and ends without it.

use std::time::Duration;

use actix_process::pool::{Framing, Job, JobError, Pool, PoolEventKind};
use actix_process::{Command, Ladder};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::capabilities::may_kill_others;
use crate::common::census::is_gone;
use crate::common::isolated::isolated;
use crate::common::report::may_change_ids;
use crate::common::{eventually, in_time, run};
use crate::told_worker::event;

const NOBODY: u32 = 65534;

#[test]
fn it_is_told_and_counted_and_its_job_and_the_end_do_not_wait_for_it() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        may_kill_others(false);
        run(async {
            let other = Command::new("sleep").arg("600").uid(NOBODY);
            let pool = Pool::new(other)
                .framing(Framing::JsonLines)
                .workers(1..=1)
                .stop(Ladder::new().term(Duration::from_millis(20)).kill());
            let pool = pool.start().unwrap();
            let mut events = pool.events();
            let job = Job::new("1").timeout(Duration::from_millis(20));
            let error = in_time(pool.submit(job)).await.unwrap_err();
            assert!(matches!(error, JobError::Timeout { .. }), "{error:?}");
            let told =
                |what: &PoolEventKind| matches!(what, PoolEventKind::Unkillable).then_some(());
            event(&mut events, told).await;
            // It has its place until it is gone: there is no other worker.
            let stats = pool.stats().await.unwrap();
            let all = stats.starting + stats.idle + stats.busy + stats.cancelling + stats.stopping;
            assert_eq!((stats.stopping, all), (1, 1), "{stats:?}");
            let waits = pool.submit(Job::new("2"));
            let pid = crate::common::census::children();
            let pid = pid.iter().map(|(pid, _)| *pid);
            let name = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm"));
            let mut pid = pid.filter(|pid| name(pid).is_ok_and(|name| name == "sleep\n"));
            let pid = pid.next().unwrap();

            let report = in_time(pool.shutdown(Duration::from_millis(100))).await;
            let seen = (report.unkillable, report.killed, report.clean, report.ended);
            assert_eq!(seen, (1, 0, 0, 1), "{report:?}");
            assert_eq!(in_time(waits).await, Err(JobError::ShuttingDown));

            may_kill_others(true);
            drop(pool);
            // The signal that comes with the death of the thread that made it may be earlier. The crate reaps it when it dies.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            let gone = || is_gone(pid).then_some(());
            eventually("its end", gone, || pid.to_string()).await;
        });
    });
}
