//! Actors of our own that panic: no event is lost, and each child follows its policy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::{Actor, Arbiter, ArbiterHandle, Context, Handler, Message, System};
use futures::FutureExt;
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, waitid};

use self::scene::{DEADLINE, Log, Scene, eventually, in_time};
use super::{List, ProcessSupervisor, Spawn};
use crate::actors::process::Process;
use crate::actors::{PipeReader, PipeWriter};
use crate::port::role::Role;
use crate::port::{FdCommand, Port, Route};
use crate::{CloseReason, Command, OnOrphaned, ProcessEvent, ProcessHandle, Signal};

#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the integration tests"
)]
#[path = "../../tests/common/isolated.rs"]
mod isolated;
mod scene;

/// Makes an actor panic.
#[derive(Message)]
#[rtype(result = "()")]
struct Boom;

macro_rules! panics {
    ($($actor:ty),*) => {
        $(
            impl Handler<Boom> for $actor {
                type Result = ();

                fn handle(&mut self, _: Boom, _: &mut Context<Self>) {
                    panic!("an actor that panics, on purpose");
                }
            }
        )*
    };
}

panics!(ProcessSupervisor, Process, PipeReader, PipeWriter);

/// Asks for the arbiter of an actor.
#[derive(Message)]
#[rtype(result = "Option<ArbiterHandle>")]
struct Where;

impl Handler<Where> for ProcessSupervisor {
    type Result = Option<ArbiterHandle>;

    fn handle(&mut self, _: Where, _: &mut Context<Self>) -> Self::Result {
        Arbiter::try_current()
    }
}

