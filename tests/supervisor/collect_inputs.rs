//! Inputs of a child that `output`, `status` and `read` run: nobody has a handle to close them.

use crate::common;

use std::future::IntoFuture;
use std::os::fd::OwnedFd;

use actix_process::{Collect, Command, Fd, Pty, PtySize};
use common::tty::{another, change, make_raw, pair, slave_of};
use common::{helper::helper, run, soon};

const SIZE: PtySize = PtySize::new(24, 80);

async fn told(collect: Collect<actix_process::Output>) -> String {
    let output = soon("the child's end", collect.into_future()).await;
    String::from_utf8(output.unwrap().stdout).unwrap()
}

/// Copies what it reads from these numbers, each to its end.
fn reader(numbers: &[i32]) -> Command {
    let cats: Vec<String> = numbers.iter().map(|n| format!("cat <&{n}; ")).collect();
    let child = Command::new("sh").args(["-c", &format!("{}echo done", cats.concat())]);
    let extra = numbers.iter().filter(|n| **n > 2);
    extra.fold(child, |child, n| child.fd(*n, Fd::write()))
}

#[test]
fn every_input_that_nobody_can_close_is_at_its_end() {
    run(async {
        for numbers in [&[0, 3][..], &[3], &[9, 4, 7]] {
            assert_eq!(told(reader(numbers).output()).await, "done\n");
            assert_eq!(told(reader(numbers).read()).await, "done\n");
            let status = reader(numbers).status().into_future();
            assert!(soon("the child's end", status).await.unwrap().success());
        }
    });
}

#[test]
fn the_input_that_is_given_is_the_only_one_that_is_written() {
    run(async {
        let both = || reader(&[3, 0]);
        assert_eq!(
            told(both().output().input("given\n")).await,
            "given\ndone\n"
        );
        assert_eq!(told(both().read().input("")).await, "done\n");
    });
}

#[test]
fn other_descriptors_are_left_as_the_command_has_them() {
    run(async {
        let (reading, mut writing) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut writing, b"by the host\n").unwrap();
        drop(writing);
        let child = reader(&[3, 4]).fd(4, Fd::from(OwnedFd::from(reading)));
        assert_eq!(told(child.output()).await, "by the host\ndone\n");
    });
}

#[test]
fn on_a_terminal_the_end_of_input_is_typed() {
    run(async {
        let cat = || Command::new("cat").pty(SIZE);
        assert_eq!(told(cat().output()).await, "");
        assert_eq!(told(cat().read()).await, "");
        let status = soon("the child's end", cat().status().into_future()).await;
        assert!(status.unwrap().success());
        // It is no byte, and not echoed.
        let count = Command::new("wc").arg("-c").pty(Pty::new(SIZE).echo(true));
        assert_eq!(told(count.output()).await, "0\r\n");
    });
}

#[test]
fn on_a_given_terminal_the_end_of_input_is_what_its_modes_say() {
    run(async {
        let (master, slave) = pair();
        change(&slave, |modes| modes.control_chars[nix::libc::VEOF] = b'q');
        let cat = Command::new("cat").pty(Pty::from_ends(another(&master), slave));
        assert_eq!(told(cat.output()).await, "");

        // There is no end of input where bytes pass as they are.
        let slave = slave_of(&master);
        change(&slave, make_raw);
        let take = helper(["say", "raw"]).pty(Pty::from_ends(master, slave));
        assert_eq!(told(take.output()).await, "raw\n");
    });
}

#[test]
fn on_a_raw_terminal_nothing_is_typed() {
    run(async {
        // What is read is what the child says before; nobody types.
        let script = "stty min 0 time 5; head -c 1 | wc -c";
        let child = Command::new("sh").args(["-c", script]);
        let child = child.pty(Pty::new(SIZE).raw(true));
        assert_eq!(told(child.output()).await, "0\n");
    });
}
