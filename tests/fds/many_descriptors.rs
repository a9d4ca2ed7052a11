//! Parents with many open descriptors, whose children are cloned with the parent's table shared at
//! first: what a child has, and what the parent keeps. Spawns that meet: many_descriptors_at_once.rs.

use crate::common;

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use actix_process::{Command, Fd, FdMap, SpawnStep};
use common::census::{self, Census, children};
use common::files::{Files, assert_map};
use common::helper::{helper, numbers};
use common::isolated::isolated;
use common::limits::set_soft_limit;
use common::many_fds::{MANY, ManyFds, nulls, with_flags};
use common::trace::{Trace, history};
use common::{eventually, run};
use nix::libc;

/// Holds for a child whose descriptors are these files, moved to these numbers.
async fn assert_moved(files: &Files, targets: &[i32]) {
    let names: Vec<String> = targets.iter().map(|fd| format!("for {fd}")).collect();
    let wanted: Vec<(i32, &str)> = targets
        .iter()
        .zip(&names)
        .map(|(fd, name)| (*fd, &**name))
        .collect();
    let map: FdMap = wanted
        .iter()
        .map(|(fd, name)| {
            let file = files.owned(name);
            assert!(file.as_raw_fd() > MANY, "{file:?}");
            (*fd, Fd::from(file))
        })
        .collect();
    assert_map(files, map, &wanted).await;
}

#[test]
fn a_child_has_its_map_and_nothing_else() {
    isolated(|| {
        run(async {
            ManyFds::open().await;
            let files = Files::new();
            assert_map(&files, FdMap::new(), &[]).await;
            assert_moved(&files, &[7]).await;
            assert_moved(&files, &[0, 1, 2]).await;
            assert_moved(&files, &[0, 2, 150, 599, 900]).await;
            // Once more: the slots have been used.
            assert_moved(&files, &[3]).await;
            assert_eq!(numbers(&history(&helper(["fds"])).await.text(1)), [0, 1, 2]);
        });
    });
}

#[test]
fn the_first_spawn_may_come_when_many_are_open() {
    isolated(|| {
        run(async {
            common::many_fds::fill();
            let files = Files::new();
            for _ in 0..3 {
                assert_moved(&files, &[0, 1, 9, MANY + 5, MANY + 40]).await;
                assert_eq!(numbers(&history(&helper(["fds"])).await.text(1)), [0, 1, 2]);
            }
        });
    });
}

/// What the kernel has room for in this process's table, which it never makes smaller.
fn table_size() -> i32 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
    size.unwrap().trim().parse().unwrap()
}

#[test]
fn the_first_spawn_does_not_open_what_it_leaves_to_the_host() {
    isolated(|| {
        run(async {
            set_soft_limit(libc::RLIMIT_NOFILE, 4096);
            let before = table_size();
            // Room for the 18 that stay reserved and what a spawn needs meanwhile, and not for 64 more.
            let null = || File::open("/dev/null").unwrap();
            let files: Vec<File> = std::iter::repeat_with(null)
                .take_while(|file| file.as_raw_fd() < before - 60)
                .collect();
            assert_eq!(table_size(), before);
            history(&helper(["exit"])).await;
            assert_eq!(table_size(), before);
            drop(files);
        });
    });
}

#[test]
fn no_numbers_are_reserved_where_the_host_would_have_few_left() {
    isolated(|| {
        run(async {
            let open = census::open_fds().len() as u64;
            set_soft_limit(libc::RLIMIT_NOFILE, open + 60);
            let before = nulls();
            history(&helper(["exit"])).await;
            Census::quiet().await;
            assert_eq!(nulls(), before);
        });
    });
}

#[test]
fn eight_descriptors_arrive_and_so_do_nine_and_twenty() {
    isolated(|| {
        run(async {
            ManyFds::open().await;
            let files = Files::new();
            for count in [8, 9, 20, 8] {
                let targets: Vec<i32> = (0..count).map(|n| n * 3).collect();
                assert_moved(&files, &targets).await;
            }
        });
    });
}

