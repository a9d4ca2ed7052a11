//! The file that says which services there are.

use std::path::Path;
use std::time::Duration;

use actix_process::monitor::{Alive, Ready, Restart, Service, Start, When};
use actix_process::{Command, Ladder};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    service: Vec<Entry>,
}

/// A `[[service]]` of the file. Times are in seconds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub id: String,
    /// The program and its arguments. `{port}` is a free port.
    command: Vec<String>,
    ready: Option<ReadyWhen>,
    alive: Option<AliveWhile>,
    restart: Option<RestartAfter>,
    /// These are ready before it starts.
    #[serde(default)]
    after: Vec<String>,
    /// How long after SIGTERM it gets SIGKILL.
    stop_after: Option<f64>,
    #[serde(default)]
    pub on_demand: bool,
    idle_stop: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReadyWhen {
    Started,
    Port,
    Notify,
    Line(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum AliveWhile {
    Port,
    Watchdog,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RestartAfter {
    Always,
    OnFailure,
    Never,
}

type Error = Box<dyn std::error::Error>;

/// The services of this file.
pub fn read(path: &Path) -> Result<Vec<Entry>, Error> {
    let text = std::fs::read_to_string(path)?;
    Ok(toml::from_str::<File>(&text)?.service)
}

impl Entry {
    pub fn service(&self) -> Result<Service, Error> {
        let [program, args @ ..] = &self.command[..] else {
            return Err(format!("service `{}`: its command is empty", self.id).into());
        };
        let (program, args) = (program.clone(), args.to_vec());
        // Each start is a command of its own, since each has a port of its own.
        let mut service = Service::new(&self.id, move |start: &Start| {
            let args = args.iter().map(|arg| {
                if !arg.contains("{port}") {
                    return Ok(arg.clone());
                }
                Ok(arg.replace("{port}", &start.free_port()?.to_string()))
            });
            let args = args.collect::<std::io::Result<Vec<_>>>()?;
            Ok(Command::new(&program).args(args))
        });
        if let Some(ready) = &self.ready {
            service = service.ready(match ready {
                ReadyWhen::Started => Ready::started(),
                ReadyWhen::Port => Ready::port(),
                ReadyWhen::Notify => Ready::notify(),
                ReadyWhen::Line(text) => Ready::line(text.as_str()),
            });
        }
        if let Some(alive) = &self.alive {
            service = service.alive(match alive {
                AliveWhile::Port => Alive::port(),
                AliveWhile::Watchdog => Alive::watchdog(),
            });
        }
        if let Some(restart) = &self.restart {
            service = service.restart(match restart {
                RestartAfter::Always => Restart::always(),
                RestartAfter::OnFailure => Restart::on_failure(),
                RestartAfter::Never => Restart::never(),
            });
        }
        for id in &self.after {
            service = service.after(id, When::Ready);
        }
        if let Some(grace) = self.stop_after {
            service = service.stop(Ladder::new().term(self.time(grace)?).kill());
        }
        if self.on_demand {
            service = service.on_demand();
        }
        if let Some(idle) = self.idle_stop {
            service = service.idle_stop(self.time(idle)?);
        }
        Ok(service)
    }

    fn time(&self, seconds: f64) -> Result<Duration, Error> {
        let wrong = |error| format!("service `{}`: {seconds} seconds: {error}", self.id);
        Ok(Duration::try_from_secs_f64(seconds).map_err(wrong)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_beside_this_crate_holds_six_services() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("services.toml");
        let entries = read(&path).unwrap();
        for entry in &entries {
            let _service = entry.service().unwrap();
        }
        let ids: Vec<_> = entries.iter().map(|entry| &entry.id[..]).collect();
        let expected = ["web", "crash", "stubborn", "family", "notify", "lease"];
        assert_eq!(ids, expected);
    }

    #[test]
    fn a_mistake_is_told() {
        for (text, problem) in [
            (
                "[[service]]\nid = \"a\"\ncommand = []",
                "its command is empty",
            ),
            (
                "[[service]]\nid = \"a\"\ncommand = [\"a\"]\nstop_after = -1.0",
                "-1 seconds",
            ),
            (
                "[[service]]\nid = \"a\"\ncommand = [\"a\"]\nred = 1",
                "unknown field `red`",
            ),
            (
                "[[service]]\nid = \"a\"\ncommand = [\"a\"]\nready = \"blue\"",
                "unknown variant `blue`",
            ),
        ] {
            let file = toml::from_str::<File>(text).map_err(Error::from);
            let made = file.and_then(|file| file.service[0].service());
            let error = made.unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
