//! Streams and sinks of a handle without a child: what the test feeds is what a stream gives.

use crate::common;

use std::future::Future;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake};

use actix_process::testing::{Recorded, TestProcess};
use actix_process::{Bytes, Fd, FdMap, StreamError, WriteError};
use common::{in_time, run};
use futures::{SinkExt, StreamExt, poll};

/// Input 0, a stream 1 with this window, output 2.
fn with_window(window: usize) -> TestProcess {
    let fds = [
        (0, Fd::write()),
        (1, Fd::stream().window(window)),
        (2, Fd::read()),
        (3, Fd::null()),
    ];
    TestProcess::with_map(&fds.into_iter().collect::<FdMap>())
}

#[test]
fn what_a_test_feeds_is_what_the_stream_gives() {
    run(async {
        let test = with_window(8192);
        let mut lines = test.handle().take_stream(1).unwrap().lines(100);
        test.feed(1, "one\ntw").await.unwrap();
        assert_eq!(in_time(lines.next()).await.unwrap().unwrap(), "one");
        assert!(poll!(lines.next()).is_pending());
        test.feed(1, "o\n").await.unwrap();
        test.close_fd(1);
        assert_eq!(in_time(lines.next()).await.unwrap().unwrap(), "two");
        assert!(in_time(lines.next()).await.is_none());
        let refused = test.feed(1, "three").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn feeding_waits_while_the_window_is_full() {
    run(async {
        let test = with_window(8192);
        let mut stream = test.handle().take_stream(1).unwrap();
        let mut fed = std::pin::pin!(test.feed(1, vec![b'x'; 20_000]));
        assert!(poll!(&mut fed).is_pending(), "no window holds that");
        let mut taken = 0;
        while poll!(&mut fed).is_pending() {
            let piece = in_time(stream.next()).await.unwrap();
            taken += piece.len();
            assert!(taken <= 20_000);
        }
        assert!(taken >= 20_000 - 8192, "{taken}");
        test.close_fd(1);
        while let Some(piece) = in_time(stream.next()).await {
            taken += piece.len();
        }
        assert_eq!(taken, 20_000);
    });
}

#[test]
fn a_feeding_that_waits_is_woken_by_the_taker() {
    run(async {
        let test = Arc::new(with_window(4096));
        let mut stream = test.handle().take_stream(1).unwrap();
        let feeding = {
            let test = Arc::clone(&test);
            actix_rt::spawn(async move {
                for _ in 0..100 {
                    test.feed(1, vec![b'x'; 1000]).await.unwrap();
                }
                test.close_fd(1);
            })
        };
        let mut taken = 0;
        while let Some(piece) = in_time(stream.next()).await {
            taken += piece.len();
        }
        assert_eq!(taken, 100_000);
        feeding.await.unwrap();
    });
}

#[test]
fn a_dropped_stream_is_a_close_and_breaks_the_feeding() {
    run(async {
        let test = with_window(4096);
        let stream = test.handle().take_stream(1).unwrap();
        let mut fed = std::pin::pin!(test.feed(1, vec![b'x'; 10_000]));
        assert!(poll!(&mut fed).is_pending());
        drop(stream);
        let broken = in_time(fed).await.unwrap_err();
        assert_eq!(broken.kind(), ErrorKind::BrokenPipe);
        assert_eq!(test.commands(), [Recorded::Close { fd: 1 }]);
    });
}

/// Whether it was woken. A task of the runtime's may be polled again for another reason, and hide that nobody woke it.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_close_breaks_a_feeding_that_waits() {
    run(async {
        let test = with_window(4096);
        let _stream = test.handle().stdout().unwrap();
        let mut feeding = pin!(test.feed(1, vec![0; 100_000]));
        let woken = Arc::new(Woken::default());
        let waker = Arc::clone(&woken).into();
        let pending = feeding.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(pending.is_pending());
        assert!(!woken.0.load(Ordering::SeqCst), "it does not wait");
        test.close_fd(1);
        assert!(woken.0.load(Ordering::SeqCst), "nobody wakes it");
        let fed = in_time(feeding).await;
        assert_eq!(fed.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_tests_stream_is_taken_once_and_other_descriptors_are_none() {
    run(async {
        let test = with_window(4096);
        let process = test.handle();
        let stream = process.take_stream(1).unwrap();
        let refused = process.take_stream(1).unwrap_err();
        assert_eq!(refused, StreamError::Taken { fd: 1 });
        for fd in [0, 2, 3, 7] {
            let refused = process.take_stream(fd).unwrap_err();
            assert_eq!(refused, StreamError::NotStream { fd });
            let refused = test.feed(fd, "x").await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        }
        drop(stream);
    });
}

#[test]
fn a_dropped_test_ends_its_streams() {
    run(async {
        let test = with_window(4096);
        let mut stream = test.handle().take_stream(1).unwrap();
        test.feed(1, "last").await.unwrap();
        drop(test);
        assert_eq!(in_time(stream.next()).await.unwrap(), "last");
        assert!(in_time(stream.next()).await.is_none());
    });
}

#[test]
fn a_tests_sink_is_recorded_until_the_child_closes() {
    run(async {
        let test = with_window(4096);
        let process = test.handle();
        let mut stdin = process.stdin().unwrap();
        // More than a real one has room for: a record takes all.
        let much = Bytes::from(vec![b'x'; 200_000]);
        in_time(stdin.send(much.clone())).await.unwrap();
        assert_eq!(test.commands(), [Recorded::Write { fd: 0, data: much }]);
        test.close_fd(0);
        let closed = WriteError::Closed { fd: 0 };
        assert_eq!(in_time(stdin.send("more".into())).await, Err(closed));
        assert_eq!(process.write("more"), Err(closed));
        assert_eq!(test.commands(), []);
    });
}

#[test]
fn a_tests_sink_closes_at_once() {
    run(async {
        let test = with_window(4096);
        in_time(test.handle().stdin().unwrap().close())
            .await
            .unwrap();
        assert_eq!(test.commands(), [Recorded::Close { fd: 0 }]);
    });
}
