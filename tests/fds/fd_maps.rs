//! Which descriptors a child has: those of its map, and no others.

use crate::common;

use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_process::{Command, Fd, FdMap, SpawnStep};
use common::census::{Census, open_fds};
use common::files::{Files, assert_map, fds_of, flags_of};
use common::helper::{helper, numbers};
use common::isolated::isolated;
use common::trace::{Trace, history, spawned};
use common::{eventually, run};
use nix::libc;

#[test]
fn swaps_and_cycles_come_out_as_mapped() {
    isolated(|| {
        let files = Files::new();
        for (fd, name) in [(40, "a"), (41, "b"), (42, "c")] {
            files.open_at(fd, name, fd == 41);
        }
        run(async {
            let swap = [(40, Fd::inherit(41)), (41, Fd::inherit(40))];
            assert_map(&files, swap, &[(40, "b"), (41, "a")]).await;
            let cycle = [
                (40, Fd::inherit(41)),
                (41, Fd::inherit(42)),
                (42, Fd::inherit(40)),
            ];
            assert_map(&files, cycle, &[(40, "b"), (41, "c"), (42, "a")]).await;
            let chain = [
                (41, Fd::inherit(40)),
                (42, Fd::inherit(41)),
                (0, Fd::inherit(42)),
            ];
            assert_map(&files, chain, &[(0, "c"), (41, "a"), (42, "b")]).await;
        });
    });
}

#[test]
fn one_descriptor_can_become_several() {
    isolated(|| {
        let files = Files::new();
        files.open_at(40, "a", true);
        files.open_at(41, "b", true);
        run(async {
            let several = [
                (0, Fd::inherit(40)),
                (40, Fd::inherit(41)),
                (41, Fd::inherit(40)),
                (9, Fd::inherit(40)),
            ];
            assert_map(&files, several, &[(0, "a"), (9, "a"), (40, "b"), (41, "a")]).await;
        });
    });
}

#[test]
fn a_close_on_exec_descriptor_is_inherited_under_its_own_number() {
    isolated(|| {
        let files = Files::new();
        files.open_at(40, "a", true);
        files.open_at(41, "b", false);
        run(async {
            let map = [(40, Fd::inherit(40)), (41, Fd::inherit(41))];
            assert_map(&files, map, &[(40, "a"), (41, "b")]).await;
            assert_eq!(flags_of(40).0, libc::FD_CLOEXEC);
            assert_eq!(flags_of(41).0, 0);
        });
    });
}

#[test]
fn extra_pipes_work_in_both_directions() {
    run(async {
        let command = helper(["drain", "3", "tell", "4", "got it"])
            .fd(3, Fd::write())
            .fd(4, Fd::read());
        let (trace, process) = spawned(command).await;
        process.write_to_child(3, "some").unwrap();
        process.close_child_fd(3);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2, 3, 4]);
        assert_eq!(history.text(4), "got it\n");
    });
}

#[test]
fn an_empty_map_leaves_nothing_open() {
    isolated(|| {
        run(assert_map_of_nothing());
    });
}

async fn assert_map_of_nothing() {
    assert_map(&Files::new(), FdMap::new(), &[]).await;
}

#[test]
fn what_the_parent_has_open_without_close_on_exec_is_closed_in_the_child() {
    isolated(|| {
        let files = Files::new();
        for fd in (40..90).chain([500, 900]) {
            files.open_at(fd, "leaky", false);
        }
        files.open_at(50, "wanted", false);
        run(async {
            assert_map(&files, [(50, Fd::inherit(50))], &[(50, "wanted")]).await;
            assert_map(&files, [(7, Fd::inherit(50))], &[(7, "wanted")]).await;
            assert_eq!(numbers(&history(&helper(["fds"])).await.text(1)), [0, 1, 2]);
            assert_map_of_nothing().await;
        });
    });
}

#[test]
fn what_the_parent_opens_meanwhile_is_closed_in_the_child() {
    isolated(|| {
        let stop = Arc::new(AtomicBool::new(false));
        let opener = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                while !stop.load(Ordering::SeqCst) {
                    let opened: Vec<OwnedFd> = (0..20)
                        .map(|_| {
                            // SAFETY: a literal path; the number is a fresh descriptor of ours,
                            // not close-on-exec.
                            unsafe {
                                let fd = libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY);
                                OwnedFd::from_raw_fd(fd)
                            }
                        })
                        .collect();
                    drop(opened);
                }
            }
        });
        run(async {
            for _ in 0..20 {
                let commands = std::iter::repeat_n(helper(["fds"]), 10);
                let spawns = commands.map(|command| async move { history(&command).await.text(1) });
                for text in futures::future::join_all(spawns).await {
                    assert_eq!(numbers(&text), [0, 1, 2], "{text}");
                }
            }
        });
        stop.store(true, Ordering::SeqCst);
        opener.join().unwrap();
    });
}

fn is_open(fd: i32) -> bool {
    flags_of(fd).0 != -1
}

