//! The message of a dead job.

use async_nats::HeaderMap;

use super::message::JobMessage;
use super::names::{ATTEMPTS, EXIT, JOB_ID, KIND, MESSAGE_ID, STATUS, TAIL};
use super::verdict::LostAttempt;
use crate::Bytes;

/// The headers of the job itself, and how its last attempt was lost.
pub(super) fn dead_headers(message: &JobMessage, lost: &LostAttempt, attempts: u32) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, values) in message.headers.iter() {
        // What was said to the stream of jobs is not for that of dead jobs.
        if AsRef::<str>::as_ref(name).starts_with("Nats-") {
            continue;
        }
        for value in values {
            headers.append(name.clone(), value.clone());
        }
    }
    // Its result may be in the same stream.
    headers.insert(MESSAGE_ID, format!("{}:dead", message.unique));
    headers.insert(JOB_ID, message.id.as_str());
    headers.insert(STATUS, lost.how.as_str());
    headers.insert(ATTEMPTS, attempts.to_string());
    for (name, text) in [(KIND, &lost.kind), (EXIT, &lost.exit)] {
        if let Some(text) = text {
            headers.insert(name, text.as_bytes().escape_ascii().to_string());
        }
    }
    if !lost.tail.is_empty() {
        headers.insert(TAIL, lost.tail.escape_ascii().to_string());
    }
    headers
}

/// The headers of a dead job that are this crate's.
const OURS: [&str; 6] = [MESSAGE_ID, JOB_ID, STATUS, ATTEMPTS, KIND, EXIT];

/// Makes a dead job smaller that no stream takes: without the tail, then without what is not this crate's of its headers, then without the body.
pub(super) fn smaller(headers: &mut HeaderMap, body: &mut Bytes) {
    let ours = |headers: &HeaderMap| {
        let mut kept = HeaderMap::new();
        for name in OURS {
            if let Some(value) = headers.get(name) {
                kept.insert(name, value.clone());
            }
        }
        kept
    };
    if headers
        .get(TAIL)
        .is_some_and(|tail| !tail.as_str().is_empty())
    {
        headers.insert(TAIL, "");
    } else if headers.len() > ours(headers).len() {
        *headers = ours(headers);
    } else {
        body.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::LostHow;
    use super::*;
    use crate::nats::ack_reply::Delivery;
    use crate::nats::result::JobId;

    fn message() -> JobMessage {
        let mut headers = HeaderMap::new();
        headers.insert("Job-Key", "user");
        headers.insert("Nats-Expected-Stream", "JOBS");
        headers.insert(MESSAGE_ID, "17");
        JobMessage {
            id: JobId::new("17"),
            unique: "17/JOBS:1:0".to_owned(),
            reply: String::new(),
            delivery: Delivery {
                sequence: 1,
                delivered: 1,
                consumer_sequence: 1,
                stored: std::time::Duration::ZERO,
                pending: 0,
            },
            is_first: true,
            headers,
            body: "body".into(),
        }
    }

    #[test]
    fn a_dead_job_has_its_own_headers_and_how_it_died() {
        let lost = LostAttempt {
            how: LostHow::Worker,
            kind: Some("signal".to_owned()),
            exit: Some("signal: 9".to_owned()),
            tail: Bytes::from_static(b"no\r\nmemory\xff"),
        };
        let headers = dead_headers(&message(), &lost, 5);
        let text = |name: &str| headers.get(name).map(|value| value.as_str());
        assert_eq!(text("Job-Key"), Some("user"));
        assert_eq!(text("Nats-Expected-Stream"), None);
        assert_eq!(text(MESSAGE_ID), Some("17/JOBS:1:0:dead"));
        assert_eq!(text(JOB_ID), Some("17"));
        assert_eq!(text(STATUS), Some("worker_lost"));
        assert_eq!(text(KIND), Some("signal"));
        assert_eq!(text(EXIT), Some("signal: 9"));
        assert_eq!(text(TAIL), Some(r"no\r\nmemory\xff"));
        assert_eq!(text(ATTEMPTS), Some("5"));
    }

    #[test]
    fn what_is_too_large_loses_its_tail_then_its_own_headers_then_its_body() {
        let mut lost = LostAttempt::bare(LostHow::Timeout);
        lost.tail = "tail".into();
        let mut headers = dead_headers(&message(), &lost, 1);
        let mut body = Bytes::from("body");
        smaller(&mut headers, &mut body);
        assert_eq!(body, "body");
        assert!(headers.get("Job-Key").is_some());
        smaller(&mut headers, &mut body);
        assert_eq!(body, "body");
        assert!(headers.get("Job-Key").is_none());
        assert!(headers.get(STATUS).is_some());
        smaller(&mut headers, &mut body);
        assert_eq!(body, "");
    }
}
