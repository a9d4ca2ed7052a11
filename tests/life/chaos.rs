//! Many children, many arbiters, and commands at random: the rules hold, and nothing is left.

use crate::common;

use actix::prelude::*;
use actix_process::{Command, OnOrphaned, ProcessHandle, Signal};
use common::helper::helper;
use common::isolated::isolated;
use common::trace::{Trace, Tracer};
use common::{run, start_all_threads};
use std::time::Duration;

/// xorshift: the same numbers in every run of a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn some_command(dice: &mut Dice) -> Command {
    let command = match dice.roll(9) {
        0 => Command::new("true"),
        1 => helper(["cat"]),
        2 => helper(["say", "ready", "pause"]),
        3 => helper(["spam", "300000"]),
        4 => helper(["tiny", "2000"]),
        5 => helper([
            "close",
            "0",
            "close",
            "1",
            "tell",
            "2",
            "still here",
            "exit",
            "3",
        ]),
        6 => helper(["ignore", "15", "say", "ready", "pause"]),
        7 => helper(["hold-until", "0", "exit", "1"]).ended_timeout(Duration::from_millis(20)),
        _ => Command::new("/no/such/program"),
    };
    let command = command.window(4096 << dice.roll(9));
    match dice.roll(3) {
        0 => command.on_orphaned(OnOrphaned::Terminate(Duration::from_millis(30))),
        _ => command,
    }
}

fn some_order(dice: &mut Dice, process: &ProcessHandle) {
    match dice.roll(12) {
        0 => process.pause_producing(),
        1 => process.resume_producing(),
        2 => process.close_stdin(),
        3 => process.close_stdout(),
        4 => process.abort(0),
        5 => process.lose_connection(),
        6 => drop(process.signal(Signal::TERM)),
        7 => _ = process.kill(),
        8 => _ = process.terminate(Duration::from_millis(20)),
        9 => drop(process.signal(Signal::STOP)),
        10 => drop(process.signal(Signal::CONT)),
        _ => drop(process.write(vec![b'x'; dice.roll(200_000) as usize])),
    }
}

/// Spawns, orders about and ends `count` children, on the arbiter where it runs.
async fn play(seed: u64, count: usize, protocol: Addr<Tracer>, trace: Trace) {
    let mut dice = Dice(seed);
    let mut children = Vec::new();
    for _ in 0..count {
        let mut spawning = some_command(&mut dice).spawn(&protocol);
        if dice.roll(6) == 0 {
            // Begun and dropped: cancelled, or committed and told of below.
            let _ = futures::poll!(&mut spawning);
            if dice.roll(2) == 0 {
                actix_rt::task::yield_now().await;
            }
            continue;
        }
        if let Ok(process) = spawning.await {
            children.push(process);
        }
        if let Some(last) = children.len().checked_sub(1) {
            let chosen = dice.roll(last as u64 + 1) as usize;
            some_order(&mut dice, &children[chosen]);
        }
    }
    for process in &children {
        process.resume_producing();
        process.kill();
        // Descendants that hold pipes are cut off where no clock does it.
        process.exited().await;
        process.lose_connection();
    }
    for process in &children {
        trace.ended(process).await.assert_rules(&[0, 1, 2]);
    }
}

#[test]
fn random_lives_keep_the_rules_and_leave_nothing() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            for seed in [
                0x0ddb_1a5e_5bad_5eed,
                0x2545_f491_4f6c_dd1d,
                0x9e37_79b9_7f4a_7c15,
            ] {
                round(seed).await;
            }
            before.assert_restored_but_spawners().await;
        });
    });
}

async fn round(seed: u64) {
    let arbiters: Vec<Arbiter> = (0..3).map(|_| Arbiter::new()).collect();
    let mut done = Vec::new();
    for (index, arbiter) in arbiters.iter().enumerate() {
        let (tell, told) = futures::channel::oneshot::channel();
        done.push(told);
        let seed = seed.rotate_left(7 * index as u32) | 1;
        arbiter.spawn(async move {
            let (trace, protocol) = Trace::start();
            play(seed, 80, protocol.clone(), trace).await;
            // Children of spawns that were dropped too late are orphans now, and killed.
            drop(protocol);
            let _ = tell.send(());
        });
    }
    for told in done {
        told.await.expect("an arbiter's play did not end");
    }
    for arbiter in arbiters {
        arbiter.stop();
        arbiter.join().unwrap();
    }
}
