//! What a child costs that does nothing.

use crate::harness::{Bar, Bench, Metric, Round, Rounds, Sample, Scale, Skipped};
use crate::measure::Counting;
use crate::{crowd, peer};

pub(crate) fn benches() -> Vec<Bench> {
    vec![Bench {
        name: "idle_bytes",
        metrics: vec![Metric {
            name: "",
            unit: "bytes a child",
            bar: Bar::AtMost(7000.0),
            aim: Bar::AtMost(4500.0),
        }],
        rounds: Rounds { least: 1, most: 3 },
        setup: idle_bytes,
    }]
}

/// Bytes of heap for each of 1,000 idle children with three pipes. tokio's are told, not judged:
/// its `Child` in a task that reads both pipes into buffers of 4 KiB.
fn idle_bytes(scale: Scale) -> Result<Round, Skipped> {
    let count = scale.pick(1000, 10);
    Ok(Box::new(move |sides, _| {
        // Once before, so that what grows once and stays is there.
        sides.ours(async { crowd::hold(sleep(), count).await.kill().await });
        Counting::start();
        let held = sides.ours(crowd::hold(sleep(), count));
        let ours = Counting::live() / count as f64;
        sides.ours(held.kill());

        sides.tokio(async { peer::hold(sleep_tokio(), count).await.kill().await });
        Counting::start();
        let held = sides.tokio(peer::hold(sleep_tokio(), count));
        let tokios = Counting::live() / count as f64;
        sides.tokio(held.kill());

        eprintln!("    bytes a child: ours {ours:.0}, tokio {tokios:.0}");
        vec![Sample { ours, peer: 1.0 }]
    }))
}

fn sleep() -> actix_process::Command {
    actix_process::Command::new("sleep").arg("1000")
}

fn sleep_tokio() -> tokio::process::Command {
    peer::piped("sleep", &["1000".to_owned()])
}
