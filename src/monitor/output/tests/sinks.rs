//! Closures that get lines, and the tail.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use super::super::spec::LineSink;
use super::super::{OutputSpec, SeenLine, ServiceLine};
use super::output;

type Seen = Arc<Mutex<Vec<String>>>;

fn sink(act: impl FnMut(&ServiceLine<'_>) + Send + 'static) -> OutputSpec {
    let on_line: LineSink = Arc::new(Mutex::new(act));
    OutputSpec {
        on_line: Some(on_line),
        ..OutputSpec::default()
    }
}

#[test]
fn a_line_sink_gets_each_line_with_its_number() {
    let seen = Seen::default();
    let keep = Arc::clone(&seen);
    let mut output = output(&sink(move |line| {
        let text = String::from_utf8_lossy(line.bytes);
        keep.lock()
            .unwrap()
            .push(format!("{} {} {} {text}", line.service, line.seq, line.fd));
    }));
    output.data(2, b"one\ntw");
    output.data(1, b"out\n");
    output.data(2, b"o\nthree");
    output.ended();
    assert_eq!(
        *seen.lock().unwrap(),
        ["web 1 2 one", "web 2 1 out", "web 3 2 two", "web 4 2 three"]
    );
}

#[test]
fn a_line_sink_that_panics_gets_no_more_and_harms_nobody() {
    let calls = Arc::new(Mutex::new(0));
    let count = Arc::clone(&calls);
    let spec = sink(move |_| {
        *count
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) += 1;
        panic!("a bug of the user's");
    });
    let (mut first, mut second) = (output(&spec), output(&spec));
    for output in [&mut first, &mut second] {
        output.data(1, b"one\ntwo\n");
        output.data(1, b"three\n");
        assert_eq!(output.counters().lines, 3);
    }
    assert_eq!(*calls.lock().unwrap(), 1);
}

/// What a watch sees until it saw `until`.
fn watch(seen: &Seen, until: &'static str) -> impl FnMut(SeenLine<'_>) -> ControlFlow<()> + use<> {
    let seen = Arc::clone(seen);
    move |line| {
        let text = match line {
            SeenLine::Line(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            SeenLine::Closed => "closed".to_owned(),
        };
        let is_done = text == until;
        seen.lock().unwrap().push(text);
        if is_done {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

#[test]
fn a_watch_sees_whole_lines_of_its_descriptor_until_it_is_done() {
    let seen = Seen::default();
    let mut output = output(&OutputSpec::default());
    output.started(1);
    output.watch_lines(1, watch(&seen, "ready"));
    output.data(2, b"ready\n");
    output.data(1, b"starting\nrea");
    assert_eq!(*seen.lock().unwrap(), ["starting"]);
    output.data(1, b"dy\nmore\n");
    output.closed(1);
    assert_eq!(*seen.lock().unwrap(), ["starting", "ready"]);
}

#[test]
fn a_watch_sees_the_unfinished_last_line_and_then_the_close() {
    let seen = Seen::default();
    let mut output = output(&OutputSpec::default());
    output.watch_lines(1, watch(&seen, "never"));
    output.watch_lines(2, watch(&seen, "never"));
    output.data(1, b"almost");
    output.closed(1);
    assert_eq!(*seen.lock().unwrap(), ["almost", "closed"]);
    output.ended();
    assert_eq!(*seen.lock().unwrap(), ["almost", "closed", "closed"]);
}

#[test]
fn a_watch_of_a_former_generation_sees_nothing_of_the_next() {
    let seen = Seen::default();
    let mut output = output(&OutputSpec::default());
    output.started(1);
    output.watch_lines(1, watch(&seen, "ready"));
    output.watch_lines(1, |_| panic!("a bug"));
    output.data(1, b"one\n");
    output.started(2);
    output.data(1, b"ready\n");
    assert_eq!(*seen.lock().unwrap(), ["one", "closed"]);
}

#[test]
fn the_tail_is_the_end_of_the_standard_error_of_this_generation() {
    let mut output = output(&OutputSpec::default());
    output.started(1);
    output.data(2, &[b'a'; 5000]);
    output.data(1, b"out");
    output.data(2, b"oops");
    assert_eq!(
        (output.tail().len(), output.tail().ends_with(b"aoops")),
        (4096, true)
    );
    output.ended();
    assert_eq!(output.tail().len(), 4096);
    output.started(2);
    assert_eq!(output.tail(), "");
}
