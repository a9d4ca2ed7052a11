//! Where a child's actors live: on the arbiter of the call, on the one that the command names, or on the crate's own.

use crate::common;

use std::future::IntoFuture;
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake};
use std::thread;
use std::time::Duration;

use crate::tools::echo::{Echo, echo, ended, of_no_system, on_a_thread, pausing};
use actix::prelude::*;
use actix_process::supervisor::List;
use actix_process::{
    CollectError, Command, NoProtocol, ProcessHandle, ProcessSupervisor, Signal, SpawnError,
    SpawnStep,
};
use common::census::children;
use common::hanging_exec::HangingExec;
use common::helper::helper;
use common::isolated::{isolated, skipped};
use common::{DEADLINE, block_on_thread, in_time, on_tokio, run};
use futures::FutureExt;
use futures::future::poll_immediate;
use nix::libc;

/// Nothing here waits for the end of it.
const LONG: Duration = Duration::from_secs(600);

/// An arbiter that spawns `command` and stops, and the child.
async fn asked_by_a_mortal_arbiter(command: Command) -> Echo {
    let asking = Arbiter::new();
    let (tell, told) = tokio::sync::oneshot::channel();
    asking.spawn(async move {
        let _ = tell.send(Echo::spawn(command).await);
    });
    let spawned = in_time(told).await.unwrap();
    asking.stop();
    asking.join().unwrap();
    spawned
}

#[test]
fn a_child_on_another_arbiter_outlives_the_asking_one() {
    run(async {
        let killed = asked_by_a_mortal_arbiter(pausing()).await;
        let status = in_time(ended(&killed.process)).await;
        assert_eq!(status.signal(), Some(Signal::KILL));
        let home = Arbiter::new();
        let main = System::current().arbiter().clone();
        for command in [echo().on(&home), echo().on(&main)] {
            let mut child = asked_by_a_mortal_arbiter(command).await;
            in_time(child.assert_alive()).await;
            in_time(child.end()).await;
        }
        let output = helper(["say", "hi"]).on(&home).output();
        let output = output.timeout(LONG).into_future();
        assert_eq!(in_time(output).await.unwrap().stdout, b"hi\n");
        home.stop();
    });
}

#[test]
fn a_thread_without_an_arbiter_may_name_one_and_the_child_goes_with_it() {
    run(async {
        let home = Arbiter::new();
        let handle = home.handle();
        let child = tokio::task::spawn_blocking(move || of_no_system(pausing().on(&handle)));
        let child = in_time(child).await.unwrap();
        assert_eq!(child.process.try_status(), None);
        home.stop();
        let status = in_time(ended(&child.process)).await;
        assert_eq!(status.signal(), Some(Signal::KILL));
    });
}

#[test]
fn a_stopped_arbiter_is_a_typed_error_and_nothing_is_spawned() {
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        let proof = dir.path().join("proof");
        let write = helper(["list", proof.to_str().unwrap()]);
        run(async {
            let home = Arbiter::new();
            let handle = home.handle();
            home.stop();
            home.join().unwrap();
            let command = write.on(&handle);
            let error = in_time(command.spawn(NoProtocol)).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Register);
            assert_eq!(error.detail(), "the arbiter for its actors has stopped");
            let error = in_time(command.output().into_future()).await.unwrap_err();
            let CollectError::Spawn(error) = error else {
                panic!("{error:?}");
            };
            assert_eq!(error.step(), SpawnStep::Register);
            assert_eq!(error.detail(), "the arbiter for its actors has stopped");
            let supervisor = ProcessSupervisor::current().unwrap();
            assert!(supervisor.send(List).await.unwrap().is_empty());
        });
        assert_eq!(children(), []);
        assert!(!proof.exists());
    });
}

#[test]
fn an_arbiter_that_stops_before_it_gets_to_the_spawn_is_a_typed_error() {
    isolated(|| {
        run(async {
            let home = Arbiter::new();
            let (go, wait) = mpsc::channel::<()>();
            let (tell, told) = mpsc::channel();
            home.spawn_fn(move || {
                tell.send(()).unwrap();
                let _ = wait.recv();
            });
            told.recv_timeout(DEADLINE).unwrap();
            home.stop();
            let mut spawning = pin!(echo().on(&home).spawn(NoProtocol));
            assert!(poll_immediate(&mut spawning).await.is_none());
            go.send(()).unwrap();
            let error = in_time(spawning).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Register, "{error}");
            home.join().unwrap();
        });
        assert_eq!(children(), []);
    });
}

