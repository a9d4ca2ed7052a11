//! Parents with many open descriptors, as in many_descriptors.rs: spawns that meet each other, that
//! hang, or that a sandbox does not let share the table.

use crate::common;

use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_process::Fd;
use common::census::{Census, spawner_threads, threads};
use common::files::Files;
use common::hanging_exec::HangingExec;
use common::helper::{helper, numbers};
use common::isolated::isolated;
use common::many_fds::{ManyFds, SHARES, with_flags};
use common::refuse::{Call, refuse};
use common::trace::{Trace, history, spawned};
use common::{eventually, run};
use futures::FutureExt;
use futures::future::join_all;
use nix::libc;

/// Spawns `count` children at once, each with files and pipes of its own, and holds that none has
/// anything of another.
async fn assert_each_has_its_own(files: &Files, count: usize) {
    let children = (0..count).map(|n| async move {
        let mine = format!("file {n}");
        let text = format!("{n}");
        // Some go the other way, which has room for as many as one likes.
        let extra: &[i32] = if n % 5 == 4 {
            &[10, 11, 12, 13, 14]
        } else {
            &[]
        };
        let mut child = helper(["cat", "tell", "4", &text, "fds"])
            .fd(3, files.owned(&mine))
            .fd(4, Fd::read());
        for fd in extra {
            child = child.fd(*fd, Fd::null());
        }
        let (trace, process) = spawned(child).await;
        process.write(format!("to {n}\n")).unwrap();
        process.close_stdin();
        let ended = trace.ended(&process).await;
        assert_eq!(ended.text(4), format!("{n}\n"));
        let out = ended.text(1);
        let (echo, listing) = out.split_once('\n').unwrap();
        assert_eq!(echo, format!("to {n}"));
        let wanted = [&[0, 1, 2, 3, 4], extra].concat();
        assert_eq!(numbers(listing), wanted, "{listing}");
        let path = files.path(&mine);
        let line = format!("3 {} blocking", path.display());
        assert!(listing.lines().any(|l| l == line), "{listing}");
    });
    join_all(children).await;
}

/// Waits until the reserved numbers hold this many descriptors of children.
async fn until_loaded(many: &ManyFds, count: usize) {
    let count = if SHARES { count } else { 0 };
    eventually(
        &format!("{count} descriptors in slots"),
        || (many.loaded() == count).then_some(()),
        || format!("{}", many.loaded()),
    )
    .await;
}

#[test]
fn spawns_that_are_asked_at_once_each_have_their_own() {
    isolated(|| {
        run(async {
            let many = ManyFds::open().await;
            let files = Files::new();
            let before = with_flags();
            for _ in 0..5 {
                assert_each_has_its_own(&files, 30).await;
            }
            assert!(spawner_threads() >= 2, "{:?}", threads());
            until_loaded(&many, 0).await;
            Census::quiet().await;
            assert_eq!(with_flags(), before);
        });
    });
}

#[test]
fn what_other_threads_open_meanwhile_is_not_in_the_child() {
    isolated(|| {
        run(async {
            ManyFds::open().await;
            let stop = Arc::new(AtomicBool::new(false));
            let opener = std::thread::spawn({
                let stop = Arc::clone(&stop);
                move || {
                    // SAFETY: a literal path; the numbers are fresh descriptors of ours, not
                    // close-on-exec.
                    let open = || unsafe {
                        let fd = libc::open(c"/dev/zero".as_ptr(), libc::O_RDONLY);
                        OwnedFd::from_raw_fd(fd)
                    };
                    while !stop.load(Ordering::SeqCst) {
                        drop([(); 20].map(|()| open()));
                    }
                }
            });
            for _ in 0..10 {
                let commands = std::iter::repeat_n(helper(["fds"]), 10);
                let spawns = commands.map(|command| async move { history(&command).await.text(1) });
                for text in join_all(spawns).await {
                    assert_eq!(numbers(&text), [0, 1, 2], "{text}");
                }
            }
            stop.store(true, Ordering::SeqCst);
            opener.join().unwrap();
        });
    });
}

