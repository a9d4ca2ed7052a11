//! An actor that owns its child: `Command::spawn_in`, and the spawn that fails.

use crate::common;

use std::io::Read;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use actix::prelude::*;
use actix_process::supervisor::Shutdown;
use actix_process::{
    Bytes, CloseReason, Command, ExitStatus, Fd, ProcessHandle, ProcessId, ProcessProtocol,
    ProcessSupervisor, SpawnError, SpawnStep, process_protocol,
};
use common::census::children;
use common::hanging_exec::HangingExec;
use common::helper::helper;
use common::isolated::isolated;
use common::{DEADLINE, eventually, in_time, run};
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

/// What an [`Owner`] was told, in order.
#[derive(Debug)]
enum Told {
    Asked(ProcessId),
    Made(ProcessHandle),
    Data(ProcessId, Bytes),
    Lost(ProcessId),
    Exited(ProcessId),
    Ended(ProcessId, ExitStatus),
    Failed(String, SpawnError),
}

/// Spawns what it is asked for, and passes on all that it is told.
struct Owner {
    told: UnboundedSender<Told>,
}

impl Owner {
    fn start_with() -> (Addr<Self>, UnboundedReceiver<Told>) {
        let (told, receiver) = unbounded();
        (Self { told }.start(), receiver)
    }

    fn tell(&self, told: Told) {
        let _ = self.told.unbounded_send(told);
    }
}

impl Actor for Owner {
    type Context = Context<Self>;
}

impl ProcessProtocol for Owner {
    fn connection_made(&mut self, process: &ProcessHandle, _: &mut Self::Context) {
        self.tell(Told::Made(process.clone()));
    }
    fn child_data_received(
        &mut self,
        process: &ProcessHandle,
        _: i32,
        data: Bytes,
        _: &mut Self::Context,
    ) {
        self.tell(Told::Data(process.id(), data));
    }
    fn child_connection_lost(
        &mut self,
        process: &ProcessHandle,
        _: i32,
        _: CloseReason,
        _: &mut Self::Context,
    ) {
        self.tell(Told::Lost(process.id()));
    }
    fn process_exited(&mut self, process: &ProcessHandle, _: ExitStatus, _: &mut Self::Context) {
        self.tell(Told::Exited(process.id()));
    }
    fn process_ended(
        &mut self,
        process: &ProcessHandle,
        status: ExitStatus,
        _: &mut Self::Context,
    ) {
        self.tell(Told::Ended(process.id(), status));
    }
    fn spawn_failed(&mut self, name: &str, error: SpawnError, _: &mut Self::Context) {
        self.tell(Told::Failed(name.to_owned(), error));
    }
}
process_protocol!(Owner);

/// Asks an [`Owner`] for a child.
#[derive(Message)]
#[rtype(result = "()")]
struct Ask(Command);

impl Handler<Ask> for Owner {
    type Result = ();

