//! Names of streams, consumers and subjects, and of the headers of messages.

/// The headers of a job, a result and a dead job. `docs/nats.md` of the sources says what each holds.
pub(super) const JOB_ID: &str = "Job-Id";
pub(super) const STATUS: &str = "Job-Status";
pub(super) const ATTEMPTS: &str = "Job-Attempts";
pub(super) const PRIORITY: &str = "Job-Priority";
pub(super) const KEY: &str = "Job-Key";
pub(super) const EXPIRES: &str = "Job-Expires";
pub(super) const TIMEOUT: &str = "Job-Timeout";
pub(super) const KIND: &str = "Job-Kind";
pub(super) const EXIT: &str = "Job-Exit";
pub(super) const TAIL: &str = "Job-Tail";
/// As W3C Trace Context has it.
pub(super) const TRACEPARENT: &str = "traceparent";
/// By this a stream knows a message that it has: JetStream's own.
pub(super) const MESSAGE_ID: &str = "Nats-Msg-Id";

pub(super) const URGENT: &str = "urgent";

/// The subject beside `subject` where `what` goes: `results.convert` for `jobs.convert`.
pub(super) fn beside(subject: &str, what: &str) -> String {
    let rest = subject.strip_prefix("jobs.").unwrap_or(subject);
    format!("{what}.{rest}")
}

/// What is wrong with the name of a stream or a consumer.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("is empty");
    }
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c);
    if name.contains(is_bad) {
        return Err("has a space, a control character, or one of . * > / \\");
    }
    if name.len() > 255 {
        return Err("is longer than 255 bytes");
    }
    Ok(())
}

/// What is wrong with a subject to which something is published.
pub(super) fn check_subject(subject: &str) -> Result<(), &'static str> {
    if subject.is_empty() {
        return Err("is empty");
    }
    if subject.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("has a space or a control character");
    }
    if subject.split('.').any(str::is_empty) {
        return Err("has an empty part between its dots");
    }
    if subject.split('.').any(|part| matches!(part, "*" | ">")) {
        return Err("has a wildcard");
    }
    if subject.starts_with('$') {
        return Err("begins with $, as the server's own subjects do");
    }
    Ok(())
}

/// Whether `pattern`, which may have wildcards, has `subject`, which has none.
pub(super) fn covers(pattern: &str, subject: &str) -> bool {
    let mut parts = subject.split('.');
    let mut patterns = pattern.split('.');
    loop {
        match (patterns.next(), parts.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(wanted), Some(part)) if wanted == part => {}
            _ => return false,
        }
    }
}

/// Whether a text can be the value of a header that is read anywhere: visible ASCII and spaces.
pub(super) fn is_header_text(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_dead_jobs_have_subjects_beside_that_of_the_jobs() {
        assert_eq!(beside("jobs.convert", "results"), "results.convert");
        assert_eq!(beside("images", "dead"), "dead.images");
    }

    #[test]
    fn a_pattern_covers_what_a_server_says_it_does() {
        for (pattern, subject, does) in [
            ("jobs.convert", "jobs.convert", true),
            ("jobs.*", "jobs.convert", true),
            ("jobs.*", "jobs.convert.big", false),
            ("jobs.>", "jobs.convert.big", true),
            ("jobs.>", "jobs", false),
            (">", "jobs", true),
            ("*.convert", "jobs.convert", true),
            ("jobs", "jobs.convert", false),
        ] {
            assert_eq!(covers(pattern, subject), does, "{pattern} {subject}");
        }
    }

    #[test]
    fn names_and_subjects_that_no_server_takes_are_refused() {
        assert_eq!(check_name("JOBS_1"), Ok(()));
        for name in ["", "a b", "a.b", "a*", "a>", "a/b", "a\n"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert_eq!(check_subject("jobs.convert"), Ok(()));
        for subject in ["", "a b", "a..b", ".a", "a.*", "a.>", "$JS.API", "a\r\nb"] {
            assert!(check_subject(subject).is_err(), "{subject:?}");
        }
    }
}
