//! How much of an output `output` and its like keep, and that the child waits for nobody.

use crate::common;

use std::future::{Future, IntoFuture, poll_fn};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::Poll;

use actix_process::Fd;
use common::helper::{helper, pattern};
use common::{in_time, run};

#[test]
fn a_child_does_not_wait_for_a_future_that_nobody_polls() {
    run(async {
        let (mut told, tell) = std::io::pipe().unwrap();
        let child = helper(["spam", "5000000", "tell", "5", "done"]);
        let child = child.fd(5, Fd::from(OwnedFd::from(tell)));
        let mut collecting = child.output().into_future();
        drop(child);
        let (answer, answered) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            told.read_to_string(&mut text).unwrap();
            let _ = answer.send(text);
        });
        let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut collecting).poll(cx)));
        assert!(first.await.is_pending());
        assert_eq!(in_time(answered).await.unwrap(), "done\n");
        let output = in_time(collecting).await.unwrap();
        assert!(output.stdout == pattern(5_000_000));
    });
}
