//! Many sinks of one descriptor, sinks on other threads, and sinks of lines and frames.

use crate::common;

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use crate::tools::held_bytes::HeldBytes;
use crate::tools::producing::fill;
use actix::System;
use actix_process::{Bytes, Fd, FdSink, NoProtocol, WriteError};
use common::census::Census;
use common::helper::{helper, pattern};
use common::isolated::isolated;
use common::trace::{Trace, spawned};
use common::{block_on_thread, run, soon, start_all_threads};
use futures::{FutureExt, Sink, SinkExt};
use tokio_util::codec::{LengthDelimitedCodec, LinesCodec, LinesCodecError};

const MARK: usize = 64 * 1024;

#[test]
fn what_sinks_and_the_handle_write_keeps_its_order() {
    run(async {
        let (trace, process) = spawned(helper(["cat"])).await;
        let (mut one, mut two) = (process.stdin().unwrap(), process.stdin().unwrap());
        let mut sent = String::new();
        for line in 0..3000 {
            let text = format!("{line} is {line}\n");
            sent.push_str(&text);
            match line % 4 {
                0 => one.feed(text.into()).await.unwrap(),
                1 => process.write(text).unwrap(),
                2 => two.feed(text.into()).await.unwrap(),
                _ => process.write_sequence([text]).unwrap(),
            }
        }
        one.close().await.unwrap();
        assert_eq!(trace.ended(&process).await.text(1), sent);
    });
}

/// Waits for room, and only then makes the item.
async fn put(sink: &mut FdSink, item: impl FnOnce() -> Bytes) -> Result<(), WriteError> {
    let mut sink = pin!(sink);
    futures::future::poll_fn(|cx| sink.as_mut().poll_ready(cx)).await?;
    sink.start_send(item())
}

/// Lets eight threads write a hundred items each by sinks of their own.
async fn write_by_eight(size: usize) -> (HeldBytes, Vec<u8>) {
    let held_bytes = HeldBytes::default();
    let child = helper(["take", "3", "1", "cat"]).fd(3, Fd::write());
    let (trace, process) = spawned(child).await;
    fill(&process, 0).await;
    let threads: Vec<_> = (0..8_u8)
        .map(|writer| {
            let (mut sink, held_bytes) = (process.stdin().unwrap(), held_bytes.clone());
            thread::spawn(move || {
                block_on_thread(async {
                    for round in 0..100 {
                        let mut item = vec![writer; size];
                        item[0] = round;
                        put(&mut sink, || held_bytes.chunk(item)).await.unwrap();
                    }
                    sink.flush().await.unwrap();
                });
            })
        })
        .collect();
    process.write_to_child(3, "!").unwrap();
    common::eventually(
        "the writers",
        || threads.iter().all(|t| t.is_finished()).then_some(()),
        || format!("{} bytes", held_bytes.held()),
    )
    .await;
    threads.into_iter().for_each(|t| t.join().unwrap());
    assert_eq!(held_bytes.held(), 0);
    process.close_stdin();
    (held_bytes, trace.ended(&process).await.data(1))
}

#[test]
fn items_of_many_sinks_come_whole_and_each_ones_in_order() {
    run(async {
        const SIZE: usize = 4096;
        let (held_bytes, came) = write_by_eight(SIZE).await;
        let most = held_bytes.most();
        // Each that found room adds its item. Pipes are written by pages, so no part of one counts.
        assert!(most <= MARK + 8 * SIZE, "{most} bytes");
        let mut next = [0; 8];
        for item in came[MARK..].chunks(SIZE) {
            let writer = usize::from(item[1]);
            assert_eq!(item[0], next[writer], "writer {writer}");
            assert!(item[1..].iter().all(|byte| *byte == item[1]));
            next[writer] += 1;
        }
        assert_eq!(next, [100; 8]);
    });
}

#[test]
fn waiting_sinks_that_are_woken_together_do_not_all_find_room() {
    run(async {
        const SIZE: usize = 4096;
        let held_bytes = HeldBytes::default();
        let child = helper(["take", "3", "1", "drain", "0"]).fd(3, Fd::write());
        let process = child.spawn(NoProtocol).await.unwrap();
        fill(&process, 0).await;
        // All of one thread.
        let writers = (0..20).map(|_| {
            let (mut sink, held_bytes) = (process.stdin().unwrap(), held_bytes.clone());
            async move {
                for _ in 0..50 {
                    put(&mut sink, || held_bytes.zeros(SIZE)).await.unwrap();
                }
            }
        });
        process.write_to_child(3, "!").unwrap();
        soon("all of them", futures::future::join_all(writers)).await;
        // One that finds a byte less than the mark adds an item; there are whole items only.
        assert_eq!(held_bytes.most(), MARK);
        process.close_stdin();
        assert!(process.ended().await.success());
    });
}

/// A waker that owns a sink, as that of an executor owns its task.
#[expect(dead_code, reason = "held for what its drop does")]
struct Owner(Mutex<FdSink>);

