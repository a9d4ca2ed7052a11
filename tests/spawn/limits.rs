//! What a child may use: resource limits, umask, priority.

use crate::common;

use actix_process::{Command, Fd, FdMap, NoProtocol, Resource, SpawnStep, UNLIMITED};
use common::isolated::isolated;
use common::report::{may_change_ids, status, told};
use common::run;

const NOBODY: u32 = 65534;

#[test]
fn a_limit_has_a_soft_and_a_hard_side() {
    run(async {
        let limits = || Command::new("cat").arg("/proc/self/limits");
        let child = limits().rlimit(Resource::OpenFiles, 100, 200);
        assert_eq!(told(child, "Max open files").await, "100 200 files");
        if may_change_ids() {
            let child = limits().rlimit(Resource::Core, 0, UNLIMITED);
            assert_eq!(told(child, "Max core file size").await, "0 unlimited bytes");
        }
        let child = limits().rlimit(Resource::Cpu, 2, 1);
        let error = child.spawn(NoProtocol).await.unwrap_err();
        assert_eq!(error.step(), SpawnStep::Invalid);
    });
}

#[test]
fn umask_and_priority_are_the_childs_alone() {
    run(async {
        let ours = || {
            let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
            let nice = stat.rsplit_once(") ").unwrap().1.split(' ').nth(16);
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let umask = status.lines().find(|line| line.starts_with("Umask:"));
            let oom = std::fs::read_to_string("/proc/self/oom_score_adj");
            (
                nice.map(str::to_owned),
                umask.map(str::to_owned),
                oom.unwrap(),
            )
        };
        let before = ours();
        assert_eq!(told(status().umask(0o27), "Umask:").await, "0027");

        let stat = Command::new("cat").arg("/proc/self/stat").nice(7);
        let text = stat.output().await.unwrap().stdout;
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.split_whitespace().nth(18), Some("7"), "{text}");
        let error = status().nice(20).spawn(NoProtocol).await.unwrap_err();
        assert_eq!(error.step(), SpawnStep::Invalid);

        let oom = Command::new("cat")
            .arg("/proc/self/oom_score_adj")
            .oom_score_adj(321);
        assert_eq!(oom.output().await.unwrap().stdout, b"321\n");

        assert_eq!(told(status().no_new_privs(true), "NoNewPrivs:").await, "1");
        assert_eq!(ours(), before);
    });
}

#[test]
fn a_limit_on_descriptors_does_not_limit_the_spawn_itself() {
    run(async {
        let _open: Vec<_> = (0..40).map(|_| std::io::pipe().unwrap()).collect();
        let child = Command::new("cat")
            .arg("/proc/self/limits")
            .rlimit(Resource::OpenFiles, 4, 4)
            .oom_score_adj(500);
        assert_eq!(told(child, "Max open files").await, "4 4 files");
        // A swap needs a number in between, and high numbers are placed before the limit.
        let swap = [(0, Fd::inherit(1)), (1, Fd::inherit(0)), (200, Fd::null())];
        let child = Command::new("true").fds(FdMap::from(swap));
        let child = child.rlimit(Resource::OpenFiles, 4, 4);
        let process = child.spawn(NoProtocol).await.unwrap();
        // Whether the loader can work with so few is not the question.
        process.ended().await;
    });
}

#[test]
fn every_resource_can_be_limited() {
    use Resource as R;
    let all = [
        (R::AddressSpace, "Max address space"),
        (R::Core, "Max core file size"),
        (R::Cpu, "Max cpu time"),
        (R::Data, "Max data size"),
        (R::FileSize, "Max file size"),
        (R::Locks, "Max file locks"),
        (R::LockedMemory, "Max locked memory"),
        (R::MessageQueues, "Max msgqueue size"),
        (R::Nice, "Max nice priority"),
        (R::OpenFiles, "Max open files"),
        (R::Processes, "Max processes"),
        (R::ResidentSet, "Max resident set"),
        (R::RealTimePriority, "Max realtime priority"),
        (R::RealTimeCpu, "Max realtime timeout"),
        (R::PendingSignals, "Max pending signals"),
        (R::Stack, "Max stack size"),
    ];
    run(async {
        for (resource, name) in all {
            let (soft, _) = ours(name);
            // Lower than now, where there is a now; enough for cat to run.
            let limit = soft.min(4_000_000_000) / 2;
            let child = Command::new("cat")
                .arg("/proc/self/limits")
                .rlimit(resource, limit, limit);
            let line = told(child, name).await;
            let told = line.split(' ').next().unwrap();
            assert_eq!(told, limit.to_string(), "{name}");
        }
    });
}

/// This process's limit as /proc names it.
fn ours(name: &str) -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    let mut numbers = line
        .split_whitespace()
        .map(|n| n.parse().unwrap_or(u64::MAX));
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn a_limit_above_the_hard_one_is_a_limits_error() {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        run(async {
            Command::new("true").status().await.unwrap();
            nix::unistd::setgroups(&[]).unwrap();
            nix::unistd::setuid(NOBODY.into()).unwrap();
            let (_, hard) = ours("Max open files");
            let child = status().rlimit(Resource::OpenFiles, 10, hard + 1);
            let error = child.spawn(NoProtocol).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Limits);
            assert_eq!(error.subject(), "rlimit OpenFiles");
            assert_eq!(error.errno(), Some(nix::libc::EPERM));
            let error = status().nice(-20).spawn(NoProtocol).await.unwrap_err();
            assert_eq!(
                (error.step(), error.subject()),
                (SpawnStep::Limits, "nice -20")
            );
        });
    });
}
