//! Code of others runs with no lock of a child's record held: it may ask for that child.

use crate::common;

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Wake};
use std::time::Duration;

use actix::Addr;
use actix_process::supervisor::List;
use actix_process::{Fd, NoProtocol, ProcessEvents, ProcessHandle, ProcessSupervisor};
use common::helper::helper;
use common::isolated::isolated;
use common::{DEADLINE, in_time, run};
use futures::StreamExt;
use futures::executor::block_on;

/// Whether the supervisor, on its own thread, can look at all its children's records while this thread
/// waits for it.
fn can_list(supervisor: &Addr<ProcessSupervisor>) -> bool {
    let request = supervisor.send(List);
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(block_on(request).is_ok()));
    told.recv_timeout(Duration::from_secs(20)).unwrap_or(false)
}

/// Asks for the children where it is woken.
struct Asker {
    supervisor: Addr<ProcessSupervisor>,
    answers: Mutex<Sender<bool>>,
}

impl Wake for Asker {
    fn wake(self: Arc<Self>) {
        let answer = can_list(&self.supervisor);
        self.answers.lock().unwrap().send(answer).unwrap();
    }
}

#[test]
fn a_waker_may_ask_for_the_child_whose_end_wakes_it() {
    run(async {
        let process = helper(["drain", "0"]).spawn(NoProtocol).await.unwrap();
        let (answers, answered) = mpsc::channel();
        let asker = Arc::new(Asker {
            supervisor: ProcessSupervisor::current().unwrap(),
            answers: Mutex::new(answers),
        });
        let waker = asker.into();
        let mut cx = Context::from_waker(&waker);
        let (mut exited, mut ended) = (pin!(process.exited()), pin!(process.ended()));
        assert!(exited.as_mut().poll(&mut cx).is_pending());
        assert!(ended.as_mut().poll(&mut cx).is_pending());
        process.close_stdin();
        in_time(process.ended()).await;
        // The exit and the end, which another thread may tell of.
        let answers = [(); 2].map(|()| answered.recv_timeout(DEADLINE));
        assert_eq!(answers, [Ok(true), Ok(true)]);
    });
}

/// Asks for the stream where its last waker is dropped.
struct StreamAsker {
    process: ProcessHandle,
    answers: Mutex<Sender<bool>>,
}

impl Wake for StreamAsker {
    fn wake(self: Arc<Self>) {}
}

impl Drop for StreamAsker {
    fn drop(&mut self) {
        let process = self.process.clone();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || tell.send(process.take_stream(1).is_err()));
        let answer = told.recv_timeout(Duration::from_secs(20)).unwrap_or(false);
        self.answers.lock().unwrap().send(answer).unwrap();
    }
}

#[test]
fn a_waker_that_gives_way_to_another_may_ask_for_its_stream() {
    run(async {
        let child = helper(["drain", "0"]).stdout(Fd::stream());
        let process = child.spawn(NoProtocol).await.unwrap();
        let mut stream = process.take_stream(1).unwrap();
        let (answers, answered) = mpsc::channel();
        for _ in 0..2 {
            let waker = Arc::new(StreamAsker {
                process: process.clone(),
                answers: Mutex::new(answers.clone()),
            });
            // The stream keeps it, and nobody else does.
            let pending = stream.poll_next_unpin(&mut Context::from_waker(&waker.into()));
            assert!(pending.is_pending());
        }
        assert_eq!(answered.recv_timeout(DEADLINE), Ok(true));
        process.close_stdin();
        in_time(process.exited()).await;
    });
}

/// Asks for the children when it is told of an exit.
struct AskingLogger;

static ANSWERS: OnceLock<Mutex<Sender<bool>>> = OnceLock::new();

impl log::Log for AskingLogger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let text = record.args().to_string();
        if text.contains(" exited: ") || text.ends_with(" ended") || text.contains(" closed: ") {
            let supervisor = ProcessSupervisor::current().unwrap();
            let answer = can_list(&supervisor);
            let answers = ANSWERS.get().unwrap();
            answers.lock().unwrap().send(answer).unwrap();
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_logger_may_ask_for_the_child_that_it_is_told_of() {
    isolated(|| {
        let (answers, answered) = mpsc::channel();
        ANSWERS.set(Mutex::new(answers)).unwrap();
        log::set_logger(&AskingLogger).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
        run(async {
            let (_trace, process) = common::trace::spawned(helper(["exit"])).await;
            in_time(process.ended()).await;
        });
        // Three closes, the exit, the end: a line may come after its event was seen.
        let answers = [(); 5].map(|()| answered.recv_timeout(DEADLINE));
        assert_eq!(answers, [Ok(true); 5]);
    });
}

/// Drops the events of the child that it is told of.
struct Dropper(Arc<Mutex<Option<ProcessEvents>>>);

impl log::Log for Dropper {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.args().to_string().contains("is orphaned") {
            let events = self.0.lock().unwrap().take();
            drop(events);
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_logger_may_drop_the_events_of_the_child_that_is_orphaned() {
    isolated(|| {
        let held = Arc::default();
        log::set_boxed_logger(Box::new(Dropper(Arc::clone(&held)))).unwrap();
        log::set_max_level(log::LevelFilter::Warn);
        run(async {
            let arbiter = actix::Arbiter::new();
            let events = helper(["pause"]).on(&arbiter).events().await.unwrap();
            let process = events.process().clone();
            *held.lock().unwrap() = Some(events);
            // Its Process actor goes, which orphans the child on the arbiter's thread.
            arbiter.stop();
            let (tell, told) = mpsc::channel();
            std::thread::spawn(move || tell.send(arbiter.join().is_ok()));
            assert!(told.recv_timeout(DEADLINE).is_ok(), "its thread hangs");
            in_time(process.exited()).await;
        });
    });
}
