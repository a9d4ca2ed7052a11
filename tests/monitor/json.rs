//! With the feature `serde`, the status and the events of a real monitor are JSON.

use actix_process::monitor::{Event, Monitor, Reported, Restart, Service};
use futures::StreamExt;
use serde_json::{Value, json, to_value};

use crate::common::helper::helper;
use crate::common::{in_time, run};
use crate::tools::streams::{SHUTDOWN, has_ended};

#[test]
fn the_status_and_the_events_of_a_monitor_are_json() {
    run(async {
        let fails = Service::new("fails", helper(["tell", "2", "oops", "exit", "3"]));
        let fails = fails.restart(Restart::never());
        let monitor = Monitor::new().service(fails).start().unwrap();
        let (mut watched, events) = (monitor.events(), monitor.events());
        has_ended(&monitor, &mut watched, "fails").await;
        let status = to_value(monitor.status("fails").await.unwrap()).unwrap();
        assert_eq!(status["id"], "fails");
        assert_eq!(status["last_exit"]["status"], json!({"code": 3}));
        assert_eq!(status["last_exit"]["tail"], "oops\n");
        assert_eq!(status["pid"], Value::Null);
        for field in [
            "uptime",
            "next_try",
            "descriptors",
            "dropped_lines",
            "lost_bytes",
        ] {
            assert!(status.get(field).is_some(), "{field} in {status}");
        }
        monitor.shutdown(SHUTDOWN).await;
        let events: Vec<Value> = in_time(events.collect::<Vec<_>>())
            .await
            .iter()
            .filter_map(|item| match item {
                Reported::Event(event) => Some(json_of(event)),
                _ => None,
            })
            .collect();
        assert_eq!(
            events.last().unwrap()["what"],
            json!({"kind": "shutdown_began"})
        );
    });
}

/// It is whole: one line, which is an object with a time.
fn json_of(event: &Event) -> Value {
    let text = serde_json::to_string(event).unwrap();
    assert!(!text.contains('\n'));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert!(value["at"].as_f64().is_some_and(|at| at > 1.7e9), "{text}");
    value
}