#[test]
fn targets_may_be_numbers_that_are_reserved() {
    isolated(|| {
        run(async {
            let many = ManyFds::open().await;
            let files = Files::new();
            // Where none are reserved, these are numbers like others.
            let reserved = match &*many.reserved {
                [] => (10..28).collect(),
                reserved => reserved.to_vec(),
            };
            for width in [2, 3, 8] {
                for targets in reserved.windows(width) {
                    assert_moved(&files, targets).await;
                }
            }
            for step in [2, 3, 4] {
                let targets: Vec<i32> = reserved.iter().copied().step_by(step).take(8).collect();
                assert_moved(&files, &targets).await;
            }
        });
    });
}

#[test]
fn swaps_cycles_and_kept_numbers_of_the_parents_come_out_as_mapped() {
    isolated(|| {
        run(async {
            let many = ManyFds::open().await;
            let files = Files::new();
            // Below the slots' end in part, and above.
            for (fd, name) in [(150, "a"), (400, "b"), (900, "c")] {
                files.open_at(fd, name, fd == 400);
            }
            let moved = |name| Fd::from(files.owned(name));
            let swap = [
                (150, Fd::inherit(400)),
                (400, Fd::inherit(150)),
                (9, moved("moved")),
            ];
            assert_map(&files, swap, &[(9, "moved"), (150, "b"), (400, "a")]).await;
            let cycle = [
                (150, Fd::inherit(400)),
                (400, Fd::inherit(900)),
                (900, Fd::inherit(150)),
            ];
            assert_map(&files, cycle, &[(150, "b"), (400, "c"), (900, "a")]).await;
            let kept = [
                (150, Fd::inherit(150)),
                (900, Fd::inherit(900)),
                (0, Fd::inherit(900)),
                (1, moved("moved")),
            ];
            let wanted = [(0, "c"), (1, "moved"), (150, "a"), (900, "c")];
            assert_map(&files, kept, &wanted).await;
            // What another one's target overwrites, and a number that is reserved.
            let (low, high) = match &*many.reserved {
                [low, .., high] => (*low, *high),
                _ => (20, 30),
            };
            let chain = [
                (low, Fd::inherit(150)),
                (high, moved("moved")),
                (150, moved("on it")),
            ];
            let wanted = [(low, "a"), (high, "moved"), (150, "on it")];
            assert_map(&files, chain, &wanted).await;
        });
    });
}

#[test]
fn one_descriptor_that_becomes_several_serves_many_spawns() {
    isolated(|| {
        run(async {
            ManyFds::open().await;
            let files = Files::new();
            let shared = Arc::new(files.owned("shared"));
            for _ in 0..3 {
                let map = [3, 7, 300].map(|fd| (fd, Fd::share(Arc::clone(&shared))));
                let wanted = [(3, "shared"), (7, "shared"), (300, "shared")];
                assert_map(&files, map, &wanted).await;
            }
        });
    });
}

#[test]
fn pipes_end_when_either_side_closes() {
    isolated(|| {
        run(async {
            let many = ManyFds::open().await;
            let (trace, protocol) = Trace::start();
            // The parent closes: the child's reads end, and then the parent's.
            let cat = helper(["cat"]).spawn(&protocol).await.unwrap();
            assert_eq!(many.loaded(), 0);
            cat.write("through").unwrap();
            cat.close_stdin();
            let history = trace.ended(&cat).await;
            history.assert_rules(&[0, 1, 2]);
            assert_eq!(history.text(1), "through");
            // The child closes, and lives on.
            let actions = ["close", "0", "close", "1", "tell", "2", "closed", "pause"];
            let closer = helper(actions).spawn(&protocol).await.unwrap();
            trace.output(&closer, 2, "closed").await;
            trace.lost(&closer, 0).await;
            trace.lost(&closer, 1).await;
            assert_eq!(closer.try_status(), None);
            assert!(closer.kill());
            trace.ended(&closer).await;
        });
    });
}

