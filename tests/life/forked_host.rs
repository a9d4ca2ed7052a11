//! After a fork() of the host: the copy spawns nothing, never waits for what only the parent has, and
//! never reaches the parent's children.

use crate::common;

use std::future::IntoFuture;
use std::time::Duration;

use actix::{Actor, Arbiter, System};
use actix_process::{
    Command, ExitStatus, Fd, Ladder, NoProtocol, OnOrphaned, ProcessHandle, ProcessSupervisor,
    Signal, SignalError, Spawn, SpawnStep, StoppedBy,
};
use common::forked::{assert_held, in_a_copy};
use common::helper::helper;
use common::isolated::isolated;
use common::trace::{History, Trace};
use common::{block_on_thread, in_time};
use futures::{FutureExt, SinkExt, StreamExt};

const LONG: Duration = Duration::from_secs(600);

/// What a parent has when it forks: a System, a child that waits for input and one that is idle.
struct Parent {
    trace: Trace,
    cat: ProcessHandle,
    sleeper: ProcessHandle,
}

impl Parent {
    async fn start() -> Self {
        let (trace, protocol) = Trace::start();
        let cat = helper(["say", "ready", "cat", "say", "at last"]);
        let cat = cat.spawn(&protocol).await.unwrap();
        let sleeper = Command::new("sleep").arg("600");
        let sleeper = sleeper.spawn(&protocol).await.unwrap();
        trace.output(&cat, 1, "ready\n").await;
        Self {
            trace,
            cat,
            sleeper,
        }
    }

    /// Its children live, are written to and read from, killed, and told of, as if nothing had been.
    async fn assert_untouched(self) {
        assert!(self.sleeper.pid().is_some());
        assert!(self.sleeper.try_status().is_none());
        self.cat.write("through").unwrap();
        self.cat.close_stdin();
        let history: History = self.trace.ended(&self.cat).await;
        assert_eq!(history.text(1), "ready\nthroughat last\n");
        assert!(history.status().success());
        assert!(self.sleeper.kill());
        let status = in_time(self.sleeper.ended()).await;
        assert_eq!(status.signal(), Some(Signal::KILL));
        let again = helper(["say", "again"]).output().await.unwrap();
        assert_eq!(again.stdout, b"again\n");
    }
}

#[test]
fn a_copy_that_signals_reaches_none_of_the_parents_children() {
    isolated(|| {
        common::run(async {
            let parent = Parent::start().await;
            assert_held(in_a_copy(|| {
                let refused = |sent| matches!(sent, Err(SignalError::Io(_)));
                for child in [&parent.cat, &parent.sleeper] {
                    assert!(!child.kill());
                    assert!(refused(child.signal(Signal::TERM)));
                    assert!(refused(child.signal_group(Signal::TERM)));
                    assert!(!child.terminate(Duration::ZERO));
                    assert!(!child.terminate_group(Duration::ZERO));
                    assert_eq!(child.pid(), None);
                }
            }));
            parent.assert_untouched().await;
        });
    });
}

#[test]
fn a_copy_that_waits_for_the_parents_children_is_answered_at_once() {
    isolated(|| {
        common::run(async {
            let parent = Parent::start().await;
            assert_held(in_a_copy(|| {
                let stopped = parent.sleeper.stop(Ladder::new().term(LONG).kill());
                let lives_on = block_on_thread(stopped).unwrap_err();
                assert_eq!(lives_on.by, StoppedBy::Itself);
                assert_eq!(
                    block_on_thread(parent.sleeper.exited()),
                    ExitStatus::Unknown
                );
                assert_eq!(block_on_thread(parent.sleeper.ended()), ExitStatus::Unknown);
                assert!(parent.cat.write("lost").is_err());
                assert!(block_on_thread(parent.cat.stdin().unwrap().send("lost".into())).is_err());
                let mut sink = parent.cat.stdin().unwrap();
                assert!(block_on_thread(async move { sink.flush().await }).is_err());
                let mut sink = parent.cat.stdin().unwrap();
                assert!(block_on_thread(async move { SinkExt::close(&mut sink).await }).is_err());
                parent.cat.close_stdin();
            }));
            parent.assert_untouched().await;
        });
    });
}

