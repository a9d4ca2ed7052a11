//! Pipes in packet mode: a child that sets O_DIRECT on its output gives one packet a read, and the
//! kernel throws away what of a packet a read has no room for.

use crate::common;

use actix_process::{Command, Fd, NoProtocol};
use common::helper::{helper, pattern};
use common::patterns::packet;
use common::slow_protocol::{SlowProtocol, Withheld};
use common::streams::{self, bytes};
use common::trace::spawned;
use common::{DEADLINE, amount, eventually, run};

fn packets(numbers: std::ops::Range<usize>) -> Vec<u8> {
    numbers.flat_map(packet).collect()
}

/// So many bursts, of 1 to 15 packets each: more than a pipe always has room for, and fewer.
const BURSTS: usize = 60;

/// Writes bursts of packets, each after a byte on 0.
fn bursts() -> (Command, Vec<Vec<u8>>) {
    let mut actions = Vec::new();
    let mut wanted = Vec::new();
    let mut first = 0;
    for burst in 0..BURSTS {
        let n = 1 + burst % 15;
        actions.extend(["take", "0", "1", "packets", "1"].map(str::to_owned));
        actions.extend([first.to_string(), n.to_string()]);
        wanted.push(packets(first..first + n));
        first += n;
    }
    (helper(actions), wanted)
}

#[test]
fn every_packet_of_a_burst_comes_though_nothing_follows() {
    run(async {
        for window in [4096, 10_000, Command::DEFAULT_WINDOW] {
            let (command, wanted) = bursts();
            let (trace, process) = spawned(command.window(window)).await;
            let mut all = Vec::new();
            for burst in wanted {
                all.extend(burst);
                process.write("x").unwrap();
                let so_far = |events: &[_]| {
                    let data = common::trace::data_of(events, 1);
                    (data.len() >= all.len()).then_some(data)
                };
                let data = trace.until(&process, "the whole burst", so_far).await;
                assert!(data == all, "{} of {} bytes", data.len(), all.len());
            }
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1, 2]);
            assert!(history.data(1) == all);
        }
    });
}

#[test]
fn every_packet_of_a_burst_comes_to_a_stream() {
    run(async {
        let (command, wanted) = bursts();
        let command = command.stdout(Fd::stream().window(4096));
        let process = command.spawn(NoProtocol).await.unwrap();
        let mut stream = process.take_stream(1).unwrap();
        for burst in wanted {
            process.write("x").unwrap();
            let mut data = Vec::new();
            while data.len() < burst.len() {
                data.extend(streams::next(&mut stream).await.unwrap());
            }
            assert!(data == burst, "{} of {} bytes", data.len(), burst.len());
        }
        assert_eq!(streams::next(&mut stream).await, None);
    });
}

/// More than a pipe holds.
fn many() -> usize {
    amount(600, 200)
}

#[test]
fn a_flood_of_packets_comes_whole_whatever_the_window_and_however_slow_the_protocol() {
    run(async {
        for window in [4096, 5000, 100_000] {
            let (withheld, protocol) = SlowProtocol::start_new();
            let command = helper(["packets", "1", "0", &many().to_string()]).window(window);
            command.spawn(&protocol).await.unwrap();
            let received = eventually(
                "the end",
                || {
                    Withheld::let_go(&withheld);
                    let withheld = withheld.lock().unwrap();
                    assert!(withheld.most_bytes <= window, "{}", withheld.most_bytes);
                    withheld.ended.then(|| withheld.received.clone())
                },
                || format!("{} bytes", withheld.lock().unwrap().received.len()),
            );
            assert!(received.await == packets(0..many()), "window {window}");
        }
    });
}

#[test]
fn what_a_cut_finds_in_the_pipe_comes_whole() {
    run(async {
        // They fit into the pipe; and of the stream's window the first is all.
        let actions = ["packets", "1", "0", "10", "tell", "2", "written", "pause"];
        let command = helper(actions).stdout(Fd::stream().window(4096));
        let (trace, process) = spawned(command).await;
        trace.output(&process, 2, "written").await;
        process.cut_connection();
        let came = bytes(process.take_stream(1).unwrap()).await;
        assert!(came == packets(0..10), "{} bytes", came.len());
        assert!(process.kill());
        trace.ended(&process).await.assert_rules(&[0, 1, 2]);
    });
}

#[test]
fn packets_after_much_else_come_whole() {
    run(async {
        const SIZE: usize = 3_000_000;
        let size = SIZE.to_string();
        let command = helper(["spam", &size, "take", "0", "1", "packets", "1", "0", "500"]);
        let (trace, process) = spawned(command).await;
        let so_far = |events: &[_]| (common::trace::data_of(events, 1).len() == SIZE).then_some(());
        trace.until(&process, "what is no packet", so_far).await;
        process.write("x").unwrap();
        let data = trace.ended(&process).await.data(1);
        assert!(data[..SIZE] == pattern(SIZE));
        assert!(data[SIZE..] == packets(0..500), "{} bytes", data.len());
    });
}

#[test]
fn packets_that_nobody_reads_hold_up_nobody() {
    run(async {
        let command = helper(["packets", "1", "0", &many().to_string()]);
        let process = command.spawn(NoProtocol).await.unwrap();
        let ended = actix_rt::time::timeout(DEADLINE, process.ended());
        assert!(ended.await.unwrap().success());
    });
}