impl Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_waker_may_own_a_sink_of_the_same_descriptor() {
    run(async {
        let process = helper(["pause"]).spawn(NoProtocol).await.unwrap();
        fill(&process, 0).await;
        process.write(vec![0; MARK]).unwrap();
        let sinks = process.clone();
        // In a thread of its own: it could lock itself out.
        let thread = thread::spawn(move || {
            let wait = |sink: &mut FdSink, waker: Waker| {
                let mut context = Context::from_waker(&waker);
                assert_eq!(sink.poll_ready_unpin(&mut context), Poll::Pending);
            };
            let owner = || Waker::from(Arc::new(Owner(Mutex::new(sinks.stdin().unwrap()))));
            let mut sink = sinks.stdin().unwrap();
            wait(&mut sink, owner());
            // The waker goes for another one, and that with its sink.
            wait(&mut sink, owner());
            drop(sink);
        });
        common::eventually(
            "the sinks to be dropped",
            || thread.is_finished().then_some(()),
            || "a thread that hangs".to_owned(),
        )
        .await;
        thread.join().unwrap();
        assert!(process.kill());
        process.ended().await;
    });
}

#[test]
fn a_sink_works_on_any_thread_and_runtime() {
    const fn is_send<T: Send + 'static>() {}
    const { is_send::<FdSink>() };
    run(async {
        const SIZE: usize = 1 << 20;
        async fn write(mut sink: FdSink) -> Result<(), WriteError> {
            let data = Bytes::from(pattern(SIZE));
            for at in (0..SIZE).step_by(MARK) {
                sink.feed(data.slice(at..at + MARK)).await?;
            }
            sink.close().await
        }
        let (trace, protocol) = Trace::start();
        let ways: [fn(FdSink) -> Result<(), WriteError>; 4] = [
            |sink| block_on_thread(write(sink)),
            |sink| futures::executor::block_on(write(sink)),
            |sink| {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                runtime.unwrap().block_on(write(sink))
            },
            |sink| System::new().block_on(write(sink)),
        ];
        for way in ways {
            let process = helper(["cat"]).spawn(&protocol).await.unwrap();
            let sink = process.stdin().unwrap();
            let (tell, told) = tokio::sync::oneshot::channel();
            thread::spawn(move || tell.send(way(sink)));
            let history = trace.ended(&process).await;
            history.assert_rules(&[0, 1, 2]);
            assert!(history.data(1) == pattern(SIZE), "other bytes came");
            assert_eq!(told.await.unwrap(), Ok(()));
        }
    });
}

#[test]
fn lines_and_frames_go_by_encoders() {
    run(async {
        let (trace, process) = spawned(helper(["cat"])).await;
        let mut lines = process.stdin().unwrap().encode(LinesCodec::new());
        let mut frames = process.stdin().unwrap().encode(LengthDelimitedCodec::new());
        lines.feed("one").await.unwrap();
        frames.feed(Bytes::from("two")).await.unwrap();
        lines.send("").await.unwrap();
        SinkExt::<Bytes>::flush(&mut frames).await.unwrap();
        SinkExt::<&str>::close(&mut lines).await.unwrap();
        let history = trace.ended(&process).await;
        assert_eq!(history.text(1), "one\n\0\0\0\x03two\n");

        // Errors come as the encoder's.
        match lines.send("late").await {
            Err(LinesCodecError::Io(error)) => {
                assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
                let source = error.get_ref().unwrap().downcast_ref();
                assert_eq!(source, Some(&WriteError::Closed { fd: 0 }));
            }
            other => panic!("{other:?}"),
        }
        let error = frames.send(Bytes::from("late")).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_frame_that_the_encoder_refuses_is_not_written_and_others_follow() {
    run(async {
        let (trace, process) = spawned(helper(["cat"])).await;
        let mut codec = LengthDelimitedCodec::new();
        codec.set_max_frame_length(3);
        let mut frames = process.stdin().unwrap().encode(codec);
        frames.send(Bytes::from("one")).await.unwrap();
        let error = frames.send(Bytes::from("three")).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        frames.send(Bytes::from("two")).await.unwrap();
        SinkExt::<Bytes>::close(&mut frames).await.unwrap();
        assert_eq!(
            trace.ended(&process).await.text(1),
            "\0\0\0\x03one\0\0\0\x03two"
        );
    });
}

#[test]
fn sinks_leave_nothing_however_they_end() {
    isolated(|| {
        run(async {
            start_all_threads().await;
            let before = Census::quiet().await;
            for round in 0..30 {
                let process = helper(["drain", "0"]).spawn(NoProtocol).await.unwrap();
                let (mut sink, mut waiting) = (process.stdin().unwrap(), process.stdin().unwrap());
                sink.feed(vec![0; 1 << 20].into()).await.unwrap();
                assert_eq!(waiting.feed("x".into()).now_or_never(), None);
                match round % 5 {
                    0 => sink.close().await.unwrap(),
                    1 => drop((sink, waiting)),
                    2 => assert!(process.kill()),
                    3 => process.abort(0),
                    // It goes on by itself.
                    _ => assert_eq!(sink.close().now_or_never(), None),
                }
                process.close_stdin();
                soon("its end", process.ended()).await;
            }
            before.assert_restored_but_spawners().await;
        });
    });
}
