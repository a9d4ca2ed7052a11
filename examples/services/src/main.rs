//! Keeps the services of a TOML file running, and shows them: a table of what they do, and the log of one of them.
//!
//! `cargo run -p services`, with a file as argument if it is not to be `services.toml`. Up and down (or
//! k and j) select a service; r restarts it, s stops it, l takes a lease of it or gives the lease back; q or Ctrl-C stops all services
//! and ends the program. A second Ctrl-C kills what is left. With `--once` it prints the table when all services are ready, and ends.

mod config;
mod keys;
mod live;
mod once;
mod table;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use actix_process::monitor::{Monitor, ShutdownReport};
use config::Entry;

type Error = Box<dyn std::error::Error>;

/// How long the services have to stop.
const SHUTDOWN: Duration = Duration::from_secs(20);

async fn run() -> Result<ExitCode, Error> {
    let mut once = false;
    let mut file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/services.toml"));
    for arg in std::env::args_os().skip(1) {
        if arg == "--once" {
            once = true;
        } else {
            file = arg.into();
        }
    }
    let on_a_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !once && !on_a_terminal {
        return Err("this is no terminal; --once needs none".into());
    }
    let in_file = |error: Error| format!("{}: {error}", file.display());
    let entries = config::read(&file).map_err(in_file)?;
    let services: Result<Vec<_>, _> = entries.iter().map(Entry::service).collect();
    let services = services.map_err(in_file)?;

    let monitor = Monitor::new()
        .services(services)
        .shutdown_within(SHUTDOWN)
        .start()?;
    monitor.closing_on_signals().await?;
    let shown = if once {
        once::once(&monitor, &entries).await
    } else {
        live::live(&monitor).await
    };
    // If the shutdown has begun already, this waits for its end.
    let report = monitor.shutdown(SHUTDOWN).await;
    println!("{}", text(&report));
    shown?;
    Ok(if report.unkillable.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn text(report: &ShutdownReport) -> String {
    let mut text = format!("shut down in {:.1} s", report.took.as_secs_f64());
    for (what, services) in [
        ("clean", &report.clean),
        ("killed", &report.killed),
        ("cannot be killed", &report.unkillable),
    ] {
        if !services.is_empty() {
            text += &format!("; {what}: {}", services.join(", "));
        }
    }
    text
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run().await.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}
