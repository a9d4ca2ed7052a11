//! How what the monitor tells is serialized, where a derive does not say it.

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

use super::exit::Exit;
use super::state::ServiceState;
use crate::ExitStatus;

/// Its text: `"waiting"`, `"running"`, `"ready"`.
impl Serialize for ServiceState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `{"code":3}` or `{"signal":"KILL"}`, which has `"core_dumped":true` after a core; else `"unknown"` or `"still_running"`. A
/// real-time signal is its number. What the child used is not told.
impl Serialize for ExitStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Exited { code, .. } => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("code", code)?;
                map.end()
            }
            Self::Signaled {
                signal,
                core_dumped,
                ..
            } => {
                let mut map = serializer.serialize_map(Some(1 + usize::from(*core_dumped)))?;
                match signal.name() {
                    Some(name) => {
                        let short = name.strip_prefix("SIG").unwrap_or(name);
                        map.serialize_entry("signal", short)?;
                    }
                    None => map.serialize_entry("signal", &signal.number())?,
                }
                if *core_dumped {
                    map.serialize_entry("core_dumped", &true)?;
                }
                map.end()
            }
            Self::StillRunning => serializer.serialize_str("still_running"),
            Self::Unknown => serializer.serialize_str("unknown"),
        }
    }
}

/// `ran` is in seconds; `tail` is text, with U+FFFD for what is no UTF-8.
impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut exit = serializer.serialize_struct("Exit", 4)?;
        exit.serialize_field("status", &self.status)?;
        exit.serialize_field("kind", &self.kind)?;
        exit.serialize_field("ran", &self.ran.as_secs_f64())?;
        exit.serialize_field("tail", &String::from_utf8_lossy(&self.tail))?;
        exit.end()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::{json, to_string, to_value};

    use super::super::event::{Event, EventKind};
    use super::super::exit::ExitKind;
    use super::super::sampling::Usage;
    use super::super::status::Status;
    use super::*;
    use crate::Bytes;
    use crate::Rusage;
    use crate::Signal;

    fn killed() -> Exit {
        Exit {
            status: Some(ExitStatus::from_signal(Signal::KILL)),
            kind: ExitKind::OutOfMemory,
            ran: Duration::from_millis(2500),
            tail: Bytes::from_static(b"no\n\xffmemory"),
        }
    }

    #[test]
    fn a_status_has_this_json() {
        let status = Status {
            id: "lsp".into(),
            key: Some("/src".into()),
            state: ServiceState::Running { ready: true },
            pid: Some(4711),
            generation: 7,
            restarts: 2,
            uptime: Some(Duration::from_millis(1250)),
            next_try: None,
            last_exit: Some(killed()),
            status_text: Some("indexing".into()),
            leases: 1,
            usage: Some(Usage {
                cpu: Duration::from_millis(1500),
                rss: 4096,
                processes: 3,
            }),
            descriptors: 4,
            ignored_messages: 0,
            dropped_lines: 0,
            stale: 0,
            lost_bytes: 12,
        };
        assert_eq!(
            to_string(&status).unwrap(),
            concat!(
                r#"{"id":"lsp","key":"/src","state":"ready","pid":4711,"generation":7,"restarts":2,"uptime":1.25,"next_try":null,"#,
                r#""last_exit":{"status":{"signal":"KILL"},"kind":"out_of_memory","ran":2.5,"tail":"no\n�memory"},"#,
                r#""status_text":"indexing","ignored_messages":0,"leases":1,"usage":{"cpu":1.5,"rss":4096,"processes":3},"descriptors":4,"#,
                r#""dropped_lines":0,"stale":0,"lost_bytes":12}"#
            )
        );
    }

    #[test]
    fn an_event_has_this_json() {
        let at = UNIX_EPOCH + Duration::from_millis(1_795_000_000_500);
        let event = Event {
            id: Some("web".into()),
            key: None,
            generation: 3,
            pid: Some(12),
            at,
            what: EventKind::State {
                from: ServiceState::Running { ready: false },
                to: ServiceState::Backoff,
                exit: Some(killed()),
                problem: None,
                next_try: Some(Duration::from_millis(200)),
            },
        };
        assert_eq!(
            to_string(&event).unwrap(),
            concat!(
                r#"{"id":"web","key":null,"generation":3,"pid":12,"at":1795000000.5,"#,
                r#""what":{"kind":"state","from":"running","to":"backoff","#,
                r#""exit":{"status":{"signal":"KILL"},"kind":"out_of_memory","ran":2.5,"tail":"no\n�memory"},"#,
                r#""problem":null,"next_try":0.2}}"#
            )
        );
        let event = Event::of_the_monitor(at, EventKind::GuardReplaced);
        assert_eq!(
            to_string(&event).unwrap(),
            r#"{"id":null,"key":null,"generation":0,"pid":null,"at":1795000000.5,"what":{"kind":"guard_replaced"}}"#
        );
    }

    #[test]
    fn each_kind_of_event_has_a_word_of_its_own() {
        for (kind, expected) in [
            (EventKind::Added, json!({"kind": "added"})),
            (
                EventKind::GuardMissing {
                    problem: "no".into(),
                },
                json!({"kind": "guard_missing", "problem": "no"}),
            ),
            (EventKind::Removed, json!({"kind": "removed"})),
            (EventKind::Unkillable, json!({"kind": "unkillable"})),
            (
                EventKind::Leftovers { count: 2 },
                json!({"kind": "leftovers", "count": 2}),
            ),
            (
                EventKind::SinkFailed {
                    problem: "full".to_owned(),
                },
                json!({"kind": "sink_failed", "problem": "full"}),
            ),
            (
                EventKind::SinkRecovered { lost: 9 },
                json!({"kind": "sink_recovered", "lost": 9}),
            ),
            (EventKind::ShutdownBegan, json!({"kind": "shutdown_began"})),
        ] {
            assert_eq!(to_value(kind).unwrap(), expected);
        }
    }

    #[test]
    fn each_status_of_a_child_has_this_json() {
        let core = ExitStatus::Signaled {
            signal: Signal::SEGV,
            core_dumped: true,
            rusage: Rusage::default(),
        };
        let real_time = ExitStatus::from_signal(Signal::new(40).unwrap());
        for (status, json) in [
            (ExitStatus::from_code(3), r#"{"code":3}"#),
            (
                ExitStatus::from_signal(Signal::TERM),
                r#"{"signal":"TERM"}"#,
            ),
            (core, r#"{"signal":"SEGV","core_dumped":true}"#),
            (real_time, r#"{"signal":40}"#),
            (ExitStatus::Unknown, r#""unknown""#),
            (ExitStatus::StillRunning, r#""still_running""#),
        ] {
            assert_eq!(to_string(&status).unwrap(), json);
        }
    }

    #[test]
    fn a_time_before_1970_is_negative() {
        let at = UNIX_EPOCH - Duration::from_millis(1500);
        let event = Event::of_the_monitor(at, EventKind::ShutdownBegan);
        assert_eq!(to_value(event).unwrap()["at"], json!(-1.5));
    }
}