/// Their locks may be held by another thread of the parent's at the fork.
#[test]
fn a_copy_that_drops_children_with_clocks_and_streams_does_not_hang() {
    isolated(|| {
        let system = System::new();
        let elsewhere = Arbiter::new();
        let mut all = Some(system.block_on(async {
            let supervisor = ProcessSupervisor::new().start();
            let (trace, protocol) = Trace::start();
            // Dead, while a descendant has its pipes.
            let drained = helper(["hold", "exit"]).ended_timeout(LONG);
            let drained = supervisor.send(Spawn::new(drained, &protocol));
            let drained = drained.await.unwrap().unwrap();
            trace.exited(&drained).await;
            let deaf = helper(["ignore", "15", "say", "ready", "pause"]);
            let deaf = supervisor.send(Spawn::new(deaf, &protocol));
            let deaf = deaf.await.unwrap().unwrap();
            trace.output(&deaf, 1, "ready").await;
            assert!(deaf.terminate(LONG));
            let (tell, told) = tokio::sync::oneshot::channel();
            elsewhere.spawn(async move {
                let cat = Command::new("sh").args(["-c", "yes & exec cat > /dev/null"]);
                let cat = cat.stdout(Fd::stream()).process_group(0);
                let _ = tell.send(cat.spawn(NoProtocol).await.unwrap());
            });
            let talker = in_time(told).await.unwrap();
            let stream = talker.take_stream(1).unwrap();
            let sink = talker.sink(0).unwrap();
            (supervisor, trace, drained, deaf, talker, stream, sink)
        }));
        let mut system = Some(system);
        for _ in 0..200 {
            assert_held(in_a_copy(|| {
                drop(all.take());
                drop(system.take());
            }));
            assert_held(in_a_copy(|| {
                let (.., talker, stream, sink) = all.as_mut().unwrap();
                talker.pause_producing();
                talker.cut_connection();
                assert!(block_on_thread(stream.next()).is_none());
                assert!(block_on_thread(sink.send("lost".into())).is_err());
            }));
            let stream = &mut all.as_mut().unwrap().5;
            assert!(block_on_thread(stream.next()).is_some());
        }
        let (_, _, drained, deaf, talker, ..) = all.as_ref().unwrap();
        system.unwrap().block_on(async {
            assert!(drained.exited().await.success());
            assert!(deaf.kill());
            in_time(deaf.ended()).await;
            talker.signal_group(Signal::KILL).unwrap();
            in_time(talker.exited()).await;
        });
    });
}

#[test]
fn a_copy_that_spawns_gets_a_typed_error() {
    isolated(|| {
        common::run(async {
            let parent = Parent::start().await;
            assert_held(in_a_copy(|| {
                let command = helper(["exit"]);
                let error = block_on_thread(command.spawn(NoProtocol)).unwrap_err();
                assert_eq!(error.step(), SpawnStep::Register);
                assert!(error.to_string().contains("fork"), "{error}");
                let error = ProcessSupervisor::current().unwrap_err();
                assert_eq!(error.step(), SpawnStep::Register);
                assert!(block_on_thread(command.output().into_future()).is_err());
            }));
            parent.assert_untouched().await;
        });
    });
}

/// One that was asked for before the fork.
#[test]
fn a_copy_that_drops_a_spawn_does_not_cancel_the_parents() {
    isolated(|| {
        common::run(async {
            let parent = Parent::start().await;
            let mut lease = common::hanging_exec::HangingExec::new();
            let others = lease.children().len();
            let mut spawning = lease.helper(["say", "at last"]).spawn(NoProtocol);
            assert!((&mut spawning).now_or_never().is_none());
            lease.until_children(others + 1).await;
            let mut spawning = Some(spawning);
            assert_held(in_a_copy(|| drop(spawning.take())));
            lease.release();
            let process = in_time(spawning.unwrap()).await.unwrap();
            assert!(in_time(process.ended()).await.success());
            parent.assert_untouched().await;
        });
    });
}

