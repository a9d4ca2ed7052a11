//! What a child costs that does nothing.

use crate::harness::{Bench, Metric, Scale, Side, Skipped, USUAL};
use crate::measure::{Counting, settle};
use crate::sides::{Ours, Tokio};
use crate::{crowd, peer};

pub(crate) fn benches() -> Vec<Bench> {
    // Bytes of heap for each of 1,000 idle children with three pipes. tokio's are told, not judged:
    // its `Child` in a task that reads both pipes into buffers of 4 KiB.
    vec![Bench {
        name: "idle_bytes",
        metrics: vec![Metric::at_most("", "bytes a child", 7000.0, 4500.0).by_value()],
        rounds: USUAL,
        ours: bytes_of_bare_children,
        peer: idle_tokio,
    }]
}

/// Of our bare children, which services are compared with as well.
pub(crate) fn bytes_of_bare_children(scale: Scale) -> Result<Side, Skipped> {
    let count = scale.pick(1000, 10);
    let sleep = || actix_process::Command::new("sleep").arg("1000");
    let ours = Ours::new();
    // Once before, so that what grows once and stays is there.
    ours.run(async { crowd::hold(sleep(), count).await.kill().await });
    Ok(Box::new(move || {
        ours.run(settle());
        Counting::start();
        let held = ours.run(crowd::hold(sleep(), count));
        let bytes = Counting::live() / count as f64;
        ours.run(held.kill());
        vec![bytes]
    }))
}

fn idle_tokio(scale: Scale) -> Result<Side, Skipped> {
    let count = scale.pick(1000, 10);
    let sleep = || peer::piped("sleep", &["1000".to_owned()]);
    let tokio = Tokio::new();
    tokio.run(async { peer::hold(&mut sleep(), count).await.kill().await });
    Ok(Box::new(move || {
        tokio.run(settle());
        Counting::start();
        let held = tokio.run(peer::hold(&mut sleep(), count));
        let bytes = Counting::live() / count as f64;
        tokio.run(held.kill());
        vec![bytes]
    }))
}