#[test]
fn the_parents_descriptors_stay_as_they_are_whatever_comes_of_a_spawn() {
    isolated(|| {
        run(async {
            let many = ManyFds::open().await;
            let files = Files::new();
            files.open_at(700, "a", true);
            files.open_at(701, "b", false);
            // What only a failure starts is there before.
            let (trace, protocol) = Trace::start();
            let no_program = Command::new("/no/such/program");
            no_program.spawn(&protocol).await.unwrap_err();
            Census::quiet().await;
            let before = with_flags();
            let good = || helper(["fds"]).fd(5, Fd::write()).fd(6, Fd::inherit(701));
            for round in 0..10 {
                let step = match round % 5 {
                    0 => {
                        let text = history(&good().fd(700, Fd::null())).await.text(1);
                        assert_eq!(numbers(&text), [0, 1, 2, 5, 6, 700]);
                        None
                    }
                    1 => Some((
                        SpawnStep::Exec,
                        no_program.clone().fd(700, Fd::inherit(701)),
                    )),
                    2 => Some((SpawnStep::Cwd, good().current_dir("/no/such/directory"))),
                    3 => Some((SpawnStep::Fds, good().fd(10_000_000, Fd::null()))),
                    _ => Some((SpawnStep::Exec, no_program.clone().fds(FdMap::new()))),
                };
                if let Some((step, command)) = step {
                    let error = command.spawn(&protocol).await.unwrap_err();
                    assert_eq!(error.step(), step, "{error}");
                }
                eventually(
                    "the descriptors to be as before",
                    || (with_flags() == before).then_some(()),
                    || format!("{:?}, before {before:?}", with_flags()),
                )
                .await;
                assert_eq!((many.loaded(), children()), (0, Vec::new()));
            }
            let now = fs::read_link("/proc/self/fd/701").unwrap();
            assert_eq!(now, files.path("b"));
            assert!(trace.events().is_empty());
        });
    });
}

/// Whether this process has a record lock on the file.
fn has_lock(path: &Path) -> bool {
    let inode = format!(":{}", fs::metadata(path).unwrap().ino());
    let me = std::process::id().to_string();
    let locks = fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(1) == Some(&"POSIX")
            && words.contains(&&*me)
            && words.iter().any(|word| word.ends_with(&inode))
    })
}

#[test]
fn record_locks_of_the_parent_outlive_spawns() {
    isolated(|| {
        run(async {
            ManyFds::open().await;
            let files = Files::new();
            let path = files.path("locked");
            let file: Arc<OwnedFd> = Arc::new(File::create(&path).unwrap().into());
            // SAFETY: zeroes are a whole file; the kernel reads one flock from a live local.
            let locked = unsafe {
                let mut whole: libc::flock = std::mem::zeroed();
                whole.l_type = libc::F_WRLCK as libc::c_short;
                libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const whole)
            };
            assert_eq!(locked, 0);
            assert!(has_lock(&path));
            let number = file.as_raw_fd();
            let maps: [FdMap; 4] = [
                [(1, Fd::read())].into(),
                [(1, Fd::read()), (number, Fd::null())].into(),
                // The child closes its own, when it ends at the latest.
                [(1, Fd::read()), (5, Fd::inherit(number))].into(),
                [(1, Fd::read()), (5, Fd::share(Arc::clone(&file)))].into(),
            ];
            for map in maps {
                let shown = format!("{map:?}");
                let history = history(&helper(["say", "bye"]).fds(map)).await;
                assert_eq!(history.text(1), "bye\n");
                assert!(has_lock(&path), "after a child with {shown}");
            }
        });
    });
}

#[test]
fn a_parent_without_0_1_and_2_can_spawn() {
    isolated(|| {
        // A panic would not be seen meanwhile.
        let (result, saved) = run(async {
            ManyFds::open().await;
            let saved = [0, 1, 2].map(|fd| {
                // SAFETY: integers; nothing else in this process uses them.
                unsafe {
                    let saved = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, MANY);
                    libc::close(fd);
                    saved
                }
            });
            let (trace, protocol) = Trace::start();
            let child = helper(["fds", "cat", "tell", "2", "err"]).fd(4, Fd::null());
            let result = match child.spawn(&protocol).await {
                Ok(process) => {
                    let _ = process.write("through");
                    process.close_stdin();
                    let ended = trace.ended(&process).await;
                    (ended.text(1), ended.text(2))
                }
                Err(error) => (error.to_string(), String::new()),
            };
            (result, saved)
        });
        for (fd, saved) in (0..).zip(saved) {
            // SAFETY: integers.
            unsafe { libc::dup2(saved, fd) };
        }
        let (out, err) = result;
        let (listing, echo) = out.split_at(out.rfind('\n').map_or(0, |at| at + 1));
        assert_eq!((echo, &*err), ("through", "err\n"), "{out}");
        assert_eq!(numbers(listing), [0, 1, 2, 4], "{out}");
    });
}
