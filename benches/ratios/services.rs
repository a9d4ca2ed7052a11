//! Services of a monitor, many at once: their start, their rest, their memory and their stop.

use std::time::{Duration, Instant};

use actix_process::monitor::{
    CgroupPlace, Monitor, MonitorContainment, MonitorHandle, Ready, Service,
};
use actix_process::{Command, Ladder};

use crate::crowd;
use crate::dying::raise_descriptor_limit;
use crate::harness::{Bench, MANY, Metric, Rounds, Scale, Side, Skipped, USUAL};
use crate::helper;
use crate::idle::bytes_of_bare_children;
use crate::measure::{Counting, cost, cpu_time, settle};
use crate::sides::Ours;

pub(crate) fn benches() -> Vec<Bench> {
    vec![
        // 200 services of `sleep`, from the start of their monitor until all run, against as many bare spawns that nothing
        // holds. Each service has a cgroup where this host may make one.
        Bench {
            name: "monitor_start",
            metrics: vec![Metric::at_most("", "s", 1.2, 1.0)],
            rounds: MANY,
            ours: |scale| start_ours(scale, CgroupPlace::Found),
            peer: |scale| start_bare(scale, sleep()),
        },
        // The same against bare spawns that are held in the same way: what the monitor adds.
        Bench {
            name: "monitor_start_held",
            metrics: vec![Metric::at_most("", "s", 1.2, 1.0)],
            rounds: MANY,
            ours: |scale| start_ours(scale, CgroupPlace::Found),
            peer: |scale| start_bare(scale, held_as_services()),
        },
        // Without cgroups: services have process groups, and so have the bare children.
        Bench {
            name: "monitor_start_groups",
            metrics: vec![Metric::at_most("", "s", 1.2, 1.0)],
            rounds: MANY,
            ours: |scale| start_ours(scale, CgroupPlace::Nowhere),
            peer: |scale| start_bare(scale, sleep().process_group(0)),
        },
        // The share of one core that a monitor takes that has 1,000 quiet services, over 10 s.
        Bench {
            name: "monitor_idle",
            metrics: vec![Metric::at_most("", "of a core", 0.01, 0.001).by_value()],
            rounds: Rounds { least: 3, most: 3 },
            ours: idle_ours,
            peer: |_| Ok(Box::new(|| vec![0.0])),
        },
        // Bytes of heap for each of 1,000 running services whose rings are empty, against our bare children.
        Bench {
            name: "monitor_bytes",
            metrics: vec![Metric::at_most("", "bytes each", 3.0, 2.0)],
            rounds: USUAL,
            ours: bytes_ours,
            peer: bytes_of_bare_children,
        },
        // A shutdown of 500 services that ignore SIGTERM; the peer is the time of their ladder.
        Bench {
            name: "monitor_stop",
            metrics: vec![Metric::at_most("", "s", LADDER + 2.0, LADDER + 0.5).by_value()],
            rounds: Rounds { least: 3, most: 7 },
            ours: stop_ours,
            peer: |_| Ok(Box::new(|| vec![LADDER])),
        },
    ]
}

/// Between SIGTERM and SIGKILL, in seconds.
const LADDER: f64 = 1.0;

/// Longer than any shutdown of a bench.
const LONG: Duration = Duration::from_secs(60);

fn sleep() -> Command {
    Command::new("sleep").arg("1000")
}

/// The same, held as a monitor holds its services here.
fn held_as_services() -> Command {
    let containment = Ours::new().run(async {
        let monitor = Monitor::new().start();
        let monitor = monitor.expect("a monitor can be started");
        let containment = monitor.containment().clone();
        stopped(monitor).await;
        containment
    });
    match containment {
        MonitorContainment::Cgroup { .. } => sleep().contained_by_cgroup(),
        _ => sleep().process_group(0),
    }
}

/// As many services of `sleep`.
fn sleeping(count: usize) -> Vec<Service> {
    let service = |number| Service::new(name(number), sleep());
    (0..count).map(service).collect()
}

fn name(number: usize) -> String {
    format!("service-{number}")
}

/// A monitor of these services, when all are ready.
async fn started(services: Vec<Service>) -> MonitorHandle {
    all_ready(Monitor::new().services(services)).await
}

async fn all_ready(monitor: Monitor) -> MonitorHandle {
    let monitor = monitor.start();
    let monitor = monitor.expect("a monitor can be started");
    let ready = monitor.all_ready().await;
    ready.expect("each service can be started");
    monitor
}

async fn stopped(monitor: MonitorHandle) {
    let report = monitor.shutdown(LONG).await;
    assert!(report.unkillable.is_empty(), "{report:?}");
}

fn start_ours(scale: Scale, cgroups: CgroupPlace) -> Result<Side, Skipped> {
    raise_descriptor_limit()?;
    let count = scale.pick(200, 10);
    let ours = Ours::new();
    Ok(Box::new(move || {
        let services = sleeping(count);
        let begun = Instant::now();
        let monitor = Monitor::new().services(services).cgroups(cgroups.clone());
        let monitor = ours.run(all_ready(monitor));
        let wall = begun.elapsed().as_secs_f64();
        ours.run(stopped(monitor));
        vec![wall]
    }))
}

fn start_bare(scale: Scale, command: Command) -> Result<Side, Skipped> {
    raise_descriptor_limit()?;
    let count = scale.pick(200, 10);
    let ours = Ours::new();
    Ok(Box::new(move || {
        let begun = Instant::now();
        let held = ours.run(crowd::hold(command.clone(), count));
        let wall = begun.elapsed().as_secs_f64();
        ours.run(held.kill());
        vec![wall]
    }))
}

fn idle_ours(scale: Scale) -> Result<Side, Skipped> {
    raise_descriptor_limit()?;
    let (count, time) = scale.pick((1000, 10), (10, 1));
    let time = Duration::from_secs(time);
    let ours = Ours::new();
    let monitor = ours.run(started(sleeping(count)));
    Ok(Box::new(move || {
        let before = cpu_time();
        std::thread::sleep(time);
        let share = (cpu_time() - before) / time.as_secs_f64();
        let all = ours.run(monitor.all()).expect("the monitor runs");
        assert_eq!(all.iter().filter(|status| status.is_ready()).count(), count);
        vec![share]
    }))
}

fn bytes_ours(scale: Scale) -> Result<Side, Skipped> {
    raise_descriptor_limit()?;
    let count = scale.pick(1000, 10);
    let ours = Ours::new();
    // Once before, so that what grows once and stays is there.
    ours.run(async { stopped(started(sleeping(count)).await).await });
    Ok(Box::new(move || {
        ours.run(settle());
        Counting::start();
        let monitor = ours.run(started(sleeping(count)));
        let bytes = Counting::live() / count as f64;
        ours.run(stopped(monitor));
        vec![bytes]
    }))
}

fn stop_ours(scale: Scale) -> Result<Side, Skipped> {
    raise_descriptor_limit()?;
    let count = scale.pick(500, 5);
    let ours = Ours::new();
    Ok(Box::new(move || {
        let command = Command::new(helper::program()).arg("@deaf");
        let service = |number| {
            let service = Service::new(name(number), command.clone());
            let ladder = Ladder::new().term(Duration::from_secs_f64(LADDER)).kill();
            service.ready(Ready::line("deaf")).stop(ladder)
        };
        let monitor = ours.run(started((0..count).map(service).collect()));
        let mut killed = 0;
        let wall = cost(|| killed = ours.run(monitor.shutdown(LONG)).killed.len()).wall;
        assert_eq!(killed, count);
        vec![wall]
    }))
}
