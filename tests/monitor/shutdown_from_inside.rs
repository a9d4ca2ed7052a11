//! Shutdowns that a service asks for, in each way that it may take, and shutdowns while starts are under way.

use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use actix::{Actor, AsyncContext, Context};
use actix_process::monitor::{
    Followed, Monitor, MonitorError, MonitorHandle, Ready, Service, Since, Start, When,
};
use actix_process::{Bytes, Command, Ladder, ProcessHandle, ProcessProtocol, process_protocol};
use futures::StreamExt;

use crate::common::hanging_exec::HangingExec;
use crate::common::helper::helper;
use crate::common::isolated::isolated;
use crate::common::{eventually, in_time, run};

const LONG: Duration = Duration::from_secs(600);

/// A place for a handle that is there after the service.
type Later = Arc<OnceLock<MonitorHandle>>;

/// One that asks when its input has ended or brought something, and ends by SIGTERM alone.
fn asking() -> Command {
    helper([
        "say",
        "ready",
        "take",
        "0",
        "1",
        "say",
        "shut down",
        "pause",
    ])
}

fn term() -> Ladder {
    Ladder::new().term(LONG).kill()
}

#[test]
fn by_its_output_which_somebody_follows() {
    run(async {
        let service = Service::new("asking", asking()).ready(Ready::line("ready"));
        let monitor = Monitor::new()
            .service(service.stop(term()))
            .start()
            .unwrap();
        monitor.ready("asking").await.unwrap();
        let mut lines = monitor.follow("asking", Since::Start);
        monitor.write("asking", "x").await.unwrap();
        let report = in_time(async {
            loop {
                match lines.next().await {
                    Some(Followed::Line { bytes, .. }) if bytes == "shut down" => {
                        return monitor.shutdown(LONG).await;
                    }
                    Some(_) => {}
                    None => panic!("it has ended"),
                }
            }
        });
        let report = report.await;
        assert_eq!(report.clean, ["asking"], "{report:?}");
        // The follow ends with it.
        let rest: Vec<Followed> = in_time(lines.collect()).await;
        assert_eq!(rest.last(), Some(&Followed::Closed), "{rest:?}");
    });
}

#[test]
fn from_the_closure_that_gets_its_lines() {
    run(async {
        let later = Later::default();
        let handle = Arc::clone(&later);
        let service = Service::new("asking", asking())
            .ready(Ready::line("ready"))
            .stop(term())
            .on_line(move |line| {
                if line.bytes == b"shut down" {
                    drop(handle.get().unwrap().shutdown(LONG));
                }
            });
        let monitor = Monitor::new().service(service).start().unwrap();
        later.set(monitor.clone()).unwrap();
        monitor.ready("asking").await.unwrap();
        monitor.write("asking", "x").await.unwrap();
        let report = in_time(monitor.closed()).await;
        assert_eq!(report.clean, ["asking"], "{report:?}");
    });
}

/// Asks for the shutdown when its child says so, and takes nothing else in until that is over.
struct Asker(Later);

impl Actor for Asker {
    type Context = Context<Self>;
}

impl ProcessProtocol for Asker {
    fn child_data_received(
        &mut self,
        _: &ProcessHandle,
        _: i32,
        data: Bytes,
        ctx: &mut Self::Context,
    ) {
        if data.ends_with(b"shut down\n") {
            let shutdown = self.0.get().unwrap().shutdown(LONG);
            ctx.wait(actix::fut::wrap_future(async move { drop(shutdown.await) }));
        }
    }
}
process_protocol!(Asker);

#[test]
fn by_its_protocol_actor_which_waits_for_the_end() {
    run(async {
        let later = Later::default();
        let handle = Arc::clone(&later);
        let service = Service::new("asking", asking())
            .stop(term())
            .protocol(move |_: &Start| Asker(Arc::clone(&handle)).start());
        let monitor = Monitor::new().service(service).start().unwrap();
        later.set(monitor.clone()).unwrap();
        monitor.ready("asking").await.unwrap();
        monitor.write("asking", "x").await.unwrap();
        let report = in_time(monitor.closed()).await;
        assert_eq!(report.clean, ["asking"], "{report:?}");
    });
}

#[test]
fn a_closure_that_hangs_holds_up_no_shutdown() {
    run(async {
        let (release, held) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let held = Mutex::new(held);
        let hanging = Service::new("hanging", move |_: &Start| {
            let _ = tell.send(());
            let _ = held.lock().unwrap().recv();
            Ok(Command::new("sleep").arg("600"))
        });
        let behind = Service::new("behind", Command::new("sleep").arg("600"));
        let monitor = Monitor::new()
            .service(hanging)
            .service(behind.after("hanging", When::Ready))
            .start()
            .unwrap();
        let mut behind = Box::pin(monitor.ready("behind"));
        assert!(futures::poll!(behind.as_mut()).is_pending());
        in_time(actix_rt::task::spawn_blocking(move || told.recv()))
            .await
            .unwrap()
            .unwrap();
        let mut hanging = Box::pin(monitor.ready("hanging"));
        assert!(futures::poll!(hanging.as_mut()).is_pending());
        let report = in_time(monitor.shutdown(LONG)).await;
        assert_eq!(
            (report.clean.len(), report.killed.len()),
            (0, 0),
            "{report:?}"
        );
        for result in [behind.await, hanging.await] {
            assert!(
                matches!(result, Err(MonitorError::ShuttingDown)),
                "{result:?}"
            );
        }
        drop(release);
    });
}

#[test]
fn an_exec_that_hangs_holds_up_no_shutdown_and_its_child_is_killed() {
    isolated(|| {
        run(async {
            let hung = HangingExec::new();
            let named = Service::new("hanging", hung.helper(["pause"]));
            let with_an_actor = Service::new("actor", hung.helper(["pause"]))
                .protocol(|_: &Start| Asker(Later::default()).start());
            let monitor = Monitor::new()
                .guard(false)
                .service(named)
                .service(with_an_actor);
            let monitor = monitor.start().unwrap();
            hung.until_children(2).await;
            let report = in_time(monitor.shutdown(LONG)).await;
            assert_eq!(
                (report.clean.len(), report.killed.len()),
                (0, 0),
                "{report:?}"
            );
            eventually(
                "no child to be left",
                || hung.children().is_empty().then_some(()),
                || format!("{:?}", hung.children()),
            )
            .await;
        });
    });
}
