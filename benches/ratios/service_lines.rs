//! What a service writes, on its way into its ring.

use std::time::Duration;

use actix_process::Command;
use actix_process::monitor::{Followed, Monitor, Reported, Restart, Service, ServiceState, Since};
use futures::StreamExt;

use crate::crowd;
use crate::harness::{Bench, Metric, Scale, Side, Skipped, USUAL};
use crate::helper;
use crate::measure::{Counting, cost};
use crate::sides::Ours;
use crate::streaming::apart;

pub(crate) fn benches() -> Vec<Bench> {
    // 1 GB of lines of 100 bytes, written 64 KiB at a time on the other CPU, into a ring of the usual size, against
    // our bare reader with a protocol actor that counts the lines.
    vec![Bench {
        name: "monitor_lines",
        metrics: vec![
            Metric::at_least("rate", "GB/s", 0.5, 0.8),
            Metric::at_most("memory", "bytes, the most heap", 2e6, 1e6).by_value(),
        ],
        rounds: USUAL,
        ours: lines_ours,
        peer: lines_bare,
    }]
}

/// How many lines, and who writes them.
fn lines(scale: Scale) -> Result<(usize, Command), Skipped> {
    apart(1)?;
    let lines = scale.pick(10_000_000, 10_000);
    let count = lines.to_string();
    let args = helper::args(&["@on", "1", "@lines", &count, "65536"]);
    Ok((lines, Command::new(helper::program()).args(args)))
}

fn rate_and_memory(lines: usize, work: impl Fn() + 'static) -> Side {
    Box::new(move || {
        Counting::start();
        let wall = cost(&work).wall;
        vec![lines as f64 * 100.0 / 1e9 / wall, Counting::peak()]
    })
}

fn lines_ours(scale: Scale) -> Result<Side, Skipped> {
    let (lines, command) = lines(scale)?;
    let ours = Ours::new();
    let work = move || ours.run(into_a_ring(command.clone(), lines));
    Ok(rate_and_memory(lines, work))
}

async fn into_a_ring(command: Command, lines: usize) {
    let service = Service::new("lines", command).restart(Restart::never());
    let monitor = Monitor::new().service(service).start();
    let monitor = monitor.expect("a monitor can be started");
    let mut events = monitor.events();
    while monitor
        .status("lines")
        .await
        .is_ok_and(|status| status.state != ServiceState::Exited)
    {
        match events.next().await {
            Some(Reported::Event(_)) => {}
            _ => panic!("the events of one service do not lag, nor end before it"),
        }
    }
    match monitor.follow("lines", Since::Last(1)).next().await {
        Some(Followed::Line { seq, .. }) => assert_eq!(seq, lines as u64),
        other => panic!("no last line, but {other:?}"),
    }
    monitor.shutdown(Duration::from_secs(60)).await;
}

fn lines_bare(scale: Scale) -> Result<Side, Skipped> {
    let (lines, command) = lines(scale)?;
    let ours = Ours::new();
    let work = move || {
        let totals = ours.run(crowd::chatter(command.clone(), 1));
        assert_eq!(totals.lines, lines);
    };
    Ok(rate_and_memory(lines, work))
}