/// Runs the test of this thread in a host process of its own, and holds that no child survives it.
fn run(test: impl Future<Output = ()>) {
    isolated::isolated(|| {
        System::new().block_on(test.boxed_local());
        let begun = std::time::Instant::now();
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while waitid(Id::All, look) != Err(Errno::ECHILD) {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "a child survives"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}

#[test]
fn a_process_actor_that_panics_orphans_its_child() {
    run(async {
        let scene = Scene::start("exec sleep 60", OnOrphaned::Kill, None);
        scene.process.upgrade().unwrap().do_send(Boom);
        let (closes, status) = scene.ended().await;
        assert_eq!(status.signal(), Some(Signal::KILL));
        let gone = [0, 1, 2].map(|fd| (fd, CloseReason::Gone));
        assert_eq!(closes, gone);
    });
}

#[test]
fn a_process_actor_that_panics_leaves_a_child_that_shall_be_left() {
    run(async {
        // The close of its pipes is all that it notices.
        let scene = Scene::start("read x; exit 7", OnOrphaned::Leave, None);
        scene.process.upgrade().unwrap().do_send(Boom);
        let (closes, status) = scene.ended().await;
        assert_eq!(status.code(), Some(7));
        let gone = [0, 1, 2].map(|fd| (fd, CloseReason::Gone));
        assert_eq!(closes, gone);
    });
}

/// In place of a pipe actor's address.
#[derive(Debug)]
struct Told(Arc<AtomicUsize>);

impl Route for Told {
    fn send(&self, command: FdCommand) {
        let is_close = matches!(command, FdCommand::Close(CloseReason::Gone));
        self.0.fetch_add(usize::from(is_close), Ordering::SeqCst);
    }
}

#[test]
fn a_process_actor_closes_what_it_owns_whoever_orphaned_the_child() {
    run(async {
        let scene = Scene::start("exec sleep 60", OnOrphaned::Leave, None);
        let child = scene.handle.child();
        let closes = Arc::new(AtomicUsize::new(0));
        let route: Arc<dyn Route> = Arc::new(Told(Arc::clone(&closes)));
        let port = Port::new(3, Role::Input, &route);
        let process = Process::owning(child, vec![route]);
        child.orphan("another owner is gone");
        port.close(CloseReason::Gone);
        assert_eq!(closes.load(Ordering::SeqCst), 1);
        drop(process);
        assert_eq!(closes.load(Ordering::SeqCst), 2);
        // The way of the port was the actor's.
        port.close(CloseReason::Gone);
        assert_eq!(closes.load(Ordering::SeqCst), 2);
        let _ = scene.handle.kill();
        scene.ended().await;
    });
}

#[test]
fn a_reader_that_panics_closes_its_descriptor_only() {
    run(async {
        let scene = Scene::start("read x; echo \"$x\" >&2; exit 7", OnOrphaned::Kill, None);
        scene.reader.do_send(Boom);
        let log = scene.log.clone();
        let lost = ProcessEvent::ChildConnectionLost {
            fd: 1,
            reason: CloseReason::Gone,
        };
        eventually(|| log.events().contains(&lost).then_some(())).await;
        scene.handle.write("still here\n").unwrap();
        let (closes, status) = scene.ended().await;
        assert_eq!(status.code(), Some(7));
        assert_eq!(
            closes[1..],
            [(1, CloseReason::Gone), (2, CloseReason::ByChild)]
        );
        let data = ProcessEvent::ChildDataReceived {
            fd: 2,
            data: "still here\n".into(),
        };
        assert!(log.events().contains(&data), "{:?}", log.events());
    });
}

#[test]
fn a_writer_that_panics_closes_its_descriptor_only() {
    run(async {
        let scene = Scene::start("cat; echo done; exit 7", OnOrphaned::Kill, None);
        scene.writer.do_send(Boom);
        let handle = scene.handle.clone();
        let (closes, status) = scene.ended().await;
        assert_eq!(status.code(), Some(7));
        assert_eq!(
            closes,
            [
                (0, CloseReason::Gone),
                (1, CloseReason::ByChild),
                (2, CloseReason::ByChild)
            ]
        );
        assert!(handle.write("late").is_err());
    });
}

#[test]
fn a_reader_that_panics_does_not_stop_the_clock_of_the_ended_timeout() {
    run(async {
        // A descendant holds both of its outputs.
        let script = "sleep 60 & echo $! >&2; exit 7";
        let timeout = Duration::from_millis(50);
        let scene = Scene::start(script, OnOrphaned::Kill, Some(timeout));
        let log = scene.log.clone();
        // Before its first turn: it counts as busy.
        scene.reader.do_send(Boom);
        let reader = scene.reader.clone();
        eventually(|| (!reader.connected()).then_some(())).await;
        let (closes, status) = scene.ended().await;
        assert_eq!(status.code(), Some(7));
        assert_eq!(
            closes,
            [
                (0, CloseReason::ByChild),
                (1, CloseReason::Gone),
                (2, CloseReason::Cut)
            ]
        );
        let said = log.events().into_iter().find_map(|event| match event {
            ProcessEvent::ChildDataReceived { fd: 2, data } => Some(data),
            _ => None,
        });
        let descendant = String::from_utf8(said.unwrap().to_vec()).unwrap();
        let descendant = nix::unistd::Pid::from_raw(descendant.trim().parse().unwrap());
        nix::sys::signal::kill(descendant, nix::sys::signal::SIGKILL).unwrap();
    });
}

#[test]
fn a_supervisor_that_panics_orphans_its_children_and_is_replaced() {
    run(async {
        let supervisor = ProcessSupervisor::current().unwrap();
        let arbiter = supervisor.send(Where).await.unwrap().unwrap();
        let stubborn = "trap '' TERM; echo ready; exec sleep 60";
        let spawn = |script, policy| {
            let log = Log::default();
            let command = Command::new("sh").args(["-c", script]).on_orphaned(policy);
            let spawning = command.spawn(log.clone().start());
            async move { (spawning.await.unwrap(), log) }
        };
        let left = spawn("read x; exit 7", OnOrphaned::Leave).await;
        let killed = spawn("exec sleep 60", OnOrphaned::Kill).await;
        let terminated = spawn("exec sleep 60", OnOrphaned::Terminate(DEADLINE)).await;
        let grace = Duration::from_millis(50);
        let stubborn = spawn(stubborn, OnOrphaned::Terminate(grace)).await;
        let ready = |event: &ProcessEvent| matches!(event, ProcessEvent::ChildDataReceived { .. });
        eventually(|| stubborn.1.events().iter().any(ready).then_some(())).await;
        assert_eq!(supervisor.send(List).await.unwrap().len(), 4);

        supervisor.do_send(Boom);
        let end = async |(process, log): (ProcessHandle, Log)| {
            let (closes, status) = log.ended(&process).await;
            assert_eq!(closes.len(), 3);
            (status.code(), status.signal())
        };
        assert_eq!(end(left).await, (Some(7), None));
        assert_eq!(end(killed).await, (None, Some(Signal::KILL)));
        assert_eq!(end(terminated).await, (None, Some(Signal::TERM)));
        assert_eq!(end(stubborn).await, (None, Some(Signal::KILL)));
        // Its thread goes with its last child.
        eventually(|| (!arbiter.alive()).then_some(())).await;

        let next = ProcessSupervisor::current().unwrap();
        assert_ne!(next, supervisor);
        assert_eq!(ProcessSupervisor::current().unwrap(), next);
        let process = Command::new("true").spawn(crate::NoProtocol).await.unwrap();
        assert!(in_time(process.ended()).await.success());
    });
}

#[test]
fn a_spawn_by_a_supervisor_that_panics_meanwhile_leaves_no_child() {
    run(async {
        let token = format!("60.{}", std::process::id());
        for _ in 0..20 {
            let supervisor = ProcessSupervisor::new().start();
            let command = Command::new("sleep").arg(&token);
            let spawn = supervisor.send(Spawn::new(command, crate::NoProtocol));
            supervisor.do_send(Boom);
            // Committed before the panic, or never.
            if let Ok(Ok(process)) = in_time(spawn).await {
                let status = in_time(process.ended()).await;
                assert_eq!(status.signal(), Some(Signal::KILL));
            }
            assert!(!supervisor.connected());
        }
        eventually(|| (!has_bearer(&token)).then_some(())).await;
    });
}

/// Whether any process has `token` among its arguments.
fn has_bearer(token: &str) -> bool {
    let listing = std::fs::read_dir("/proc").unwrap().flatten();
    listing.into_iter().any(|entry| {
        let cmdline = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&cmdline).contains(token)
    })
}