#[test]
fn a_copy_that_drops_everything_leaves_the_parents_children_alone() {
    isolated(|| {
        for policy in [OnOrphaned::Kill, OnOrphaned::Terminate(Duration::ZERO)] {
            let system = System::new();
            let parent = system.block_on(async {
                let supervisor = ProcessSupervisor::new().start();
                let command = Command::new("sleep").arg("600").on_orphaned(policy);
                let spawn = Spawn::new(command, NoProtocol);
                let own = supervisor.send(spawn).await.unwrap().unwrap();
                (supervisor, own, Parent::start().await)
            });
            let mut all = Some((system, parent));
            assert_held(in_a_copy(|| {
                let (system, (supervisor, own, parent)) = all.take().unwrap();
                drop(parent);
                drop(own);
                drop(supervisor);
                drop(system);
            }));
            let (system, (supervisor, own, parent)) = all.take().unwrap();
            system.block_on(async {
                parent.assert_untouched().await;
                assert!(own.try_status().is_none());
                assert!(own.kill());
                let status = in_time(own.ended()).await;
                assert_eq!(status.signal(), Some(Signal::KILL));
                drop(supervisor);
            });
        }
    });
}

/// The other threads of the parent hold the crate's locks at the forks.
#[test]
fn copies_that_are_forked_amid_spawns_do_not_hang() {
    isolated(|| {
        let spawning = std::thread::spawn(|| {
            System::new().block_on(async {
                for _ in 0..30 {
                    let ten = (0..10).map(|_| Command::new("true").spawn(NoProtocol));
                    for process in futures::future::join_all(ten).await {
                        let status = in_time(process.unwrap().ended()).await;
                        assert!(status.success());
                    }
                }
            });
        });
        let system = System::new();
        let parent = system.block_on(Parent::start());
        let mut all = Some((system, parent));
        let mut copies = 0;
        while !spawning.is_finished() || copies == 0 {
            assert_held(in_a_copy(|| {
                let command = Command::new("true");
                let error = block_on_thread(command.spawn(NoProtocol)).unwrap_err();
                assert_eq!(error.step(), SpawnStep::Register);
                drop(all.take());
            }));
            copies += 1;
        }
        spawning.join().unwrap();
        let (system, parent) = all.take().unwrap();
        system.block_on(parent.assert_untouched());
    });
}

/// As a daemon does, which leaves its terminal before it does anything else.
#[test]
fn a_copy_of_a_process_that_has_not_spawned_spawns() {
    isolated(|| {
        assert_held(in_a_copy(|| {
            let output = System::new().block_on(helper(["say", "hi"]).output().into_future());
            assert_eq!(output.unwrap().stdout, b"hi\n");
        }));
    });
}

/// Forks again and again while other threads use the same locks; each copy runs `act`.
fn assert_copies_hold(forks: usize, act: impl Fn()) {
    for _ in 0..forks {
        assert_held(in_a_copy(&act));
    }
}

#[test]
fn a_copy_that_reads_an_opened_child_is_answered_at_once() {
    isolated(|| {
        futures::executor::block_on(async {
            use std::pin::Pin;
            use std::task::{Context, Waker};

            use tokio::io::AsyncBufRead;

            // Its arbiter fills the stream all the time.
            let child = Command::new("yes").open().await.unwrap();
            let stdout = std::sync::Mutex::new(child.stdout);
            assert_copies_hold(300, || {
                let mut stdout = stdout.lock().unwrap();
                let cx = &mut Context::from_waker(Waker::noop());
                let _ = Pin::new(&mut *stdout).poll_fill_buf(cx);
            });
        });
    });
}

#[test]
fn a_copy_that_asks_for_a_slot_is_answered_at_once() {
    isolated(|| {
        let true_status = Command::new("true").status().into_future();
        assert!(futures::executor::block_on(true_status).unwrap().success());
        let slots = actix_process::Slots::new(1);
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (busy, until) = (slots.clone(), std::sync::Arc::clone(&stop));
        let other = std::thread::spawn(move || {
            while !until.load(std::sync::atomic::Ordering::Relaxed) {
                drop(busy.acquire().now_or_never());
            }
        });
        assert_copies_hold(300, || {
            assert_eq!((slots.running(), slots.waiting()), (0, 0));
            assert!(slots.acquire().now_or_never().unwrap().is_err());
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        other.join().unwrap();
    });
}
