//! How much of each descriptor may be on its way: a window of its own for each that wants one.

use crate::common;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex};

use actix_process::{Command, Fd, FdMap, NoProtocol, ProcessEvent, PtySize, SpawnStep};
use common::helper::{helper, pattern};
use common::slow_protocol::{SlowProtocol, Withheld};
use common::streams::bytes;
use common::{eventually, run};

/// Lets go of everything; gives how much that was, by descriptor.
fn let_go(withheld: &Mutex<Withheld>) -> BTreeMap<i32, usize> {
    let kept = std::mem::take(&mut withheld.lock().unwrap().kept);
    let mut sums = BTreeMap::new();
    for message in &kept {
        if let ProcessEvent::ChildDataReceived { fd, data } = &message.event {
            *sums.entry(*fd).or_default() += data.len();
        }
    }
    // Gives the credit back, and wakes readers: not under the lock.
    drop(kept);
    sums
}

const SIZE: usize = 500_000;

/// The most of each descriptor that a protocol gets which lets go every few milliseconds only, of a
/// child that floods 1 and a descendant of it that floods 2.
async fn most_of_each(command: Command) -> BTreeMap<i32, usize> {
    let (withheld, protocol) = SlowProtocol::start_new();
    let process = command.spawn(&protocol).await.unwrap();
    let most: Arc<Mutex<BTreeMap<i32, usize>>> = Arc::default();
    let mut total = 0;
    eventually(
        "the end",
        || {
            // Before the rest is let go.
            let ended = withheld.lock().unwrap().ended;
            let mut most = most.lock().unwrap();
            for (fd, sum) in let_go(&withheld) {
                total += sum;
                let most = most.entry(fd).or_default();
                *most = sum.max(*most);
            }
            ended.then_some(())
        },
        || format!("{:?} so far", most.lock().unwrap()),
    )
    .await;
    // And the line that names the descendant.
    let held = total - 2 * SIZE;
    assert!((7..20).contains(&held), "{total} bytes came");
    assert!(process.ended().await.success());
    most.lock().unwrap().clone()
}

fn flooding_both() -> Command {
    let size = SIZE.to_string();
    helper(["leave", "3", "flood", "2", &size, "flood", "1", &size])
}

#[test]
fn a_window_of_one_descriptor_leaves_the_others_theirs() {
    run(async {
        let command = flooding_both().stdout(Fd::read().window(8192));
        let most = most_of_each(command).await;
        assert!(most[&1] <= 8192, "{most:?}");
        // Its pipe holds 64 KiB whenever it is let go.
        assert!(most[&2] > 8192, "{most:?}");
    });
}

#[test]
fn a_descriptors_window_goes_before_the_commands_though_it_is_larger() {
    run(async {
        let command = flooding_both().window(5000);
        let command = command.stderr(Fd::read().window(200_000));
        let most = most_of_each(command).await;
        assert!(most[&1] <= 5000, "{most:?}");
        assert!((5001..=200_000).contains(&most[&2]), "{most:?}");
    });
}

#[test]
fn a_tiny_window_is_one_of_4096_bytes() {
    run(async {
        let fd = |window| Fd::read().window(window);
        let (of_fds, of_command) = futures::join!(
            most_of_each(flooding_both().stdout(fd(0)).stderr(fd(1))),
            most_of_each(flooding_both().window(0)),
        );
        for most in [of_fds, of_command] {
            assert!(most.values().all(|most| *most <= 4096), "{most:?}");
        }
    });
}

#[test]
fn windows_of_streams_and_of_descriptors_above_two_are_their_own() {
    run(async {
        let command = helper(["flood", "7", "300000", "flood", "1", "300000"]);
        let command = command
            .window(1)
            .stdout(Fd::read())
            .fd(7, Fd::stream().window(usize::MAX));
        let (withheld, protocol) = SlowProtocol::start_new();
        let process = command.spawn(&protocol).await.unwrap();
        let taken = bytes(process.take_stream(7).unwrap());
        let (taken, ()) = futures::join!(taken, async {
            eventually(
                "the end",
                || {
                    let ended = withheld.lock().unwrap().ended;
                    let sums = let_go(&withheld);
                    assert!(sums.values().all(|sum| *sum <= 4096), "{sums:?}");
                    ended.then_some(())
                },
                || format!("{} bytes", withheld.lock().unwrap().received.len()),
            )
            .await;
        });
        assert!(taken == pattern(300_000));
        assert!(withheld.lock().unwrap().received == pattern(300_000));
    });
}

#[test]
fn a_window_of_what_is_not_read_is_refused() {
    run(async {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let shared = Arc::new(std::fs::File::open("/dev/null").unwrap().into());
        let on_terminal = helper(["pause"]).pty(PtySize::new(24, 80));
        let terminal = on_terminal.fd_map().get(1).unwrap().clone();
        let refused = [
            (helper(["pause"]), 0, Fd::write()),
            (helper(["pause"]), 9, Fd::write()),
            (helper(["pause"]), 9, Fd::null()),
            (helper(["pause"]), 9, Fd::inherit(0)),
            (helper(["pause"]), 9, Fd::share(shared)),
            (helper(["pause"]), 9, Fd::from(writer)),
            (on_terminal, 1, terminal),
        ];
        for (command, n, fd) in refused {
            for window in [0, 1 << 20] {
                let command = command.clone().fd(n, fd.clone().window(window));
                let error = command.spawn(NoProtocol).await.unwrap_err();
                assert_eq!(error.step(), SpawnStep::Invalid, "{fd:?}: {error}");
                assert_eq!(error.subject(), format!("fd {n}"), "{fd:?}: {error}");
                assert!(error.detail().contains("window"), "{fd:?}: {error}");
            }
        }
        // The one that was moved is closed all the same.
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        for fd in [Fd::read(), Fd::stream()] {
            let map = FdMap::from([(1, fd.window(1 << 20))]);
            assert!(
                helper(["say", "x"])
                    .fds(map)
                    .status()
                    .await
                    .unwrap()
                    .success()
            );
        }
    });
}
