//! Arguments, values of the environment, what closures hold and what is written are in no status, event, line of the log, error or
//! `Debug` of a monitor.

use std::fmt::{Debug, Display};
use std::sync::Mutex;
use std::time::Duration;

use actix_process::monitor::{
    Alive, Monitor, MonitorError, Ready, Restart, Service, Since, Start, messages,
};
use actix_process::{Bytes, Command, Ladder, Pty, PtySize, Signal};
use futures::StreamExt;

use crate::common::helper::helper;
use crate::common::isolated::isolated;
use crate::common::{in_time, run};
use crate::tools::streams::{SHUTDOWN, has_ended};

const SECRETS: [&str; 4] = [
    "sentinel-argument",
    "sentinel-value",
    "sentinel-captured",
    "sentinel-written",
];

/// All that was shown to anybody.
static SHOWN: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // With what the crates below say.
        show(format!("LOG {} {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

fn show(text: String) {
    SHOWN.lock().unwrap().push(text);
}

fn debug(value: &dyn Debug) {
    show(format!("{value:?}"));
    show(format!("{value:#?}").split_whitespace().collect());
}

fn error(value: &(impl Debug + Display)) {
    debug(value);
    show(value.to_string());
}

fn secretive(command: Command) -> Command {
    command.arg(SECRETS[0]).env("TOKEN", SECRETS[1])
}

/// Its arguments are of no harm to the helper.
fn cat() -> Command {
    secretive(Command::new("sh").args(["-c", "cat >/dev/null"]))
}

fn services() -> Vec<Service> {
    let captured = SECRETS[2].to_owned();
    let made = move |start: &Start| {
        debug(start);
        Ok(cat().env("CAPTURED", &captured))
    };
    let probe = || secretive(Command::new("true"));
    vec![
        Service::new("plain", cat()),
        Service::new("made", made)
            .ready(Ready::exec(probe()).within(SHUTDOWN))
            .alive(Alive::exec(probe())),
        Service::new(
            "terminal",
            secretive(helper(["pause"])).pty(Pty::new(PtySize::new(24, 80)).echo(false)),
        )
        .stop(
            Ladder::new()
                .say(SECRETS[3], Duration::from_millis(10))
                .kill(),
        ),
        Service::new(
            "fails",
            secretive(Command::new("sh").args(["-c", "exit 3"])),
        )
        .restart(Restart::never()),
        Service::new("missing", secretive(Command::new("/no/such/program"))),
        Service::new("slow", cat())
            .ready(Ready::exec(secretive(Command::new("false"))).within(Duration::from_millis(50)))
            .restart(Restart::never()),
        Service::keyed("keyed", |_: &str, _: &Start| Ok(cat())),
    ]
}

#[test]
fn no_secret_is_shown_by_a_monitor() {
    isolated(|| {
        log::set_logger(&Log).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        run(async {
            for service in services() {
                debug(&service);
            }
            let monitor = Monitor::new().services(services());
            debug(&monitor);
            let monitor = monitor.start().unwrap();
            let events = monitor.events();
            let mut watched = monitor.events();
            debug(&(&monitor, monitor.addr(), &events, monitor.containment()));
            for id in ["plain", "made", "terminal"] {
                monitor.ready(id).await.unwrap();
                monitor.write(id, SECRETS[3]).await.unwrap();
            }
            for id in ["missing", "slow"] {
                match monitor.ready(id).await {
                    Err(failed) => error(&failed),
                    Ok(()) => panic!("{id} is ready"),
                }
            }
            has_ended(&monitor, &mut watched, "fails").await;
            let lease = monitor.lease_key("keyed", "a key").await.unwrap();
            debug(&(&lease, lease.process(), lease.start()));
            drop(lease);
            let mut follow = monitor.follow("plain", Since::Start);
            let raw = monitor.follow_raw("terminal");
            debug(&(&follow, &raw));
            let bad = Service::new(
                "bad",
                cat().arg("sentinel-argument\0").env("A\0", SECRETS[1]),
            );
            debug(&bad);
            error(&monitor.add(bad).await.unwrap_err());
            let bad = Service::new("bad", move |_: &Start| Ok(cat().arg("sentinel-argument\0")));
            error(&monitor.add(bad).await.unwrap_err());
            let data = Bytes::from_static(SECRETS[3].as_bytes());
            debug(&messages::Write {
                name: "plain".into(),
                data,
            });
            debug(&messages::Add {
                services: services(),
            });
            monitor.restart("plain").await.unwrap();
            error(&monitor.signal("fails", Signal::TERM).await.unwrap_err());
            let unknown: MonitorError = monitor.write("fails", SECRETS[3]).await.unwrap_err();
            error(&unknown);
            debug(&monitor.all_with_usage().await.unwrap());
            #[cfg(feature = "serde")]
            show(serde_json::to_string(&monitor.all_with_usage().await.unwrap()).unwrap());
            debug(&monitor.shutdown(SHUTDOWN).await);
            while let Some(item) = in_time(follow.next()).await {
                debug(&item);
            }
            for item in in_time(events.collect::<Vec<_>>()).await {
                debug(&item);
                #[cfg(feature = "serde")]
                if let actix_process::monitor::Reported::Event(event) = &item {
                    show(serde_json::to_string(event).unwrap());
                }
            }
        });
        let shown = SHOWN.lock().unwrap();
        let logged = shown
            .iter()
            .filter(|text| text.contains("actix_process"))
            .count();
        assert!(
            logged > 20 && shown.len() > 100,
            "{logged} of {}",
            shown.len()
        );
        for text in &*shown {
            for secret in SECRETS {
                let numbers = format!("{:?}", secret.as_bytes());
                let numbers = numbers.trim_matches(['[', ']']);
                let squeezed = numbers.replace(' ', "");
                assert!(
                    !text.contains(secret) && !text.contains(numbers) && !text.contains(&squeezed),
                    "{secret} is in {text}"
                );
            }
        }
    });
}
