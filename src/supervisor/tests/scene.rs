//! A child whose actors a test has the addresses of, and a protocol that keeps what it is told.

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command as StdCommand, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, WeakAddr};
use tokio::io::Interest;
use tokio::runtime::Handle;

use crate::actors::process::Process;
use crate::actors::{Destination, End, PipeReader, PipeWriter};
use crate::child::lifecycle::LifecycleInput;
use crate::child::live_process::LiveProcess;
use crate::child::{Child, Origin};
use crate::command::containment::Containment;
use crate::id::ProcessId;
use crate::port::role::Role;
use crate::port::window::Window;
use crate::port::{Port, Route};
use crate::protocol::into::IntoProtocol;
use crate::tree::Leader;
use crate::{
    CloseReason, Command, FromProcess, OnLeftovers, OnOrphaned, ProcessEvent, ProcessHandle, sys,
    threads::janitor,
};

/// A protocol that keeps what it is told.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<ProcessEvent>>>);

impl Actor for Log {
    type Context = Context<Self>;
}

impl Handler<FromProcess> for Log {
    type Result = ();

    fn handle(&mut self, message: FromProcess, _: &mut Context<Self>) {
        self.0.lock().unwrap().push(message.event);
    }
}

impl Log {
    pub(super) fn events(&self) -> Vec<ProcessEvent> {
        self.0.lock().unwrap().clone()
    }

    /// The whole history: the rules 1 to 3 hold; why each descriptor was closed, and the end.
    pub(super) async fn ended(
        &self,
        what: &ProcessHandle,
    ) -> (Vec<(i32, CloseReason)>, crate::ExitStatus) {
        let status = in_time(what.ended()).await;
        // It was queued; it is handled when it can be seen.
        eventually(|| {
            let last = self.events().last().cloned();
            (last == Some(ProcessEvent::ProcessEnded { status })).then_some(())
        })
        .await;
        let events = self.events();
        assert_eq!(events[0], ProcessEvent::ConnectionMade, "{events:?}");
        let exited = ProcessEvent::ProcessExited { status };
        let count = events.iter().filter(|event| **event == exited).count();
        assert_eq!(count, 1, "{events:?}");
        let mut closes = Vec::new();
        for event in &events {
            if let ProcessEvent::ChildConnectionLost { fd, reason } = event {
                closes.push((*fd, *reason));
            }
        }
        closes.sort_unstable_by_key(|(fd, _)| *fd);
        (closes, status)
    }
}

const OUTPUT: Role = Role::Output {
    window: Command::DEFAULT_WINDOW,
    stream: false,
};

pub(super) const DEADLINE: Duration = Duration::from_secs(60);

pub(super) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let timed = tokio::time::timeout(DEADLINE, future).await;
    timed.expect("nothing came in time")
}

pub(super) async fn eventually<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    in_time(async {
        loop {
            if let Some(value) = condition() {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
}

/// A child whose actors the test started itself, to have their addresses.
pub(super) struct Scene {
    pub(super) log: Log,
    pub(super) handle: ProcessHandle,
    pub(super) process: WeakAddr<Process>,
    pub(super) writer: Addr<PipeWriter>,
    pub(super) reader: Addr<PipeReader>,
}

impl Scene {
    /// `script` in a shell, its 0, 1 and 2 piped.
    #[expect(clippy::zombie_processes, reason = "the janitor reaps it")]
    pub(super) fn start(script: &str, policy: OnOrphaned, ended_timeout: Option<Duration>) -> Self {
        let mut std_child = StdCommand::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let ends: [OwnedFd; 3] = [
            std_child.stdin.take().unwrap().into(),
            std_child.stdout.take().unwrap().into(),
            std_child.stderr.take().unwrap().into(),
        ];
        let log = Log::default();
        let (event_sink, mailbox_turns) = log.clone().start().into_protocol().into_parts();
        let origin = Origin {
            id: ProcessId::next(),
            program: "sh".into(),
            name: "sh".into(),
            spawned_pid: i32::try_from(std_child.id()).unwrap(),
            event_sink,
            mailbox_turns,
            on_orphaned: policy,
            is_quiet_orphan: false,
            on_leftovers: OnLeftovers::Leave,
            ended_timeout,
            time_limit: None,
            readers: 2,
            live: LiveProcess::default(),
            containment: Containment::Process,
        };
        let child = Child::new(origin, [0, 1, 2]);
        child.live.fill(Leader {
            pid: i32::try_from(std_child.id()).unwrap(),
            pidfd: None,
            cgroup: None,
        });

        let [input, output, errors] = ends.map(|end| {
            sys::io::set_nonblocking(end.as_fd()).unwrap();
            let interest = Interest::READABLE.add(Interest::WRITABLE);
            End::Pipe(sys::io::register(end, interest, &Handle::current()).unwrap())
        });
        let writer = PipeWriter::new(Arc::clone(&child), 0, input).start();
        let [reader, other] = [(1, output), (2, errors)].map(|(fd, end)| {
            let window = Window::new(Command::DEFAULT_WINDOW, Arc::clone(&child.mailbox_turns));
            let destination = Destination::Protocol(window, child.event_sink().unwrap());
            PipeReader::new(Arc::clone(&child), fd, end, destination).start()
        });
        let routes: [Arc<dyn Route>; 3] = [
            Arc::new(writer.clone()),
            Arc::new(reader.clone()),
            Arc::new(other),
        ];
        child.set_ports(vec![
            Port::new(0, Role::Input, &routes[0]),
            Port::new(1, OUTPUT, &routes[1]),
            Port::new(2, OUTPUT, &routes[2]),
        ]);
        let process = Process::owning(&child, routes.into()).start();
        let weak = process.downgrade();
        child.on_ended(move || drop(process));
        child.apply(LifecycleInput::Made);
        janitor::watch(child.clone());
        Self {
            log,
            handle: ProcessHandle::new(child),
            process: weak,
            writer,
            reader,
        }
    }

    /// Everything has ended, and every actor has stopped.
    pub(super) async fn ended(self) -> (Vec<(i32, CloseReason)>, crate::ExitStatus) {
        let ended = self.log.ended(&self.handle).await;
        eventually(|| {
            let lives = self.process.upgrade().is_some()
                || self.writer.connected()
                || self.reader.connected();
            (!lives).then_some(())
        })
        .await;
        ended
    }
}
