//! Streams and sinks are refused alike, when they are asked for; and they are closed, taken apart and
//! put together by their own methods.

use crate::common;

use crate::tools::producing::fill;
use actix_process::codec::{AnyDelimiterCodec, Encoder, LengthDelimitedCodec, LinesCodec};
use actix_process::testing::TestProcess;
use actix_process::{
    Bytes, CloseReason, Fd, NoProtocol, ProcessEvent, Pty, PtySize, StreamError, WriteError,
};
use common::helper::{helper, pattern};
use common::streams::{bytes, next};
use common::trace::spawned;
use common::{in_time, run, soon};
use futures::{FutureExt, SinkExt};

#[test]
fn what_is_not_there_is_refused_alike_at_the_call() {
    run(async {
        let child = helper(["drain", "0"])
            .stdout(Fd::stream())
            .stderr(Fd::null());
        let process = child.spawn(NoProtocol).await.unwrap();
        let not_written = |fd| WriteError::NotWritable { fd };
        let no_stream = |fd| StreamError::NotStream { fd };
        for fd in [1, 2, 3, -1, i32::MAX] {
            assert_eq!(process.sink(fd).unwrap_err(), not_written(fd));
        }
        for fd in [0, 2, 3, -1, i32::MAX] {
            assert_eq!(process.take_stream(fd).unwrap_err(), no_stream(fd));
        }
        assert_eq!(process.stderr().unwrap_err(), no_stream(2));
        let stdout = process.stdout().unwrap();
        assert_eq!(process.stdout().unwrap_err(), StreamError::Taken { fd: 1 });
        // Nothing was closed by that.
        process.stdin().unwrap().close().await.unwrap();
        assert_eq!(bytes(stdout).await, b"");
        assert!(process.ended().await.success());

        let process = helper(["exit"]).stdin(Fd::null()).spawn(NoProtocol).await;
        assert_eq!(process.unwrap().stdin().unwrap_err(), not_written(0));
        assert_eq!(
            TestProcess::new().handle().sink(1).unwrap_err(),
            not_written(1)
        );
        assert!(TestProcess::new().handle().stdin().is_ok());
    });
}

#[test]
fn stdout_and_stderr_are_the_streams_of_one_and_two() {
    run(async {
        let child = helper(["say", "one", "tell", "2", "two"]);
        let child = child.stdout(Fd::stream()).stderr(Fd::stream());
        let process = child.spawn(NoProtocol).await.unwrap();
        assert_eq!(bytes(process.stderr().unwrap()).await, b"two\n");
        assert_eq!(bytes(process.stdout().unwrap()).await, b"one\n");
    });
}

#[test]
fn what_has_ended_is_given_and_says_so_when_it_is_used() {
    run(async {
        let child = helper(["say", "last words"]).stdout(Fd::stream());
        let (trace, process) = spawned(child).await;
        trace.ended(&process).await;
        assert_eq!(bytes(process.stdout().unwrap()).await, b"last words\n");
        let mut stdin = process.stdin().unwrap();
        let closed = Err(WriteError::Closed { fd: 0 });
        assert_eq!(stdin.send("late".into()).await, closed);
        // Nothing was lost.
        assert_eq!(stdin.close().await, Ok(()));
    });
}

#[test]
fn close_flushes_and_closes_for_everybody_without_a_trait_in_scope() {
    run(async {
        let process = helper(["take", "3", "1", "cat"]).fd(3, Fd::write());
        let (trace, process) = spawned(process).await;
        process.write(pattern(200_000)).unwrap();
        let mut stdin = process.stdin().unwrap();
        // Asked for by the first poll; the child does not read yet.
        assert_eq!(stdin.close().now_or_never(), None);
        let closed = Err(WriteError::Closed { fd: 0 });
        assert_eq!(process.write("late"), closed);
        process.write_to_child(3, "x").unwrap();
        soon("the close", stdin.close()).await.unwrap();
        let history = trace.ended(&process).await;
        assert!(history.data(1) == pattern(200_000));
        assert_eq!(history.closes()[&0], CloseReason::ByParent);
    });
}

#[test]
fn close_says_that_the_child_closed_before_all_was_written() {
    run(async {
        let child = helper(["take", "3", "1", "close", "0", "drain", "3"]).fd(3, Fd::write());
        let process = child.spawn(NoProtocol).await.unwrap();
        fill(&process, 0).await;
        let mut stdin = process.stdin().unwrap();
        stdin.feed("more".into()).await.unwrap();
        assert_eq!(stdin.close().now_or_never(), None);
        process.write_to_child(3, "x").unwrap();
        let closed = Err(WriteError::Closed { fd: 0 });
        assert_eq!(soon("the close", stdin.close()).await, closed);
        process.close_child_fd(3);
        process.ended().await;
    });
}

