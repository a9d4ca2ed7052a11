//! Descriptions of pools that are refused: by name, field and problem, and nothing is spawned.

use std::time::Duration;

use actix_process::monitor::Backoff;
use actix_process::pool::{Framing, Pool, PoolError};
use actix_process::{Command, Fd, Ladder, PtySize, Resource, Signal};
use nix::libc;

use crate::common::capabilities::may_raise_limits;
use crate::common::census::children;
use crate::common::isolated::{isolated, may_change_ids};
use crate::common::limits::set_soft_limit;

fn cat() -> Command {
    Command::new("cat")
}

fn frames() -> Pool {
    Pool::new(cat())
}

fn one_shot() -> Pool {
    Pool::one_shot(cat())
}

fn lines(command: Command) -> Pool {
    Pool::new(command).framing(Framing::JsonLines)
}

/// What is refused, and how that begins.
fn refusals() -> Vec<(Pool, &'static str)> {
    const SECOND: Duration = Duration::from_secs(1);
    const ZERO: Duration = Duration::ZERO;
    vec![
        (frames().workers(0..=0), "workers: there is to be no worker"),
        (
            frames().workers(
                #[expect(clippy::reversed_empty_ranges, reason = "it is refused")]
                {
                    3..=2
                },
            ),
            "workers: at least 3 and at most 2",
        ),
        (frames().queue(usize::MAX), "queue: is too large"),
        (
            frames().spare(1),
            "spare: is for pools of one-shot processes",
        ),
        (
            one_shot().workers(1..=2).spare(3),
            "spare: 3 are more than the 2 workers",
        ),
        (frames().ready_within(ZERO), "ready_within: is zero"),
        (frames().job_timeout(ZERO), "job_timeout: is zero"),
        (frames().idle_timeout(ZERO), "idle_timeout: is zero"),
        (frames().soft(ZERO), "soft: is zero"),
        (frames().max_age(ZERO), "max_age: is zero"),
        (frames().max_jobs(0), "max_jobs: is zero"),
        (frames().max_rss(0), "max_rss: is zero"),
        (frames().max_rss_hard(0), "max_rss_hard: is zero"),
        (
            one_shot().max_jobs(1),
            "max_jobs: a one-shot process has one job",
        ),
        (
            one_shot().max_rss(1),
            "max_rss: a one-shot process has one job",
        ),
        (frames().max_frame(0), "max_frame: is zero"),
        (
            frames().max_frame(u32::MAX as usize),
            "max_frame: does not fit into the 32 bits",
        ),
        (frames().max_answer(0), "max_answer: is zero"),
        (frames().window(0), "window: is zero"),
        (frames().window(usize::MAX), "window: is too large"),
        (frames().backoff(Backoff::new().factor(0.5)), "backoff: "),
        (
            frames().stop(Ladder::new().term(SECOND)),
            "stop: its last step is not SIGKILL",
        ),
        (
            frames().stop(Ladder::new().signal(Signal::KILL, ZERO)),
            "stop: its last step, SIGKILL, has less than 100ms",
        ),
        (
            Pool::new(cat().pty(PtySize::new(24, 80))),
            "framing: the command is on a terminal",
        ),
        (
            Pool::new(cat().fd(3, Fd::null())),
            "framing: the command maps descriptor 3 to something else",
        ),
        (
            Pool::new(cat().fd(4, Fd::read())),
            "framing: the command maps descriptor 4 to something else",
        ),
        (
            lines(cat().fd(0, Fd::null())),
            "framing: the standard input or output of the command is no pipe",
        ),
        (
            Pool::one_shot(cat().fd(1, Fd::null())),
            "framing: the standard input or output of the command is no pipe",
        ),
        (Pool::new(Command::new("")), "command: "),
        (Pool::new(Command::new("a\0b")), "command: "),
        (Pool::new(cat().arg("a\0b")), "command: "),
    ]
}

#[test]
fn what_cannot_be_is_refused_and_nothing_is_spawned() {
    isolated(|| {
        for (pool, expected) in refusals() {
            let error = pool.name("the pool").start().unwrap_err();
            assert!(matches!(error, PoolError::Spec(_)), "{error:?}");
            let text = error.to_string();
            let expected = format!("pool `the pool`: {expected}");
            assert!(text.starts_with(&expected), "{text}, not {expected}");
            assert!(!text.contains('\n'), "{text}");
        }
        assert!(children().is_empty(), "{:?}", children());
    });
}

#[test]
fn limits_that_this_host_cannot_set_are_refused_and_nothing_is_spawned() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        may_raise_limits(false);
        let (_, hard) = set_soft_limit(libc::RLIMIT_NOFILE, 100);
        let limited = |hard: u64| cat().rlimit(Resource::OpenFiles, 50, hard);
        let refused = Pool::one_shot(limited(hard + 1)).start().unwrap_err();
        let expected =
            "pool `pool`: command: invalid command: rlimit OpenFiles: this program may not raise";
        assert!(refused.to_string().starts_with(expected), "{refused}");
        assert!(Pool::one_shot(limited(hard)).start().is_ok());
        // Nobody may make cgroups.
        nix::unistd::setuid(65534.into()).unwrap();
        let insisting = Pool::one_shot(cat().contained_by_cgroup());
        let refused = insisting.start().unwrap_err();
        assert!(matches!(refused, PoolError::Spec(_)), "{refused:?}");
        assert!(refused.to_string().contains("cgroup"), "{refused}");
    });
}