#[test]
fn a_spawn_on_an_arbiter_that_stops_meanwhile_is_answered() {
    run(async {
        for round in 0..100 {
            let home = Arbiter::new();
            // While there is a handle nothing that is left in the arbiter's queue is dropped.
            let handle = home.handle();
            let stopper = thread::spawn(move || {
                thread::sleep(Duration::from_micros(round % 10 * 20));
                home.stop();
                home.join().unwrap();
            });
            match in_time(pausing().on(&handle).spawn(NoProtocol)).await {
                Ok(process) => {
                    let status = in_time(ended(&process)).await;
                    assert_eq!(status.signal(), Some(Signal::KILL));
                }
                Err(error) => assert_eq!(error.step(), SpawnStep::Register, "{error}"),
            }
            stopper.join().unwrap();
        }
    });
}

/// A thread of a System that is no arbiter.
struct Worker;

impl Actor for Worker {
    type Context = SyncContext<Self>;
}

#[derive(Message)]
#[rtype(result = "Result<ProcessHandle, SpawnError>")]
struct SpawnOne;

impl Handler<SpawnOne> for Worker {
    type Result = Result<ProcessHandle, SpawnError>;

    fn handle(&mut self, _: SpawnOne, _: &mut Self::Context) -> Self::Result {
        assert!(System::is_registered() && Arbiter::try_current().is_none());
        block_on_thread(pausing().spawn(NoProtocol))
    }
}

#[test]
fn the_child_of_a_systems_thread_that_is_no_arbiter_belongs_to_that_system() {
    let process = on_a_thread(|| {
        run(async {
            let worker = SyncArbiter::start(1, || Worker);
            let process = in_time(worker.send(SpawnOne)).await.unwrap().unwrap();
            let supervisor = ProcessSupervisor::current().unwrap();
            let listed = in_time(supervisor.send(List)).await.unwrap();
            let ids: Vec<_> = listed.iter().map(|info| info.id).collect();
            assert_eq!(ids, [process.id()]);
            process
        })
    });
    let status = block_on_thread(ended(&process));
    assert_eq!(status.signal(), Some(Signal::KILL));
}

#[test]
fn a_spawn_has_the_system_and_arbiter_of_its_call_whoever_polls() {
    let (ask, asked) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let asking = thread::spawn(move || {
        run(async move {
            let arbiter = Arbiter::new();
            // The first of its System: whoever polls starts the supervisor in there.
            let spawnings = [(); 3].map(|()| {
                let (tell, told) = mpsc::channel();
                arbiter.spawn_fn(move || tell.send(pausing().spawn(NoProtocol)).unwrap());
                told.recv_timeout(DEADLINE).unwrap()
            });
            ask.send(spawnings).unwrap();
            in_time(stopped).await.unwrap();
            let supervisor = ProcessSupervisor::current().unwrap();
            let listed = supervisor.send(List).await.unwrap();
            // Their actors go with it.
            arbiter.stop();
            arbiter.join().unwrap();
            listed
        })
    });
    let [by_nobody, by_tokio, by_a_system] = asked.recv_timeout(DEADLINE).unwrap();
    let spawned = [
        on_a_thread(|| block_on_thread(by_nobody)),
        on_tokio(2, async { in_time(tokio::spawn(by_tokio)).await.unwrap() }),
        on_a_thread(|| run(by_a_system)),
    ]
    .map(Result::unwrap);
    stop.send(()).unwrap();
    let listed = asking.join().unwrap();
    let ids: Vec<_> = listed.iter().map(|info| info.id).collect();
    assert_eq!(ids, spawned.each_ref().map(|process| process.id()));
    for process in spawned {
        let status = block_on_thread(ended(&process));
        assert_eq!(status.signal(), Some(Signal::KILL));
    }
}

#[test]
fn a_first_spawn_may_be_asked_for_by_one_worker_and_polled_by_another() {
    isolated(|| {
        on_tokio(2, async {
            let asked = tokio::spawn(async { (thread::current().id(), echo().spawn(NoProtocol)) });
            let (asking, mut spawning) = in_time(asked).await.unwrap();
            // This thread is no worker.
            assert_ne!(thread::current().id(), asking);
            let process = in_time(&mut spawning).await.unwrap();
            // Polled after its result it is pending for ever.
            assert!((&mut spawning).now_or_never().is_none());
            in_time(Echo::of(process).await.end()).await;
        });
    });
}