#[test]
fn hung_execs_keep_their_slots_and_other_spawns_are_right() {
    isolated(|| {
        run(async {
            let many = ManyFds::open().await;
            let files = Files::new();
            let mut lease = HangingExec::new();
            let (trace, protocol) = Trace::start();
            let child = lease.helper(["cat", "tell", "2", "at last", "fds"]);
            let mut hung = Vec::new();
            // The third one finds no set.
            for (count, loaded) in [(1, 3), (2, 6), (3, 6)] {
                let mut spawning = child.spawn(&protocol);
                assert!((&mut spawning).now_or_never().is_none());
                hung.push(spawning);
                lease.until_children(count).await;
                until_loaded(&many, loaded).await;
                assert_each_has_its_own(&files, 5).await;
                until_loaded(&many, loaded).await;
            }
            lease.release();
            for spawning in hung {
                let process = spawning.await.unwrap();
                process.write("through\n").unwrap();
                process.close_stdin();
                let ended = trace.ended(&process).await;
                assert_eq!(ended.text(2), "at last\n");
                let out = ended.text(1);
                let (echo, listing) = out.split_once('\n').unwrap();
                assert_eq!((echo, numbers(listing)), ("through", vec![0, 1, 2]));
            }
            until_loaded(&many, 0).await;
            assert_each_has_its_own(&files, 5).await;
        });
    });
}

#[test]
fn cancelled_hung_spawns_give_their_slots_back() {
    isolated(|| {
        run(async {
            let many = ManyFds::open().await;
            let files = Files::new();
            let lease = HangingExec::new();
            let (trace, protocol) = Trace::start();
            for _ in 0..3 {
                let mut hung = [(); 2].map(|()| lease.helper(["exit"]).spawn(&protocol));
                for spawning in &mut hung {
                    assert!(spawning.now_or_never().is_none());
                }
                lease.until_children(2).await;
                until_loaded(&many, 6).await;
                drop(hung);
                lease.until_children(0).await;
                until_loaded(&many, 0).await;
                assert_each_has_its_own(&files, 5).await;
            }
            assert!(trace.events().is_empty());
        });
    });
}

/// Holds that all works where nobody may leave a shared table by `call`.
fn works_without(call: Call, errno: i32) {
    run(async {
        let many = ManyFds::open().await;
        let files = Files::new();
        assert_each_has_its_own(&files, 5).await;
        Census::quiet().await;
        let before = with_flags();
        refuse(call, errno);
        for _ in 0..3 {
            assert_each_has_its_own(&files, 10).await;
        }
        let (_, protocol) = Trace::start();
        let missing = actix_process::Command::new("/no/such/program");
        let error = missing.spawn(&protocol).await.unwrap_err();
        assert_eq!(error.step(), actix_process::SpawnStep::Exec, "{error}");
        eventually(
            "the descriptors to be as before",
            || (with_flags() == before).then_some(()),
            || format!("{:?}, before {before:?}", with_flags()),
        )
        .await;
        // They hang without any slot.
        let lease = HangingExec::new();
        let mut hung = lease.helper(["exit"]).spawn(&protocol);
        assert!((&mut hung).now_or_never().is_none());
        lease.until_children(1).await;
        assert_eq!(many.loaded(), 0);
    });
}

#[test]
fn where_close_range_may_not_unshare_the_table_is_copied() {
    isolated(|| {
        let unshare = libc::CLOSE_RANGE_UNSHARE.cast_signed();
        works_without(Call::Third(libc::SYS_close_range, unshare), libc::EINVAL);
    });
}

#[test]
fn where_there_is_no_close_range_the_table_is_copied() {
    isolated(|| {
        works_without(Call::Any(libc::SYS_close_range), libc::ENOSYS);
    });
}
