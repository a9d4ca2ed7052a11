//! The table of the services, as text.

use std::time::Duration;

use actix_process::monitor::{Exit, ServiceName, ServiceState, Status};

/// One line for each service, below a line of headings.
pub fn table(services: &[Status]) -> Vec<String> {
    let mut lines = vec![line(
        "SERVICE",
        ["STATE", "READY", "PID", "UPTIME", "RESTARTS", "NEXT TRY"],
        ["CPU", "RSS"],
        "LAST EXIT",
    )];
    lines.extend(services.iter().map(row));
    lines
}

fn row(status: &Status) -> String {
    let usage = status.usage.as_ref();
    let ready = if status.is_ready() { "yes" } else { "no" };
    line(
        &name(status).to_string(),
        [
            state(status),
            ready,
            &or_dash(status.pid, |pid| pid.to_string()),
            &or_dash(status.uptime, seconds),
            &status.restarts.to_string(),
            &or_dash(status.next_try, seconds),
        ],
        [
            &or_dash(usage, |usage| seconds(usage.cpu)),
            &or_dash(usage, |usage| format!("{:.1} MB", usage.rss as f64 / 1e6)),
        ],
        &or_dash(status.last_exit.as_ref(), exit),
    )
}

fn line(name: &str, middle: [&str; 6], used: [&str; 2], exit: &str) -> String {
    let [state, ready, pid, uptime, restarts, next_try] = middle;
    let [cpu, rss] = used;
    format!(
        "{name:<12} {state:<9} {ready:<5} {pid:>7} {uptime:>8} {restarts:>8} {next_try:>8} {cpu:>7} {rss:>9}  {exit}"
    )
}

/// What the methods of the monitor know it by.
pub fn name(status: &Status) -> ServiceName {
    match &status.key {
        Some(key) => (&*status.id, &**key).into(),
        None => (&*status.id).into(),
    }
}

/// Whether it is ready has a column of its own.
fn state(status: &Status) -> &'static str {
    match status.state {
        ServiceState::Waiting => "waiting",
        ServiceState::Starting => "starting",
        ServiceState::Running { .. } => "running",
        ServiceState::Stopping => "stopping",
        ServiceState::Backoff => "backoff",
        ServiceState::Exited => "exited",
        ServiceState::Failed => "failed",
        ServiceState::Stopped => "stopped",
        _ => "?",
    }
}

/// Why it ended, with its status and the last line of its standard error.
fn exit(exit: &Exit) -> String {
    let status = or_dash(exit.status, |status| status.to_string());
    let tail = String::from_utf8_lossy(&exit.tail);
    let last = tail.lines().last().map(printable);
    let last = last.map_or_else(String::new, |last| format!(": {last}"));
    format!("{} ({status}){last}", exit.kind)
}

fn or_dash<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The text of a service, for a terminal: what could move the cursor, ask the terminal for something or turn the text round is
/// written as an escape.
pub fn printable(text: &str) -> String {
    let escaped = text.chars().flat_map(|c| match c {
        '"' | '\'' => c.to_string().chars().collect::<Vec<_>>(),
        c => c.escape_debug().collect(),
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_service_commands_the_terminal() {
        let text = "\x1b[2J\r\"it's\" \u{9b}31m \u{202e}ä\\";
        assert_eq!(
            printable(text),
            r#"\u{1b}[2J\r"it's" \u{9b}31m \u{202e}ä\\"#
        );
    }

    #[test]
    fn the_headings_are_above_their_columns() {
        let heading = &table(&[])[0];
        let words: Vec<_> = heading.split_whitespace().collect();
        assert_eq!(words[..4], ["SERVICE", "STATE", "READY", "PID"]);
        assert!(heading.ends_with("LAST EXIT"), "{heading}");
    }
}