/// What `command` gives with a moved descriptor: whether the parent's is closed afterwards, and
/// how a second spawn fails.
async fn assert_moved(files: &Files, command: Command, works: bool) {
    let (trace, protocol) = Trace::start();
    let moved = files.owned("moved");
    let number = moved.as_raw_fd();
    let command = command.fd(5, moved);
    let spawned = command.spawn(&protocol).await;
    assert_eq!(spawned.is_ok(), works, "{spawned:?}");
    let ours = fds_of(std::process::id() as i32);
    let left: Vec<_> = ours
        .values()
        .filter(|path| **path == files.path("moved"))
        .collect();
    assert!(left.is_empty(), "fd {number} is open after {spawned:?}");
    if let Ok(process) = spawned {
        let history = trace.ended(&process).await;
        assert_eq!(numbers(&history.text(1)), [0, 1, 2, 5]);
    }
    let again = command.spawn(&protocol).await.unwrap_err();
    assert_eq!(again.step(), SpawnStep::Invalid, "{again}");
}

#[test]
fn a_moved_descriptor_belongs_to_the_first_spawn() {
    isolated(|| {
        let files = Files::new();
        run(async {
            assert_moved(&files, helper(["fds"]), true).await;
            assert_moved(&files, Command::new("/no/such/program"), false).await;
        });
    });
}

#[test]
fn a_moved_descriptor_is_closed_by_a_spawn_that_fails_before_it_is_needed() {
    isolated(|| {
        let files = Files::new();
        run(async {
            assert_moved(&files, Command::new("a\0b"), false).await;
            let unopened = helper(["fds"]).fd(3, Fd::inherit(999));
            assert_moved(&files, unopened, false).await;
            assert_moved(&files, helper(["fds"]).fd(-1, Fd::null()), false).await;
        });
    });
}

#[test]
fn a_shared_descriptor_serves_many_spawns() {
    isolated(|| {
        let files = Files::new();
        let shared = Arc::new(files.owned("shared"));
        run(async {
            for _ in 0..3 {
                let map = [(8, Fd::share(Arc::clone(&shared)))];
                assert_map(&files, map, &[(8, "shared")]).await;
            }
            let command = helper(["tell", "8", "written"]).fd(8, Fd::share(Arc::clone(&shared)));
            history(&command).await;
            history(&command).await;
        });
        assert!(is_open(shared.as_raw_fd()));
        let content = fs::read_to_string(files.path("shared")).unwrap();
        assert_eq!(content, "written\nwritten\n");
    });
}

#[test]
fn null_is_open_for_reading_and_writing() {
    run(async {
        let command = helper(["cat", "tell", "2", "into the void", "tell", "4", "on"]).fds(
            [
                (0, Fd::null()),
                (1, Fd::null()),
                (2, Fd::null()),
                (4, Fd::read()),
            ]
            .into(),
        );
        let history = history(&command).await;
        assert!(history.status().success());
        assert_eq!(history.text(4), "on\n");
        history.assert_rules(&[4]);
    });
}

#[test]
fn high_numbers_work() {
    run(async {
        let command = helper(["drain", "200", "tell", "900", "high", "fds"])
            .fd(200, Fd::write())
            .fd(900, Fd::read());
        let (trace, process) = spawned(command).await;
        process.close_child_fd(200);
        let history = trace.ended(&process).await;
        assert_eq!(history.text(900), "high\n");
        assert_eq!(numbers(&history.text(1)), [0, 1, 2, 200, 900]);
    });
}

#[test]
fn the_parents_descriptors_are_not_altered() {
    isolated(|| {
        let files = Files::new();
        files.open_at(40, "a", true);
        files.open_at(41, "b", false);
        let moved_to = files.owned("c").into_raw_fd();
        run(async {
            history(&helper(["fds"])).await;
            Census::quiet().await;
            let with_flags = || -> Vec<(i32, String, (i32, i32))> {
                let fds = open_fds().into_iter();
                fds.map(|(fd, what)| (fd, what, flags_of(fd))).collect()
            };
            let before = with_flags();
            let command = helper(["fds"]).fds(
                [
                    (0, Fd::inherit(41)),
                    (1, Fd::read()),
                    (2, Fd::null()),
                    (40, Fd::inherit(41)),
                    (41, Fd::inherit(40)),
                    (moved_to, Fd::inherit(moved_to)),
                ]
                .into(),
            );
            let text = history(&command).await.text(1);
            assert_eq!(numbers(&text).len(), 6, "{text}");
            eventually(
                "the descriptors as before",
                || (with_flags() == before).then_some(()),
                || format!("{:?}, before {before:?}", with_flags()),
            )
            .await;
            // SAFETY: open, by the lines above.
            let same = unsafe { BorrowedFd::borrow_raw(41) };
            let now = fs::read_link(format!("/proc/self/fd/{}", same.as_raw_fd())).unwrap();
            assert_eq!(Path::new(&now), files.path("b"));
        });
    });
}
