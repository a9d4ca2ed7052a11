//! Lines in the log of this program.

use std::cell::RefCell;
use std::sync::Once;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};

use super::super::OutputSpec;
use super::output;

thread_local! {
    static RECORDS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what a thread logs to the targets of these tests.
struct PerThread;

impl Log for PerThread {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("test-log")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = format!("{} {}", record.level(), record.args());
            assert!(!text.contains("panic"), "a logger that fails");
            RECORDS.with_borrow_mut(|records| records.push(text));
        }
    }

    fn flush(&self) {}
}

fn logged(rate: (u32, Duration)) -> OutputSpec {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        log::set_logger(&PerThread).unwrap();
        log::set_max_level(LevelFilter::Trace);
    });
    RECORDS.take();
    OutputSpec {
        log: Some("test-log".to_owned()),
        log_rate: rate,
        ..OutputSpec::default()
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn lines_are_logged_by_output() {
    let mut output = output(&logged((1000, HOUR)));
    output.data(1, b"out\nlast");
    output.data(2, b"err\xff\n");
    output.ended();
    assert_eq!(
        RECORDS.take(),
        ["INFO out", "WARN err\u{fffd}", "INFO last"]
    );
}

#[test]
fn a_flood_is_suppressed_and_its_size_told_at_the_end() {
    let mut output = output(&logged((2, HOUR)));
    output.data(1, &b"line\n".repeat(1000));
    assert_eq!(RECORDS.take(), ["INFO line", "INFO line"]);
    output.ended();
    assert_eq!(RECORDS.take(), ["WARN 998 lines suppressed"]);
    assert_eq!(output.counters().suppressed, 998);
    output.ended();
    assert!(RECORDS.take().is_empty());
}

#[test]
fn a_logger_that_panics_gets_no_more() {
    let mut output = output(&logged((1000, HOUR)));
    output.data(1, b"panic\n");
    output.data(1, b"line\n");
    assert!(RECORDS.take().is_empty());
    assert_eq!(output.counters().lines, 2);
}