#[test]
fn dropping_a_spawn_cancels_it_without_an_arbiter() {
    isolated(|| {
        let hung = HangingExec::new();
        on_tokio(2, async {
            for _ in 0..3 {
                let mut spawning = Box::pin(hung.helper(["say", "hi"]).spawn(NoProtocol));
                assert!(poll_immediate(&mut spawning).await.is_none());
                hung.until_children(1).await;
                drop(spawning);
                hung.until_children(0).await;
            }
            let supervisor = ProcessSupervisor::current().unwrap();
            assert!(in_time(supervisor.send(List)).await.unwrap().is_empty());
        });
    });
}

/// Notes the thread that wakes it.
struct WhoWakes(Mutex<Option<String>>, thread::Thread);

impl Wake for WhoWakes {
    fn wake(self: Arc<Self>) {
        let name = thread::current().name().map(str::to_owned);
        *self.0.lock().unwrap() = name;
        self.1.unpark();
    }
}

/// The name of the thread on which the actors of a new child are.
fn thread_of_a_child() -> String {
    let mut child = block_on_thread(Echo::spawn(echo()));
    let who = Arc::new(WhoWakes(Mutex::default(), thread::current()));
    let waker = Arc::clone(&who).into();
    {
        let process = child.process.clone();
        let mut line = pin!(child.line());
        let mut context = Context::from_waker(&waker);
        assert!(line.as_mut().poll(&mut context).is_pending());
        process.write("there?\n").unwrap();
        while line.as_mut().poll(&mut context) == Poll::Pending {
            thread::park_timeout(DEADLINE);
        }
    }
    block_on_thread(child.end());
    who.0.lock().unwrap().clone().unwrap()
}

/// What of the state of threads a child has, and the crate's threads.
fn no_new_privs(status: &str) -> &str {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NoNewPrivs:"));
    line.unwrap().trim()
}

/// Whether the threads with this name, cut by the kernel, are under no_new_privs.
fn confined(name: &str) -> Vec<bool> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let statuses = tasks.filter_map(|task| {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).ok()?;
        let named = status
            .lines()
            .next()
            .unwrap()
            .trim_start_matches("Name:")
            .trim()
            == name;
        named.then_some(status)
    });
    statuses
        .map(|status| no_new_privs(&status) == "1")
        .collect()
}

#[test]
fn the_crates_arbiter_is_like_the_main_thread_when_a_thread_like_that_has_asked() {
    isolated(|| {
        let ask_confined = || {
            on_a_thread(|| {
                // SAFETY: integers.
                let set =
                    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1_u64, 0_u64, 0_u64, 0_u64) };
                assert_eq!(set, 0);
                let output = block_on_thread(helper(["status"]).output().into_future());
                let status = String::from_utf8(output.unwrap().stdout).unwrap();
                assert_eq!(no_new_privs(&status), "1");
                thread_of_a_child()
            })
        };
        assert_eq!(ask_confined(), "actix-process-arbiter");
        assert_eq!(confined("actix-process-a"), [true]);
        let left = of_no_system(echo());
        let usual = thread_of_a_child();
        assert!(usual.starts_with("actix-rt|system:"), "{usual}");
        assert_eq!(confined("actix-rt|system"), [false]);
        let output = block_on_thread(helper(["status"]).output().into_future());
        let status = String::from_utf8(output.unwrap().stdout).unwrap();
        assert_eq!(no_new_privs(&status), "0");
        // It stays so, whoever asks, and there is no third.
        assert_eq!(ask_confined(), usual);
        assert_eq!(confined("actix-process-a"), [true]);
        assert_eq!(confined("actix-rt|system"), [false]);
        block_on_thread(left.end());
    });
}

#[test]
fn children_of_threads_without_an_arbiter_share_one_thread() {
    isolated(|| {
        for _ in 0..3 {
            assert_eq!(on_a_thread(thread_of_a_child), "actix-process-arbiter");
        }
        assert_eq!(confined("actix-process-a").len(), 1);
    });
}

#[test]
fn a_thread_with_a_descriptor_table_of_its_own_starts_no_arbiter_for_others() {
    isolated(|| {
        on_a_thread(|| {
            // SAFETY: integers.
            if unsafe { libc::unshare(libc::CLONE_FILES) } != 0 {
                return skipped("no descriptor table of its own");
            }
            let error = block_on_thread(helper(["exit"]).spawn(NoProtocol)).unwrap_err();
            assert_eq!(error.subject(), "the crate's own arbiter", "{error}");
            assert!(ProcessSupervisor::current().is_err());
        });
        assert!(confined("actix-process-a").is_empty());
        on_a_thread(|| block_on_thread(async { Echo::spawn(echo()).await.end().await }));
    });
}
