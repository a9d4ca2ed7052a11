//! A child for code that takes tokio's readers and writers.

use crate::common;

use std::io::ErrorKind;

use actix_process::{Fd, Signal};
use common::helper::{helper, pattern};
use common::{in_time, run};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

#[test]
fn a_transport_carries_both_directions() {
    run(async {
        let io = helper(["cat"]).open().await.unwrap().io();
        let process = io.process().clone();
        let (mut reader, mut writer) = tokio::io::split(io);
        let sent = pattern(1_000_000);
        let (written, echoed) = in_time(futures::future::join(
            async {
                writer.write_all(&sent).await?;
                writer.shutdown().await
            },
            async {
                let mut echoed = Vec::new();
                reader.read_to_end(&mut echoed).await.map(|_| echoed)
            },
        ))
        .await;
        written.unwrap();
        assert!(echoed.unwrap() == sent);
        assert!(in_time(process.exited()).await.success());
    });
}

#[test]
fn a_transport_that_drops_kills_the_child() {
    run(async {
        let io = helper(["ignore", "15", "pause"]).open().await.unwrap().io();
        let process = io.process().clone();
        drop(io);
        assert_eq!(in_time(process.ended()).await.signal(), Some(Signal::KILL));
    });
}

#[test]
fn a_child_that_complains_is_not_held_up_by_a_transport() {
    run(async {
        let actions = ["flood", "2", "4000000", "say", "done", "cat"];
        let mut io = helper(actions).open().await.unwrap().io();
        let mut line = String::new();
        in_time(io.read_line(&mut line)).await.unwrap();
        assert_eq!(line, "done\n");
    });
}

#[test]
fn lines_are_read_by_tokios_reader() {
    run(async {
        let child = helper(["say", "one", "say", "two", "put", "1", "7a"])
            .open()
            .await;
        let mut lines = child.unwrap().stdout.lines_of_tokio();
        let mut read = Vec::new();
        while let Some(line) = in_time(lines.next_line()).await.unwrap() {
            read.push(line);
        }
        assert_eq!(read, ["one", "two", "z"]);
    });
}

/// `FdStream` has lines of its own.
trait LinesOfTokio: AsyncBufReadExt + Sized {
    fn lines_of_tokio(self) -> tokio::io::Lines<Self> {
        AsyncBufReadExt::lines(self)
    }
}

impl<R: AsyncBufReadExt> LinesOfTokio for R {}

#[test]
fn a_writer_is_held_up_by_a_child_that_does_not_read_and_fails_when_it_closes() {
    run(async {
        let mut child = helper(["take", "0", "1", "close", "0", "say", "closed", "pause"]);
        child = child.stderr(Fd::null());
        let mut child = child.open().await.unwrap();
        // More than pipe and queue hold: it cannot be written before the child closes.
        let error = in_time(child.stdin.write_all(&pattern(2_000_000))).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let error = in_time(child.stdin.write(b"x")).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_flush_ends_when_all_is_in_the_pipe_and_an_empty_write_writes_nothing() {
    run(async {
        let mut child = helper(["take", "0", "5", "say", "five", "cat"])
            .open()
            .await
            .unwrap();
        assert_eq!(child.stdin.write(b"").await.unwrap(), 0);
        child.stdin.write_all(b"12345").await.unwrap();
        in_time(child.stdin.flush()).await.unwrap();
        let mut five = [0; 5];
        in_time(child.stdout.read_exact(&mut five)).await.unwrap();
        assert_eq!(&five, b"five\n");
    });
}