    fn handle(&mut self, Ask(command): Ask, ctx: &mut Self::Context) {
        let id = command.spawn_in(ctx);
        self.tell(Told::Asked(id));
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for Owner {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

async fn next(told: &mut UnboundedReceiver<Told>) -> Told {
    in_time(told.next()).await.expect("the actor has stopped")
}

/// The number that `spawn_in` gave.
async fn asked(told: &mut UnboundedReceiver<Told>) -> ProcessId {
    match next(told).await {
        Told::Asked(id) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_actor_owns_its_child_in_one_line() {
    run(async {
        let (owner, mut told) = Owner::start_with();
        owner.do_send(Ask(Command::new("echo").arg("hello").name("web")));
        // Its child keeps it, and so does the spawn before.
        drop(owner);
        let id = asked(&mut told).await;
        let Told::Made(process) = next(&mut told).await else {
            panic!("connection_made comes first");
        };
        assert_eq!((process.id(), process.name()), (id, "web"));
        let mut text = Vec::new();
        let (mut closes, mut exits) = (0, 0);
        let status = loop {
            match next(&mut told).await {
                Told::Data(of, data) if of == id => text.extend_from_slice(&data),
                Told::Lost(of) if of == id => closes += 1,
                Told::Exited(of) if of == id => exits += 1,
                Told::Ended(of, status) if of == id => break status,
                other => panic!("{other:?}"),
            }
        };
        assert!(status.success());
        assert_eq!((text.as_slice(), closes, exits), (&b"hello\n"[..], 3, 1));
        // Nothing keeps the actor any more.
        assert!(in_time(told.next()).await.is_none());
    });
}

#[test]
fn a_spawn_that_fails_has_one_callback_and_its_actor_lives_on() {
    run(async {
        let (owner, mut told) = Owner::start_with();
        for (command, name, step) in [
            (Command::new("/no/such"), "/no/such", SpawnStep::Exec),
            (Command::new("/no/such").name("web"), "web", SpawnStep::Exec),
            (Command::new("true").nice(99), "true", SpawnStep::Invalid),
            // What is no name is none.
            (
                Command::new("true").name("a\nb"),
                "true",
                SpawnStep::Invalid,
            ),
        ] {
            owner.do_send(Ask(command));
            let id = asked(&mut told).await;
            match next(&mut told).await {
                Told::Failed(called, error) => {
                    assert_eq!((called.as_str(), error.step()), (name, step), "{error}");
                    assert_eq!(error.id(), Some(id));
                }
                other => panic!("{other:?}"),
            }
        }
        // Nothing of them comes later, and the actor spawns on.
        owner.do_send(Ask(Command::new("true")));
        let id = asked(&mut told).await;
        let ended = loop {
            match next(&mut told).await {
                Told::Made(process) => assert_eq!(process.id(), id),
                Told::Lost(of) | Told::Exited(of) => assert_eq!(of, id),
                Told::Ended(of, status) => break (of, status.success()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(ended, (id, true));
    });
}

#[test]
fn a_supervisor_that_refuses_is_told_as_a_failed_spawn() {
    isolated(|| {
        run(async {
            let supervisor = ProcessSupervisor::current().unwrap();
            let grace = Duration::ZERO;
            in_time(supervisor.send(Shutdown { grace })).await.unwrap();
            let (owner, mut told) = Owner::start_with();
            owner.do_send(Ask(Command::new("true").name("late")));
            let id = asked(&mut told).await;
            let Told::Failed(name, error) = next(&mut told).await else {
                panic!("it was spawned");
            };
            assert_eq!((name.as_str(), error.step()), ("late", SpawnStep::Register));
            assert_eq!(error.id(), Some(id));
            // The future of the failed spawn is gone, too.
            drop(owner);
            assert!(in_time(told.next()).await.is_none());
        });
    });
}

#[test]
fn an_actor_that_stops_before_the_commit_cancels_its_spawn() {
    isolated(|| {
        run(async {
            let hung = HangingExec::new();
            let (owner, mut told) = Owner::start_with();
            owner.do_send(Ask(hung.helper(["pause"])));
            asked(&mut told).await;
            // In its exec, which would hang for long.
            hung.until_children(1).await;
            owner.do_send(Stop);
            let all: Vec<Told> = in_time(told.collect()).await;
            assert!(all.is_empty(), "{all:?}");
            hung.until_children(0).await;
            drop(hung);
            // Nor is there one that stops in the turn in which it asks.
            let (owner, mut told) = Owner::start_with();
            owner.do_send(Ask(helper(["pause"])));
            owner.do_send(Stop);
            asked(&mut told).await;
            let all: Vec<Told> = in_time(told.collect()).await;
            assert!(all.is_empty(), "{all:?}");
            let none = || children().is_empty().then_some(());
            eventually("no child", none, || format!("{:?}", children())).await;
        });
    });
}

/// Waits, in its context, until its child has written.
struct Waiting {
    seen: UnboundedSender<Vec<u8>>,
}

impl Actor for Waiting {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let echo = Command::new("echo").arg("begun").stdout(Fd::from(writer));
        echo.spawn_in(ctx);
        // The command would keep the pipe open otherwise, if the child were never spawned.
        drop(echo);
        let read = actix_rt::task::spawn_blocking(move || {
            let mut text = Vec::new();
            reader.read_to_end(&mut text).unwrap();
            text
        });
        let limited = actix_rt::time::timeout(DEADLINE, read);
        ctx.wait(limited.into_actor(self).map(|text, actor, _| {
            let text = text.expect("the child began").unwrap();
            let _ = actor.seen.unbounded_send(text);
        }));
    }
}

impl ProcessProtocol for Waiting {
    fn process_ended(&mut self, _: &ProcessHandle, _: ExitStatus, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
process_protocol!(Waiting);

#[test]
fn a_spawn_begins_at_once_also_while_its_actor_waits() {
    run(async {
        let (seen, mut text) = unbounded();
        let _waiting = Waiting { seen }.start();
        assert_eq!(in_time(text.next()).await.unwrap(), b"begun\n");
    });
}

/// Does nothing about what it is told.
struct Silent;

impl Actor for Silent {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        Command::new("/no/such").name("web").spawn_in(ctx);
        Command::new("true").fd(7, Fd::inherit(700)).spawn_in(ctx);
    }
}

impl ProcessProtocol for Silent {}
process_protocol!(Silent);

/// Warnings of the log.
static WARNINGS: LazyLock<Mutex<Vec<String>>> = LazyLock::new(Mutex::default);

struct Warnings;

impl log::Log for Warnings {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.level() <= log::Level::Warn {
            WARNINGS.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_failure_that_no_callback_takes_is_a_warning_with_the_name() {
    isolated(|| {
        log::set_logger(&Warnings).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        System::new().block_on(async {
            let silent = Silent.start();
            let two = || (WARNINGS.lock().unwrap().len() == 2).then_some(());
            let seen = || format!("{:?}", WARNINGS.lock().unwrap());
            eventually("two warnings", two, seen).await;
            drop(silent);
        });
        let mut warnings = WARNINGS.lock().unwrap().clone();
        warnings.sort();
        let begins = |line: &str, with: &str| assert!(line.starts_with(with), "{line}");
        begins(&warnings[0], "true: cannot set up descriptors: fd 7: ");
        begins(&warnings[1], "web: cannot execute: /no/such: ");
    });
}