#[test]
fn a_dropped_sink_closes_nothing_unless_it_was_told_to() {
    run(async {
        let (trace, process) = spawned(helper(["cat"])).await;
        drop(process.stdin().unwrap());
        process.write("one ").unwrap();
        let mut stdin = process.stdin().unwrap().close_on_drop();
        stdin.feed("two".into()).await.unwrap();
        drop(stdin);
        assert_eq!(process.write("late"), Err(WriteError::Closed { fd: 0 }));
        let history = trace.ended(&process).await;
        // What was queued is written first.
        assert_eq!(history.text(1), "one two");
        assert_eq!(history.closes()[&0], CloseReason::ByParent);
    });
}

#[test]
fn a_dropped_sink_that_closes_waits_for_its_queue() {
    run(async {
        let process = helper(["take", "3", "1", "cat"]).fd(3, Fd::write());
        let (trace, process) = spawned(process).await;
        let mut lines = process
            .stdin()
            .unwrap()
            .close_on_drop()
            .encode(LinesCodec::new());
        let long = "x".repeat(300_000);
        lines.feed(long.as_str()).await.unwrap();
        drop(lines);
        process.write_to_child(3, "x").unwrap();
        let history = trace.ended(&process).await;
        assert_eq!(history.text(1), long + "\n");
    });
}

#[test]
fn a_dropped_sink_of_a_terminal_closes_nothing() {
    run(async {
        let child = helper(["say", "ready", "take", "0", "2", "say", "done"]);
        let child = child.pty(Pty::new(PtySize::new(24, 80)).raw(true));
        let (trace, process) = spawned(child).await;
        trace.output(&process, 1, "ready").await;
        let mut keys = process.stdin().unwrap().close_on_drop();
        keys.send("a".into()).await.unwrap();
        drop(keys);
        process.write("b").unwrap();
        let history = trace.ended(&process).await;
        assert!(history.text(1).ends_with("done\n"), "{:?}", history.text(1));
        assert_eq!(history.status().code(), Some(0));
    });
}

#[test]
fn a_dropped_sink_that_closes_is_one_close_in_a_test_process() {
    let test = TestProcess::new();
    drop(test.handle().stdin().unwrap());
    assert_eq!(test.commands(), []);
    drop(test.handle().stdin().unwrap().close_on_drop());
    assert_eq!(test.commands().len(), 1);
}

#[test]
fn an_encoded_sink_shows_its_parts_and_gives_them_back() {
    run(async {
        let (trace, process) = spawned(helper(["cat"])).await;
        let mut frames = process.stdin().unwrap().encode(LengthDelimitedCodec::new());
        frames.encoder_mut().set_max_frame_length(3);
        assert_eq!(frames.encoder().max_frame_length(), 3);
        assert!(frames.send(Bytes::from("four")).await.is_err());
        frames.send(Bytes::from("one")).await.unwrap();
        frames.get_mut().send("raw".into()).await.unwrap();
        assert!(format!("{:?}", frames.get_ref()).contains("FdSink"));
        // The same bytes, by another codec.
        let mut lines = frames.into_inner().encode(LinesCodec::new());
        lines.feed("line").await.unwrap();
        // It takes items of many types, and needs none to be named.
        soon("the close", lines.close()).await.unwrap();
        let history = trace.ended(&process).await;
        assert_eq!(history.text(1), "\0\0\0\x03onerawline\n");
    });
}

#[test]
fn what_a_decoder_has_not_used_is_in_the_stream_that_it_gives_back() {
    run(async {
        let child = helper(["cat"]).stdout(Fd::stream());
        let process = child.spawn(NoProtocol).await.unwrap();
        process.write("HELLO\n\0\0\0\x03onere").unwrap();
        let mut lines = process.stdout().unwrap().lines(100);
        assert_eq!(next(&mut lines).await.unwrap().unwrap(), "HELLO");
        assert_eq!(lines.decoder().max_length(), 100);
        let mut frames = lines.into_inner().decode(LengthDelimitedCodec::new());
        frames.decoder_mut().set_max_frame_length(3);
        assert_eq!(next(&mut frames).await.unwrap().unwrap(), "one");
        process.write("st").unwrap();
        process.close_stdin();
        // Twice, with nothing read in between.
        let again = frames
            .into_inner()
            .decode(AnyDelimiterCodec::new(vec![], vec![]));
        assert!(format!("{:?}", again.get_ref()).contains("FdStream"));
        assert_eq!(bytes(again.into_inner()).await, b"rest");
        assert!(in_time(process.ended()).await.success());
    });
}

#[test]
fn a_codec_of_ones_own_needs_no_other_crate_in_the_manifest() {
    struct Shout;
    impl Encoder<&str> for Shout {
        type Error = std::io::Error;
        fn encode(&mut self, item: &str, to: &mut bytes::BytesMut) -> std::io::Result<()> {
            to.extend_from_slice(item.to_uppercase().as_bytes());
            Ok(())
        }
    }
    run(async {
        let (trace, process) = spawned(helper(["cat"])).await;
        let mut shouting = process.stdin().unwrap().encode(Shout);
        shouting.send("hey").await.unwrap();
        shouting.close().await.unwrap();
        let history = trace.ended(&process).await;
        assert_eq!(history.text(1), "HEY");
        assert!(matches!(
            history.events.last(),
            Some(ProcessEvent::ProcessEnded { .. })
        ));
    });
}
